"""The command line of the fuzzer: ``python -m tests.fuzz [--minutes 60] [--seed 1] [--replay FILE]``.

Prints a table of what was sent by each way in, and for each finding a file that can be replayed. Exit status 1 when
something was found.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

from .findings import Finding, Findings, load
from .records import Damaged
from .run import Run, commit, ways_into
from .target import Target

MEGABYTE = 1024 * 1024


def main() -> int:
    """Run by hand; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--findings", type=Path, default=Path("data") / "fuzz", help="folder for what is found")
    parser.add_argument("--replay", type=Path, help="send the inputs of a finding again, one after another")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.replay is not None:
            return asyncio.run(_replay(Path(folder), load(options.replay)))
        return asyncio.run(_fuzz(Path(folder), options.minutes, options.seed, options.findings))


async def _fuzz(folder: Path, minutes: float, seed: int, findings: Path) -> int:
    until = time.monotonic() + minutes * 60
    of = commit()
    say(f"commit {of}, seed {seed}")
    run = Run(seed, say)
    began = time.monotonic()
    try:
        await run.rounds(folder, lambda number: time.monotonic() < until)
    finally:
        for finding in run.findings.all:
            say(f"{finding.way}: {finding.kind}\n  python -m tests.fuzz --replay {finding.save(findings, of, seed)}")
        print(table(run, of, time.monotonic() - began))
    return 1 if run.findings.all else 0


async def _replay(folder: Path, finding: Finding) -> int:
    """Send the inputs one by one, and say after which one the server is not as it should be."""
    run = Run(0, say)
    if finding.way == Damaged.name:
        damaged = Damaged(folder / "records")
        await asyncio.to_thread(damaged.prepare)
        await run.send(damaged, finding.inputs, finding.first)
        return 1 if run.findings.all else 0
    target = Target(folder / "target", keys=True)
    await asyncio.to_thread(target.start)
    (way,) = [one for one in ways_into(target) if one.name == finding.way]
    for number, data in enumerate(finding.inputs, finding.first):
        run.findings = Findings()
        await run.send(way, [data], number)
        await run.look(way, target, [data], number)
        if run.findings.all:
            print(f"{run.findings.all[0].told}\nafter input {number}: {data!r}")
            break
    await way.close()
    await asyncio.to_thread(target.server.stop)
    return 1 if run.findings.all else 0


def table(run: Run, of: str, seconds: float) -> str:
    """What was done, as a Markdown table."""
    rows = {"commit": of, "seed": str(run.seed), "minutes": f"{seconds / 60:.1f}"}
    rows.update(
        {f"inputs: {name}": f"{count} ({count / run.seconds[name]:.0f}/s)" for name, count in run.counts.items()}
    )
    rows["inputs"] = str(sum(run.counts.values()))
    for name, sizes in run.sizes.items():
        for label, size in (("after the first round", sizes[0]), ("at the end", sizes[-1])):
            memory, disk = f"{size.memory / MEGABYTE:.0f} MB", f"{size.disk / MEGABYTE:.1f} MB on disk"
            rows[f"server ({name}) {label}"] = f"{memory}, {size.descriptors} descriptors, {disk}"
    rows["findings"] = str(len(run.findings.all))
    return "\n".join(["| what | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


def say(text: str) -> None:
    """Tell whoever watches."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
