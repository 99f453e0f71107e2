"""Rows ``8-chats`` and ``16-chats``: chats that all begin at once, through each whole server."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import msgspec

from ..event_loop import run_loop
from ..figures import percentile
from ..options import interleaved
from ..processes import BenchmarkError
from ..rows import Row, make_row
from .chat_stream import ChatSeen, StreamError, ask_all
from .prompts import chat
from .servers import GREEDY, VARIED, ChatServer, LlamaServer, MillraceChat, Sampling
from .setting import Setting

CONTEXT = 1024


class ChatsSeen(msgspec.Struct, frozen=True):
    """Chats that ran at once. ``rate``: tokens a second of all together, from the first request to the last token.

    The others are the percentiles of the seconds until the first text of a chat.
    """

    rate: float
    first_p50: float
    first_p95: float

    def __str__(self) -> str:
        return f"{self.rate:.1f} tokens/s, first text p50 {self.first_p50:.3f} s, p95 {self.first_p95:.3f} s"


def measure(setting: Setting, chats: int, sampling: Sampling = GREEDY, suffix: str = "") -> list[Row]:
    """Measure all rounds. Raises ``BenchmarkError``."""
    with ExitStack() as running:
        ours = running.enter_context(MillraceChat(setting, chats, CONTEXT))
        peer = running.enter_context(LlamaServer(setting, chats, CONTEXT))
        servers: list[ChatServer] = [ours, peer]
        for server in servers:
            ask_chats(server, setting, f"warm-up/{chats}", chats, sampling)
        seen: dict[str, list[ChatsSeen]] = {server.name: [] for server in servers}
        for server in interleaved(setting.options, servers):
            rounds = seen[server.name]
            rounds.append(ask_chats(server, setting, f"{chats}/{len(rounds)}", chats, sampling))
            setting.options.say(f"{chats} chats{suffix}, {server.name}: {rounds[-1]}")
    return compare(f"llama/{chats}-chats{suffix}", seen[ours.name], peer.name, seen[peer.name])


def measure_sampled(setting: Setting, chats: int) -> list[Row]:
    """Measure with the sampling that LlamaChat has by default."""
    return measure(setting, chats, VARIED, "-sampled")


def ask_chats(server: ChatServer, setting: Setting, seed: str, chats: int, sampling: Sampling = GREEDY) -> ChatsSeen:
    """Let so many chats begin at once; the same seed gives the same prompts. Raises ``BenchmarkError``."""
    requests = [server.request(chat(f"{seed}/{number}"), setting.tokens, sampling) for number in range(chats)]
    try:
        replies = run_loop(ask_all(server.program.port, requests))
    except (StreamError, OSError, TimeoutError) as error:
        raise BenchmarkError(f"{server.name}: {error!r}") from None
    if wrong := [reply.tokens for reply in replies if reply.tokens != setting.tokens]:
        raise BenchmarkError(f"{server.name}: replies of {wrong} tokens instead of {setting.tokens}")
    return summarise(replies)


def summarise(replies: Sequence[ChatSeen]) -> ChatsSeen:
    """Sum up chats that were asked for at once."""
    first = sorted(reply.first for reply in replies)
    return ChatsSeen(
        rate=sum(reply.tokens for reply in replies) / max(reply.ended for reply in replies),
        first_p50=percentile(first, 0.5),
        first_p95=percentile(first, 0.95),
    )


def compare(name: str, ours: Sequence[ChatsSeen], peer: str, theirs: Sequence[ChatsSeen]) -> list[Row]:
    """Return the rows of two peers' rounds."""

    def row(what: str, unit: str, take: str) -> Row:
        values, peers = ([float(getattr(seen, take)) for seen in side] for side in (ours, theirs))
        return make_row(f"{name}/{what}", unit, values, peer, peers)

    return [row("rate", "tokens/s", "rate"), row("first-p50", "s", "first_p50"), row("first-p95", "s", "first_p95")]
