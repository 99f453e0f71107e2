"""The kill loop: kill, freeze and stop the server, its module or both at random moments under load, on a disk that is
slow at times, and change bytes of what it left; count what is lost.

``python -m tests.chaos.kill_loop --iterations 200 [--seed 1]`` prints a table; exit status 1 when anything was lost
that the log does not name, repeated, mixed up, left without an end, or cut off and shown as whole.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.chaos_damage import damage, named_in, pause, slow_disk
from tests.support.chaos_load import Load
from tests.support.chaos_server import ChaosServer

DRAIN_SECONDS = 180.0
FLOWING = 15
"""Events that must have arrived since the last kill: then the load flows."""
VICTIMS = {
    "server": 30,
    "module": 20,
    "both": 12,
    "server twice": 6,
    "server frozen": 6,
    "module frozen": 6,
    "server stopped": 6,
    "disk slow": 7,
    "data damaged": 7,
}
"""What is done, and how often among a hundred times."""
MOST_MODULE_KILLS = 3
"""In a row, without a kill of the server: after five the server would rightly give the module up."""


class KillLoop:
    """One run of the loop. ``dice`` decides everything that is random."""

    def __init__(self, chaos: ChaosServer, load: Load, dice: random.Random) -> None:
        self.chaos = chaos
        self.load = load
        self.kills: Counter[str] = Counter()
        self._dice = dice
        self._module_kills = 0

    async def once(self) -> None:
        """Let the load flow, then kill something at a random moment, and bring the server back."""
        await self.load.wait_for_events(FLOWING, 120)
        await asyncio.sleep(self._dice.uniform(0, 1.0))
        victim = self._dice.choices(list(VICTIMS), list(VICTIMS.values()))[0]
        if victim == "module" and self._module_kills >= MOST_MODULE_KILLS:
            victim = "server"
        self.kills[victim] += 1
        self._module_kills = self._module_kills + 1 if victim == "module" else 0
        await asyncio.to_thread(self._do, victim)

    def _do(self, victim: str) -> None:
        if victim == "module":
            self.chaos.kill_module()
        elif victim.endswith("frozen"):
            self.chaos.freeze(self._dice.uniform(0, 3.0), module=victim.startswith("module"))
        elif victim == "server stopped":
            self.chaos.stop_server()
            self.chaos.start()
        elif victim == "disk slow":
            self._slow_down()
        elif victim == "data damaged":
            self._damage()
        else:
            self._kill(victim)

    def _slow_down(self) -> None:
        """The disk does not answer for a while, and in half of the cases something dies meanwhile."""
        dies = self._dice.choice(["", "", "module", "server"])
        with slow_disk(self.chaos.records):
            pause(self._dice, 1.5)
            if dies == "module":
                self.chaos.kill_module()
                pause(self._dice, 1.0)
            elif dies == "server":
                self.chaos.kill_server()
        if dies == "server":
            self.chaos.start()

    def _damage(self) -> None:
        self.chaos.kill_server()
        sort = damage(self.chaos.records, self._dice)
        self.kills[f"data damaged: {sort or 'nothing there'}"] += 1
        self.chaos.start()
        self.load.named |= named_in(self.chaos.server.output)

    def _kill(self, victim: str) -> None:
        if victim == "both" and self._dice.random() < 0.5:
            self.chaos.kill_module()
            time.sleep(self._dice.uniform(0, 0.06))
            self.chaos.kill_server()
        else:
            self.chaos.kill_server()
            if victim == "both":
                time.sleep(self._dice.uniform(0, 1.0))
                self.chaos.kill_module()
        if victim == "server twice":
            self.chaos.kill_while_starting(self._dice.uniform(0, 2.0))
        self.chaos.start()


async def run(folder: Path, iterations: int, seed: int) -> tuple[dict[str, Any], list[str]]:
    """Run the loop; return the table's rows and a line for every fault."""
    dice = random.Random(seed)
    with ChaosServer(folder, MILLRACE_REPLY_RETENTION="86400") as chaos:
        load = Load(chaos.server.url, dice)
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            loop = KillLoop(chaos, load, dice)
            await load.start(session)
            for number in range(1, iterations + 1):
                await loop.once()
                if number % 10 == 0:
                    print(f"{number} of {iterations}: {load.events} events", file=sys.stderr, flush=True)
            await load.drain(DRAIN_SECONDS)
            records = await load.ended_records(DRAIN_SECONDS)
        rows, faults = judge(load, records)
    left = chaos.module_pids()
    faults += [f"process {pid} was left behind" for pid in left]
    kills = {f"times: {victim}": count for victim, count in sorted(loop.kills.items())}
    return {"iterations": iterations, **kills, **rows, "processes left behind": len(left)}, faults


def judge(load: Load, records: dict[str, dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """Return the rows about commands and events, and a line for every fault."""
    followers = {command_id: one for command_id, one in load.followers.items() if command_id not in load.named}
    endless = [record for record in records.values() if record["ended_at"] is None]
    faults = [fault for follower in followers.values() for fault in follower.faults] + load.faults
    faults += [f"{record['id']} is still {record['state']}" for record in endless]
    unended = [command_id for command_id, follower in followers.items() if follower.end is None]
    faults += [f"the stream of {command_id} has not ended" for command_id in unended]
    unknown = [command_id for command_id in followers if command_id not in records]
    faults += [f"{command_id} was accepted and is not known" for command_id in unknown]
    rows: dict[str, Any] = {
        "accepted": load.counts.pop("accepted", 0),
        "accepted, but the answer was cut off": len(records.keys() - load.followers.keys()),
        "named in the log as damaged": len(load.named & load.followers.keys()),
        **{f"ended: {end}": count for end, count in sorted(load.ends.items())},
        "without an end": len({record["id"] for record in endless} | set(unended) | set(unknown)),
        "redelivered": sum(1 for follower in followers.values() if follower.deliveries > 1),
        "events received": load.events,
        "lost": sum(follower.lost for follower in followers.values()),
        "duplicated": sum(follower.duplicated for follower in followers.values()),
        "foreign": sum(follower.foreign for follower in followers.values()) + load.counts.pop("foreign", 0),
    }
    rows["cut off and shown as whole"] = sum("looks whole" in fault for fault in load.faults)
    return {**rows, **dict(sorted(load.counts.items()))}, faults


def table(rows: dict[str, Any]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| what | count |", "|---|---:|", *(f"| {name} | {value} |" for name, value in rows.items())]
    return "\n".join(lines)


def failed(rows: dict[str, Any]) -> bool:
    """Whether anything is there that must not be."""
    names = ("without an end", "lost", "duplicated", "foreign", "processes left behind", "cut off and shown as whole")
    return any(rows[name] for name in names)


def main() -> int:
    """Run by hand; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    options = parser.parse_args()
    print(f"seed {options.seed}", file=sys.stderr, flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        rows, faults = asyncio.run(run(Path(folder), options.iterations, options.seed))
    for fault in faults:
        print(fault, file=sys.stderr)
    print(table({"seed": options.seed, "minutes": round((time.monotonic() - began) / 60, 1), **rows}))
    return 1 if failed(rows) or faults else 0


if __name__ == "__main__":
    sys.exit(main())
