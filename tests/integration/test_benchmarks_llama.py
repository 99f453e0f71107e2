"""The llama benchmark with the built-in model: that it measures, not what."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from benchmarks.event_loop import run_loop
from benchmarks.llama.chat_stream import open_chat
from benchmarks.llama.many_chats import ask_chats
from benchmarks.llama.one_at_a_time import OneAtATime
from benchmarks.llama.one_stream import SAMPLINGS, WAYS, OneStream
from benchmarks.llama.prompts import chat
from benchmarks.llama.servers import GREEDY, MillraceChat
from benchmarks.llama.setting import Setting
from benchmarks.options import Options
from tests.support.llamachat_worker import TINY_MODEL, interpreter

CHATS = 3
TOKENS = 12


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    """The built-in model where the benchmark keeps its own."""
    monkeypatch.setenv("MILLRACE_LLAMACHAT_PYTHON", str(interpreter()))
    shutil.copyfile(TINY_MODEL, tmp_path / "llama-random.gguf")
    return Setting(Options(rounds=1, seconds=1, cache=tmp_path, threads=1, tokens=TOKENS))


def test_one_stream_runs_through_the_engine_and_the_bare_loop(setting: Setting) -> None:
    with OneStream(setting.module_python, setting.model, 1) as worker:
        for sampling in SAMPLINGS.values():
            for way in WAYS:
                assert worker.rate(way, sampling, "What is a module?", TOKENS) > 0


def test_the_peer_answers_one_chat_after_the_other(setting: Setting) -> None:
    with OneAtATime(setting.module_python, setting.model, 1) as peer:
        seen = peer.ask_chats("x", CHATS, 1)
    assert 0 < seen.first_p50 < seen.first_p95
    assert seen.rate > 0


def test_chats_through_the_whole_server(setting: Setting) -> None:
    with MillraceChat(setting, CHATS, 1024) as server:
        seen = ask_chats(server, setting, "x", CHATS)  # fails unless each reply has exactly so many tokens
        assert 0 < seen.first_p50 <= seen.first_p95
        assert seen.rate > 0
        server.cancel([run_loop(_leave_one(server))])  # fails unless the chat ends
        assert ask_chats(server, setting, "y", CHATS).rate > 0


async def _leave_one(server: MillraceChat) -> str:
    stream = await open_chat(server.program.port, server.request(chat("long"), 500, GREEDY))
    stream.ask()
    await asyncio.wait_for(stream.begun.wait(), 30)
    stream.leave()
    return stream.command_id
