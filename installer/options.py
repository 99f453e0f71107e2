"""The installer's command line."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass

DESCRIPTION = "Installs Millrace, and runs or tests it. Without options it only installs."
EXAMPLES = """\
examples:
  bash install.sh --run                     install what is missing, start the server, say hello
  bash install.sh --run --port 8080         the same on another port
  bash install.sh --model my/model.gguf     let LlamaChat use a model file of yours
  bash install.sh --model OWNER/NAME:FILE   download a model from Hugging Face for LlamaChat
  bash install.sh --model … --as Coder      run that model beside LlamaChat's, as Coder
  bash install.sh --test                    install what the tests need and run all of them
  bash install.sh --test tests/unit -k log  the same, with these arguments for pytest
"""


@dataclass(frozen=True)
class Options:
    """What the user asked for. ``instance`` is the name under which the model runs, beside LlamaChat's own.

    ``pytest_args`` is None unless the tests are to be run.
    """

    run: bool = False
    port: int | None = None
    model: str | None = None
    instance: str | None = None
    pytest_args: tuple[str, ...] | None = None


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (1 to 65535)")
    return int(text)


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name: use letters, digits, '.', '-' and '_'")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="install.sh",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--run", action="store_true", help="install, start the server and have a first chat")
    parser.add_argument("--port", type=_port, metavar="N", help="the server's port (32168 unless set)")
    parser.add_argument(
        "--model",
        metavar="FILE|REPO",
        help="let LlamaChat use a GGUF file, or one of a Hugging Face repository (OWNER/NAME[:FILE])",
    )
    parser.add_argument(
        "--as", dest="instance", type=_name, metavar="NAME", help="run that model beside LlamaChat's, under this name"
    )
    parser.add_argument(
        "--test",
        nargs=argparse.REMAINDER,
        metavar="ARG",
        help="run all checks and tests; everything after it goes to pytest, so it comes last",
    )
    return parser


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line; prints help or a usage error and raises SystemExit as argparse does."""
    parser = _parser()
    found = parser.parse_args(list(arguments))
    if found.instance is not None and found.model is None:
        parser.error("--as NAME says who uses the model of --model, which is missing")
    return Options(
        run=found.run,
        port=found.port,
        model=found.model,
        instance=found.instance,
        pytest_args=None if found.test is None else tuple(found.test),
    )
