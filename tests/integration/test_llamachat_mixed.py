"""Random requests of every kind at once: right replies, and nothing left behind.

``MILLRACE_LONG_RUN_S=600`` makes the long runs out of the short ones: 500 requests compared, ten minutes of load.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.llamachat_load import Load, thirds
from tests.support.llamachat_server import choose, modules_with_llamachat, process_of
from tests.support.llamachat_worker import SCRIPTS, run
from tests.support.server_process import ServerProcess, wait_until

COMPARED = 500 if "MILLRACE_LONG_RUN_S" in os.environ else 150
TIE = 0.25
"""A difference of logits that rounding may turn round. llama.cpp alone moves the lead of a token by up to 0.11 when
nothing but the size of its batches changes; the memory of another chat moves it by several units."""
SECONDS = float(os.environ.get("MILLRACE_LONG_RUN_S", "15"))
WARM_UP_S = min(5.0, SECONDS / 3)
GROWTH = (8 if SECONDS >= 300 else 24) * 1024 * 1024
"""Bytes. What a process may hold more in the last third of a run than in the middle one: allocators keep what was
once needed, so the figures of an equal load differ by a few MiB, and most of it comes in the first minute."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS + 240)]


async def observe(name: str, count: int, seed: int) -> Any:
    ended = await run(SCRIPTS / "llamachat_mixed.py", name, str(count), str(seed), seconds=400)
    assert ended.code == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


async def test_mixed_requests_get_the_replies_of_llama_cpp_alone() -> None:
    seen = await observe("replies", COMPARED, seed=4)
    print({name: value for name, value in seen.items() if name != "bad"})
    assert seen["wrong"] == []
    assert seen["largest difference"] < TIE, seen["apart"]
    assert seen["noise"] < TIE, "the logits themselves are llama.cpp's, wherever the reply went"
    assert seen["equal"] >= 0.9 * seen["whole"] > 0.4 * COMPARED
    assert seen["ends"]["cancelled"] > 0
    assert seen["ends"]["completed"] > 0
    assert seen["bad"]
    assert all(named in error for error, named in seen["bad"]), seen["bad"]
    assert seen["sampled"] == []
    assert not any(seen["rest"].values()), seen["rest"]
    assert min(seen["evictions"], seen["cached"], seen["restored"]) > 0


async def test_only_rounding_moves_llama_cpp_s_own_logits_so_far() -> None:
    seen = await observe("rounding", 6, seed=9)
    assert 0 < seen["p99"] <= seen["largest"] < TIE


class Watch:
    """Memory and figures of a server and its LlamaChat, sampled twice a second."""

    def __init__(self, server: ServerProcess) -> None:
        assert server.process is not None
        self.processes = {"server": psutil.Process(server.process.pid), "module": process_of(server, "LlamaChat")}
        self.memory: dict[str, list[int]] = {name: [] for name in self.processes}
        self.most: dict[str, int] = {}
        self._server = server

    async def run(self) -> None:
        while True:
            for name, process in self.processes.items():
                self.memory[name].append(process.memory_info().rss)
            figures = await asyncio.to_thread(self.figures)
            for name in ("running", "waiting", "kvTokensUsed", "kvTokens", "evictions", "restoredPromptTokens"):
                self.most[name] = max(self.most.get(name, 0), figures[name])
            await asyncio.sleep(0.5)

    def figures(self) -> dict[str, Any]:
        found: dict[str, Any] = self._server.module("LlamaChat")["statusData"]
        return found

    def open_files(self) -> dict[str, int]:
        return {name: process.num_fds() for name, process in self.processes.items()}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    few = {"CPAI_MODULE_LLAMA_CONTEXT": 2048, "CPAI_MODULE_LLAMA_THREADS": 1, "CPAI_MODULE_LLAMA_PROMPT_CACHE_MB": 4}
    choose(tmp_path, LaunchSettings={"Parallelism": 8}, EnvironmentVariables=few)
    modules = modules_with_llamachat(tmp_path)
    with ServerProcess(tmp_path, modules, MILLRACE_RESULT_RETENTION="4", MILLRACE_REPLY_RETENTION="2") as running:
        running.wait_ready("LlamaChat", 200)
        yield running


@asynccontextmanager
async def watched(watch: Watch) -> AsyncIterator[None]:
    task = asyncio.create_task(watch.run())
    try:
        yield
        assert not task.done(), task.result()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_busy_server_keeps_nothing_of_what_has_ended(server: ServerProcess) -> None:
    await Load(server.url, seed=1).run(WARM_UP_S)
    watch, load = Watch(server), Load(server.url, seed=2)
    before = watch.open_files()
    async with watched(watch):
        while load.requests <= SECONDS * 3:  # a busy machine takes longer for as many
            await load.run(SECONDS)
    memory = {name: list(thirds(values)) for name, values in watch.memory.items()}
    series = {name: values[:: max(1, len(values) // 20)] for name, values in watch.memory.items()}
    print(load.requests, dict(load.counts), memory, watch.most, series)

    assert load.faults == []
    assert {"polled", "streamed", "left", "cancelled", "refused"} <= set(load.counts)
    assert watch.most["running"] > 4
    assert watch.most["kvTokensUsed"] <= watch.most["kvTokens"]
    for name, (_, middle, last) in memory.items():
        assert last - middle <= GROWTH, f"{name} grows: {watch.memory[name]}"

    def at_rest() -> bool:
        figures = watch.figures()
        return (figures["running"], figures["waiting"]) == (0, 0)

    wait_until("no chat runs or waits", at_rest)
    wait_until("every command is forgotten", lambda: server.get("/v1/commands")["total"] == 0)
    after = watch.open_files()
    assert all(after[name] <= count + 4 for name, count in before.items()), (before, after)
    reply = server.post("/v1/text/chat", prompt="What is a module?", temperature=0)
    assert "module" in server.wait_ended("LlamaChat", reply["commandId"])["reply"]
