"""``python -m server modules``: runs a module in the foreground, beside the server that serves its routes."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from urllib.parse import urlsplit

from ..config import ServerSettings
from ..data_folder import running_server
from ..hosting.install.run_command import run_module
from .subcommand import Subparsers, add_subcommand


def add_to(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = add_subcommand(subparsers, "modules", "Run a module yourself, to see and debug it.", run)
    actions = parser.add_subparsers(dest="action", required=True, metavar="run")
    text = "Run a module in the foreground until Ctrl-C; the running server gives it its commands."
    start = add_subcommand(actions, "run", text, run)
    start.add_argument("folder", metavar="FOLDER", help="its folder in the modules folder, or its id")


def run(settings: ServerSettings, options: argparse.Namespace) -> int:
    """Do it; return the exit status of the module."""
    address = running_server(settings.data_dir)
    if not address:
        _fail(f"No server runs with the data folder {settings.data_dir}. Start it: python -m server")
        return 1
    folder = Path(options.folder)
    if folder.is_dir() and folder.resolve().parent != settings.modules_dir.resolve():
        _fail(f"The server knows only what is in its modules folder, {settings.modules_dir}. Put the module there.")
        return 1
    name = folder.resolve().name if folder.is_dir() else options.folder
    return asyncio.run(run_module(settings, name, urlsplit(address).port or 80, _fail))


def _fail(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
