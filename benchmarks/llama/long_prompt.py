"""Row ``long-prompt``: what a prompt of 8000 tokens does to seven chats that run when it comes.

While it is worked on, they wait for one part of it after the other. The least that can be is the time of the smallest
step that llama.cpp computes efficiently so late in a prompt, measured bare in the same rounds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from server.config import ROOT

from ..event_loop import run_loop
from ..json_worker import JsonWorker
from ..options import interleaved
from ..processes import BenchmarkError
from ..rows import Row, make_row
from .chat_stream import PATIENCE, StreamError, longest_gap, open_chat
from .prompts import chat
from .servers import GREEDY, ChatServer, LlamaServer, MillraceChat
from .setting import Setting

RUNNING = 7
CONTEXT = 12288
REPLY_TOKENS = 8
BARE = "the smallest efficient step, bare"


class Beside(msgspec.Struct, frozen=True):
    """While the long prompt was worked on: the chats' longest gap (s) and their tokens a second, all together.

    ``first``: seconds until the long prompt's first text. ``work``: processor seconds of all the server's processes
    from its request until its end. ``prompt_tokens``: how long it was.
    """

    gap: float
    rate: float
    first: float
    work: float = 0.0
    prompt_tokens: int = 0

    def __str__(self) -> str:
        return (
            f"longest gap {self.gap:.3f} s, {self.rate:.1f} tokens/s, the long prompt's first text {self.first:.2f} s"
        )


class BareChunks(JsonWorker):
    """llama.cpp with nothing but a step of a prompt, in LlamaChat's environment."""

    def __init__(self, python: Path, model: Path, threads: int) -> None:
        script = Path(__file__).with_name("bare_chunks_worker.py")
        environment = {"PYTHONPATH": str(ROOT / "modules" / "LlamaChat"), "PYTHONDONTWRITEBYTECODE": "1"}
        super().__init__([str(python), str(script), str(model), str(threads), str(CONTEXT)], environment)


def measure(setting: Setting) -> list[Row]:
    """Measure all rounds. Raises ``BenchmarkError``."""
    words = setting.options.prompt_words
    with ExitStack() as running:
        bare = running.enter_context(BareChunks(setting.module_python, setting.model, setting.threads))
        ours = running.enter_context(MillraceChat(setting, RUNNING + 1, CONTEXT))
        peer = running.enter_context(LlamaServer(setting, RUNNING + 1, CONTEXT))
        servers: list[ChatServer] = [ours, peer]
        seen: dict[str, list[Beside]] = {server.name: [] for server in servers}
        chunks: list[float] = []
        for server in interleaved(setting.options, servers):
            rounds = seen[server.name]
            try:
                found, command_ids = run_loop(_beside(server, f"long prompt/{len(rounds)}", words))
            except (StreamError, OSError, TimeoutError) as error:
                raise BenchmarkError(f"{server.name}: {error!r}") from None
            rounds.append(found)
            if server is ours:  # the other ends a chat when its client goes away
                ours.cancel(command_ids)
                chunk = bare.ask({"depth": found.prompt_tokens})
                setting.options.say(f"bare steps after {found.prompt_tokens} tokens: {chunk}")
                chunks.append(chunk["seconds"])
            setting.options.say(f"{RUNNING} chats and a long prompt, {server.name}: {rounds[-1]}")
    rows = _rows(seen[ours.name], peer.name, seen[peer.name])
    gaps = [found.gap for found in seen[ours.name]]
    return [*rows, make_row("llama/long-prompt/longest-gap/chunk", "s", gaps, BARE, chunks)]


async def _beside(server: ChatServer, seed: str, words: int) -> tuple[Beside, list[str]]:
    """Return what was seen, and Millrace's names for the chats, which it goes on with."""
    port, room = server.program.port, CONTEXT - 1024
    requests = [server.request(chat(f"{seed}/{number}"), room, GREEDY) for number in range(RUNNING)]
    chats = [await open_chat(port, request) for request in requests]
    for stream in chats:
        stream.ask()
    await asyncio.wait_for(asyncio.gather(*(stream.begun.wait() for stream in chats)), PATIENCE)
    long = await open_chat(port, server.request(chat(f"{seed}/long", words), REPLY_TOKENS, GREEDY))
    worked = server.program.cpu_seconds_of_all()
    long.ask()
    reply = await asyncio.wait_for(long.seen, PATIENCE)
    worked = server.program.cpu_seconds_of_all() - worked
    for stream in chats:
        if stream.seen.done():
            raise StreamError("a chat had ended before the long prompt was done")
        stream.leave()
    pieces = [stream.pieces for stream in chats]
    found = beside(long.asked, reply.first, pieces)
    found = msgspec.structs.replace(found, work=worked, prompt_tokens=reply.prompt_tokens)
    return found, [stream.command_id for stream in chats]


def beside(asked: float, first: float, pieces: Sequence[Sequence[float]]) -> Beside:
    """Sum up what chats got in the ``first`` seconds from ``asked`` on; ``pieces``: when text came, for each chat."""
    gap, count = 0.0, 0
    for times in pieces:
        within = [time for time in times if asked <= time <= asked + first]
        # Waiting for the long prompt's whole length without a single token is the longest gap of all.
        gap = max(gap, longest_gap([asked, *within, asked + first]))
        count += len(within)
    return Beside(gap, count / first, first)


def _rows(ours: list[Beside], peer: str, theirs: list[Beside]) -> list[Row]:
    return [
        make_row(
            f"llama/long-prompt/{name}",
            unit,
            [float(getattr(seen, take)) for seen in ours],
            peer,
            [float(getattr(seen, take)) for seen in theirs],
        )
        for name, unit, take in (
            ("longest-gap", "s", "gap"),
            ("rate-of-the-others", "tokens/s", "rate"),
            ("first", "s", "first"),
            ("work", "processor s", "work"),
        )
    ]
