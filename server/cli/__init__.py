"""The command line: the flags of the server, and its subcommands, one file each."""

from __future__ import annotations

import argparse

from ..config import add_flags
from . import check, keys, modules

_SUBCOMMANDS = (keys, check, modules)
"""In the order of ``--help``."""


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options; ``run`` is the subcommand's, or None for the server itself. Ends the program for --help."""
    parser = argparse.ArgumentParser(prog="python -m server", description="Millrace, a local AI server.")
    add_flags(parser)
    parser.set_defaults(run=None)
    subparsers = parser.add_subparsers(title="subcommands", metavar="SUBCOMMAND", description="Without one, it serves.")
    for subcommand in _SUBCOMMANDS:
        subcommand.add_to(subparsers)
    return parser.parse_args(arguments)
