"""One run: the ways in by turns, and after each batch a look at the server."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from server.app import App
from server.config import ServerSettings
from server.http.audience import declared
from tests.support.server_process import ROOT

from .chance import Chance
from .findings import Finding, Findings, troubles_in
from .malformed import Malformed
from .records import Damaged
from .requests import Requests
from .target import Sizes, Target
from .ways import Broken, Polling, Proven, Strangers, Way, WellFormed

BATCHES = {"requests": 2000, "malformed": 1000, "socket": 600, "queue": 200, "channel": 1000, "records": 2}
"""Inputs of each way in one round."""


class Run:
    """A run with a seed. ``counts``: the inputs of each way so far; ``sizes``: the server's after each round."""

    def __init__(self, seed: int, say: Callable[[str], None]) -> None:
        self.seed = seed
        self.counts: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.findings = Findings()
        self.sizes: dict[str, list[Sizes]] = {}
        self._numbers: Counter[str] = Counter()
        self._say = say

    async def rounds(self, folder: Path, again: Callable[[int], bool], batches: dict[str, int] = BATCHES) -> None:
        """Do whole rounds, on a server without keys and on one with them, as long as ``again`` says so."""
        async with _ways(folder / "open", False) as free, _ways(folder / "keys", True) as keyed:
            damaged = Damaged(folder / "records")
            await asyncio.to_thread(damaged.prepare)
            number = 0
            while again(number):
                for name, (target, ways) in {"open": free, "keys": keyed}.items():
                    await _learn(target, ways)
                    for way in ways:
                        await self._batch(way, target, batches[way.name])
                    self.sizes.setdefault(name, []).append(await asyncio.to_thread(target.sizes))
                await self._batch(damaged, None, batches["records"])
                self.counts["records"] = damaged.damages
                number += 1
            for target in (free[0], keyed[0]):
                assert await asyncio.to_thread(target.module_answers)
                assert await asyncio.to_thread(target.forgets_uploads)

    async def _batch(self, way: Way, target: Target | None, count: int) -> None:
        first = self._numbers[way.name]
        self._numbers[way.name] += count
        inputs = [way.make(Chance(f"{self.seed} {way.name} {number}")) for number in range(first, first + count)]
        began = time.monotonic()
        await self.send(way, inputs, first)
        if target is not None:
            await self.look(way, target, inputs, first)
        self.counts[way.name] += count
        self.seconds[way.name] += time.monotonic() - began

    async def send(self, way: Way, inputs: list[bytes], first: int) -> None:
        """Send inputs by all senders of a way; what is wrong with an answer is found at once."""
        waiting = iter(enumerate(inputs, first))

        async def sender(slot: int) -> None:
            for number, data in waiting:
                if fault := await way.send(slot, data):
                    self._found(Finding(fault, way.name, fault, number, [data]))

        await asyncio.gather(*(sender(slot) for slot in range(way.senders)))

    async def look(self, way: Way, target: Target, inputs: list[bytes], first: int) -> None:
        """See whether the server still is as it should be."""
        sick = await asyncio.to_thread(target.healthy)
        if sick:
            self._found(Finding(sick, way.name, sick, first, inputs))
        for kind, told in troubles_in(target.new_lines()).items():
            self._found(Finding(kind, way.name, told, first, inputs))
        if sick.startswith("the server ended"):
            await asyncio.to_thread(target.start)

    def _found(self, finding: Finding) -> None:
        if self.findings.add(finding):
            self._say(f"FOUND {finding.way} {finding.first}: {finding.kind}")


@asynccontextmanager
async def _ways(folder: Path, keys: bool) -> AsyncIterator[tuple[Target, list[Way]]]:
    target = Target(folder, keys)
    try:
        await asyncio.to_thread(target.start)
        ways = ways_into(target)
        yield target, ways
        for way in ways:
            await way.close()
    finally:
        await asyncio.to_thread(target.server.stop)


def ways_into(target: Target) -> list[Way]:
    """All ways into a server that runs."""
    requests = Requests(routes(), target.keys)
    return [
        WellFormed(target, requests),
        Broken(target, Malformed(requests)),
        Strangers(target),
        Polling(target),
        Proven(target),
    ]


def routes() -> list[tuple[str, str]]:
    """Every route that the server has: method and path."""
    with tempfile.TemporaryDirectory() as folder:
        app = App(ServerSettings(data_dir=Path(folder), modules_dir=Path(folder)))
        return sorted({(one.method, one.path) for one in declared(app.web)})


def commit() -> str:
    """The commit that is fuzzed; with a plus where files differ from it."""
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--abbrev=10"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return said.stdout.strip() or "unknown"


async def _learn(target: Target, ways: list[Way]) -> None:
    """Tell the ways which commands there are."""
    page = await asyncio.to_thread(target.call, "/v1/commands?brief=1&limit=50")
    for way in ways:
        if isinstance(way, WellFormed):
            way.know([one["id"] for one in page.get("commands", [])])
