"""Puts the steps in order: install, then a model, then the tests, then the server."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from . import commands, environment, model, modules, ports, prerequisites, run, settings, test
from .layout import Layout
from .options import Options, parse
from .progress import InstallError, Progress

ROOT = Path(__file__).resolve().parent.parent
INTERRUPTED = 130
"""Exit code after a Ctrl-C during the installation, as shells have it."""


def run_from_command_line(arguments: Sequence[str]) -> int:
    """Do what the command line asks; returns the exit code. Errors are told in words, never as a traceback."""
    options = parse(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a console that cannot show a letter must not stop us
    layout = Layout.of(ROOT)
    progress = Progress(layout.logs)
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT, too: a script's background job starts with it ignored
        signal.signal(number, _interrupt)
    try:
        return _carry_out(options, layout, progress)
    except (InstallError, OSError) as error:
        progress.say()
        print(error, file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        progress.say("\nStopped. Run the same command again to go on.")
        return INTERRUPTED


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _carry_out(options: Options, layout: Layout, progress: Progress) -> int:
    testing = options.pytest_args is not None
    prerequisites.ensure(layout, progress, testing=testing)
    environment.ensure(layout, progress, Path(sys.executable), test.EXTRAS if testing else ())
    if options.run:
        # Before the long work rather than after it; asked again when the server starts.
        ports.ensure_free(settings.ask(layout, options.port))
    # A server that runs makes its modules' environments itself.
    ready = modules.prepare(layout, progress) if testing or not options.run else True
    later = _take_model(options, layout, progress) if options.model is not None else None
    if options.pytest_args is not None:
        failed = test.run(layout, progress, options.pytest_args)
        if failed or not options.run:
            return failed
    if options.run:
        return run.run(layout, progress, options, later)
    if options.model is None:
        without = "" if ready else " but not all of its modules"
        progress.say(f"\nMillrace is installed{without}. Start it with: {commands.install('--run')}")
    return 0 if ready else 1


def _take_model(options: Options, layout: Layout, progress: Progress) -> str | None:
    """Let LlamaChat use the model; returns the repository of one that is downloaded while the server runs."""
    assert options.model is not None
    asked = settings.ask(layout)
    own = model.own_file(options.model)
    if own is None and options.run and options.pytest_args is None:
        return options.model
    try:
        if own is not None:
            model.use_file(layout, progress, asked, own, options.instance)
        else:
            model.download(layout, progress, asked, options.model, options.instance)
    except InstallError as error:
        if not options.run:
            raise
        progress.say(f"\nWarning: {error}\n")
    return None
