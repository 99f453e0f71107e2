"""The command line: ``python -m server``. Parses, configures, runs."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any

import psutil

from .cli import parse
from .commands.errors import StorageError
from .config import ServerSettings, SettingsError, settings_of
from .data_folder import DataFolder, OccupiedError
from .http.request_log import open_access_log
from .log_book import configure_logging


def main() -> int:
    """Run the server or a subcommand, make module environments, or test a module; return the exit status."""
    try:
        options = parse(sys.argv[1:])
        settings = settings_of(options, os.environ, serving=options.run is None)
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.run is not None:
        return int(options.run(settings, options))
    if options.install_modules is not None:
        from .hosting.host import install_modules

        return _to_its_end(install_modules(settings, options.install_modules, _say))
    if options.selftest is not None:
        from .hosting.install.selftest_command import selftest

        return _to_its_end(selftest(settings, options.selftest, _say))
    return _serve_here(settings)


def _serve_here(settings: ServerSettings) -> int:
    """Run the server in its data folder, which must be its own before anything in it is touched."""
    folder = DataFolder(settings.data_dir)
    try:
        folder.take(settings.address(settings.port) if settings.port else "")
    except OccupiedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        text = f"The data folder {settings.data_dir} cannot be used: {error.strerror or error}."
        print(f"error: {text} Choose another one (--data-dir, MILLRACE_DATA_DIR).", file=sys.stderr)
        return 1
    try:
        configure_logging(settings.data_dir / "logs")
        open_access_log(settings.data_dir / "logs", settings.access_log)
        _run(_serve(settings, folder))
    except OSError as error:
        print(f"error: {_listen_error(settings, error)}", file=sys.stderr)
        return 1
    except StorageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        folder.release()
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _to_its_end(work: Coroutine[Any, Any, bool]) -> int:
    """SIGTERM ends it as Ctrl-C does: what it has started is stopped with it."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        return 0 if asyncio.run(work) else 1
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Uvloop where it exists: about a third more requests a second."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


def _tune_collector() -> None:
    """Collect seldom, and never what lives as long as the server: else it is a tenth of a quick command's cost."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


async def _serve(settings: ServerSettings, folder: DataFolder) -> None:
    from .app import run

    stop = asyncio.Event()
    _on_signals(stop)
    _tune_collector()
    await run(settings, stop, folder)


def _on_signals(stop: asyncio.Event) -> None:
    """The first signal asks for a clean stop, a second one means now."""

    def asked() -> None:
        if stop.is_set():
            _end_now()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, asked)
        except NotImplementedError:  # Windows' event loops
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(asked))


def _end_now() -> None:
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()
    os._exit(1)


def _listen_error(settings: ServerSettings, error: OSError) -> str:
    if error.errno in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL):
        return (
            f"Cannot listen on {settings.host} port {settings.port}: {os.strerror(error.errno)}. "
            "Is another server running? Choose another port with --port, or stop that program."
        )
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
