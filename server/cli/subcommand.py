"""What every subcommand of ``python -m server`` is: a parser that knows the server's flags, and what it runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeAlias

from ..config import ServerSettings, add_settings_flags

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

Run = Callable[[ServerSettings, argparse.Namespace], int]
"""Does what was asked for, and returns the exit status."""


def add_subcommand(subparsers: Subparsers, name: str, text: str, run: Run) -> argparse.ArgumentParser:
    """Add a subcommand; ``text`` says in one sentence what it does. The server's flags may stand behind it too."""
    parser = subparsers.add_parser(name, help=text, description=text)
    add_settings_flags(parser, default=argparse.SUPPRESS)
    parser.set_defaults(run=run)
    return parser
