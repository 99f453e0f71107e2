"""Row ``second-turn``: how soon a chat with a long history begins to answer its next question.

*Cold* is a server that has never seen the chat. *Warm* has answered the turn before. *Restarted* has done so too, and
was then stopped and started again. What the warm one had to do for the new turn is counted in prompt tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import msgspec

from ..event_loop import run_loop
from ..options import interleaved
from ..processes import BenchmarkError
from ..rows import Row, make_row
from .chat_stream import ChatSeen, StreamError, ask_all
from .prompts import Message, chat, question
from .servers import GREEDY, ChatServer, LlamaServer, MillraceChat
from .setting import Setting

CONTEXT = 8192
CHATS = 2
TURNS, TURN_WORDS = 20, 90  # a question and an answer of so many words each: 4000 tokens in all
REPLY_TOKENS = 32
NEW_PART = "the new part"
COLD = "Millrace, cold"


class Turns(msgspec.Struct, frozen=True):
    """The second turn of one chat, of a server's warm and cold chat. Times are seconds until the first text."""

    cold: float
    warm: float
    decoded: int
    """Prompt tokens that the warm second turn had to work on."""
    new: int
    """Tokens by which its prompt is longer than that of the first turn."""


def measure(setting: Setting) -> list[Row]:
    """Measure all rounds. Raises ``BenchmarkError``."""
    restarted: list[float] = []
    with ExitStack() as running:
        ours = running.enter_context(MillraceChat(setting, CHATS, CONTEXT))
        peer = running.enter_context(LlamaServer(setting, CHATS, CONTEXT))
        servers: list[ChatServer] = [ours, peer]
        seen: dict[str, list[Turns]] = {server.name: [] for server in servers}
        for server in servers:
            _ask(server, chat("warm-up/second turn"))
        for server in interleaved(setting.options, servers):
            turns = _turns(server, f"second turn/{len(seen[server.name])}")
            seen[server.name].append(turns)
            told = f"cold {turns.cold:.3f} s, warm {turns.warm:.3f} s ({turns.decoded} tokens, {turns.new} are new)"
            setting.options.say(f"second turn, {server.name}: {told}")
            if server is ours:
                after = _after_restart(ours, f"restart/{len(restarted)}")
                restarted.append(after.first)
                setting.options.say(f"second turn, restarted: {after.first:.3f} s ({after.cached} tokens cached)")
    return _rows(seen[ours.name], restarted, peer.name, seen[peer.name])


def history(seed: str) -> list[Message]:
    """Return a chat with a history of 4000 tokens, and a question to be answered."""
    messages = chat(f"{seed}/0", TURN_WORDS)
    for number in range(1, TURNS):
        messages.append({"role": "assistant", "content": question(f"{seed}/answer/{number}", TURN_WORDS)})
        messages.append({"role": "user", "content": question(f"{seed}/{number}", TURN_WORDS)})
    return messages


def next_turn(messages: Sequence[Message], reply: str, seed: str) -> list[Message]:
    """Return the chat with its reply and one more question."""
    asked = {"role": "user", "content": question(f"{seed}/next", TURN_WORDS)}
    return [*messages, {"role": "assistant", "content": reply}, asked]


def _turns(server: ChatServer, seed: str) -> Turns:
    first = _ask(server, history(seed))
    second = _ask(server, next_turn(history(seed), first.text, seed))
    cold = _ask(server, next_turn(history(f"{seed}/cold"), first.text, seed))
    return Turns(
        cold=cold.first,
        warm=second.first,
        decoded=second.prompt_tokens - second.cached,
        new=second.prompt_tokens - first.prompt_tokens,
    )


def _after_restart(server: MillraceChat, seed: str) -> ChatSeen:
    first = _ask(server, history(seed))
    server.restart()
    return _ask(server, next_turn(history(seed), first.text, seed))


def _ask(server: ChatServer, messages: Sequence[Message]) -> ChatSeen:
    try:
        return run_loop(ask_all(server.program.port, [server.request(messages, REPLY_TOKENS, GREEDY)]))[0]
    except (StreamError, OSError, TimeoutError) as error:
        raise BenchmarkError(f"{server.name}: {error!r}") from None


def _rows(ours: list[Turns], restarted: list[float], peer: str, theirs: list[Turns]) -> list[Row]:
    cold = [turns.cold for turns in ours]
    warm = [turns.warm for turns in ours]
    return [
        make_row("llama/second-turn/warm", "s", warm, peer, [turns.warm for turns in theirs]),
        make_row("llama/second-turn/cold", "s", cold, peer, [turns.cold for turns in theirs]),
        make_row("llama/second-turn/warm-to-cold", "s", warm, COLD, cold),
        make_row("llama/second-turn/restarted", "s", restarted, COLD, cold),
        make_row(
            "llama/second-turn/prompt-work",
            "tokens",
            [turns.decoded for turns in ours],
            NEW_PART,
            [turns.new for turns in ours],
        ),
    ]
