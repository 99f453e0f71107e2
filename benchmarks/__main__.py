"""``python -m benchmarks NAME``: measure something side by side with a peer; see docs/measurements.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from server.config import ROOT

from . import dispatch, hostile, recovery, relay, start, upload
from .llama import benchmark as llama
from .options import Options
from .processes import BenchmarkError
from .report import json_lines, markdown, table
from .rows import Row

BENCHMARKS: dict[str, Callable[[Options], list[Row]]] = {
    "dispatch": dispatch.measure,
    "relay": relay.measure,
    "upload": upload.measure,
    "hostile": hostile.measure,
    "recovery": recovery.measure,
    "start": start.measure,
    "llama": llama.measure,
}


def main(arguments: list[str]) -> int:
    """Run what is named; return 0 when every budget is kept, 1 when one is not, 2 when nothing could be measured."""
    options = _parser().parse_args(arguments)
    if options.name == "list":
        print("\n".join(f"{name:<10}{_purpose(name)}" for name in BENCHMARKS))
        return 0
    names = list(BENCHMARKS) if options.name == "all" else [options.name]
    return max(_run(name, options) for name in names)


def _run(name: str, given: argparse.Namespace) -> int:
    quiet = sys.stderr if given.json else sys.stdout
    options = Options(
        rounds=given.rounds,
        seconds=given.seconds,
        cache=given.cache.resolve(),
        rows=tuple(filter(None, given.rows.split(","))),
        threads=given.threads,
        tokens=given.tokens,
        prompt_words=given.prompt_words,
        plot=given.plot.resolve() if given.plot else None,
        llama_server=given.llama_server.resolve() if given.llama_server else None,
        say=lambda text: print(f"  {text}", file=quiet, flush=True),
    )
    try:
        rows = BENCHMARKS[name](options)
    except BenchmarkError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    if not given.json:
        print(markdown(rows) if given.markdown else table(rows))
    print("\n".join(json_lines(name, rows)), flush=True)
    return 1 if any(row.ok is False for row in rows) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=[*BENCHMARKS, "all", "list"])
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON lines")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--rounds", type=int, default=5, help="how often each peer is measured (default 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each time (default 3)")
    parser.add_argument("--cache", type=Path, default=ROOT / "data" / "benchmarks", help="folder for environments")
    llama_only = parser.add_argument_group("for llama")
    llama_only.add_argument("--rows", default="", metavar="ROW,…", help="measure only these: " + ", ".join(llama.ROWS))
    llama_only.add_argument("--threads", type=int, default=0, help="threads of each peer (default: the processors)")
    llama_only.add_argument("--tokens", type=int, default=128, help="tokens of each reply (default 128)")
    llama_only.add_argument("--prompt-words", type=int, default=7700, help="words of the long prompt (default 7700)")
    llama_only.add_argument("--plot", type=Path, metavar="PNG", help="measure the scaling row too and draw its curve")
    llama_only.add_argument(
        "--llama-server", type=Path, metavar="PROGRAM", help="a llama-server built here, instead of xllamacpp's wheel"
    )
    return parser


def _purpose(name: str) -> str:
    text = sys.modules[BENCHMARKS[name].__module__].__doc__ or ""
    return text.splitlines()[0].partition(": ")[2]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
