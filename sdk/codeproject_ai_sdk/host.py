"""The life of a module process: connect, initialise, serve, clean up, exit."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from .calls import Calls
from .dispatcher import Dispatcher
from .guarded_output import guard_output
from .module_logging import LogMethod, print_safely
from .request_data import RequestData
from .status_report import StatusReporter
from .transport import Transport

if TYPE_CHECKING:
    from .module_runner import ModuleRunner

EXIT_FAILED = 1

DEADLINE = 4.8
"""Seconds from the decision to leave to the end of the process, whatever the module's code does."""
COMMANDS_SECONDS = 1.0
CLEANUP_SECONDS = 2.5
SENDING_SECONDS = 0.6


class ModuleHost:
    """Runs one module in this process, over one transport. The transport's handler (see ``transport.py``)."""

    def __init__(self, runner: ModuleRunner, make_transport: Callable[[], Transport]) -> None:
        self._runner = runner
        self._calls = Calls()
        self._transport = make_transport()
        self._dispatcher = Dispatcher(runner, self._transport, self._calls)
        self._reporter = StatusReporter(runner, self._transport, self._calls)
        self._leaving = threading.Event()
        self._initialising = threading.Event()
        self._initialised = threading.Event()
        self._exit_code = 0

    def run(self) -> int:
        """Serve until it is time to leave; return the exit code. Everything has been cleaned up then."""
        guard_output()
        self._catch_signals()
        self._runner._logger.attach(self._transport.log)
        self._transport.open(self)
        while not self._leaving.wait(0.5):  # a bare wait() would not see Ctrl-C on Windows
            pass
        self._shut_down()
        return self._exit_code

    def welcomed(self) -> None:
        """Initialise the module, the first time the server answers."""
        if not self._initialising.is_set():
            self._initialising.set()
            threading.Thread(target=self._initialise, name="millrace-initialise", daemon=True).start()

    def command(self, data: RequestData) -> None:
        """Take a command."""
        self._dispatcher.command(data)

    def cancel(self, command_id: str) -> bool:
        """Stop a command."""
        return self._dispatcher.cancel(command_id)

    def drop(self, command_id: str) -> None:
        """Stop a command whose answer is not wanted any more."""
        self._dispatcher.drop(command_id)

    def trouble(self, text: str) -> None:
        """Log what went wrong with the connection."""
        self._log(text, "warning")

    def leave(self, reason: str, code: int) -> None:
        """Decide to exit; the first decision counts."""
        if self._leaving.is_set():
            return
        self._exit_code = code
        self._log(reason, "critical" if code else "information")
        if code:
            print_safely(sys.stderr, f"critical: {reason}")
        self._leaving.set()

    def _initialise(self) -> None:
        runner = self._runner
        try:
            self._calls.invoke(runner._initialiser())
            parallelism, long_parallelism = runner._capacity()
        except BaseException as error:  # a module that calls sys.exit() here has failed as well
            runner.report_error(error, __file__)
            self.leave(f"initialise() failed: {type(error).__name__}: {error}", EXIT_FAILED)
            return
        self._initialised.set()
        self._dispatcher.start(parallelism, long_parallelism)
        runner._readiness.follow(partial(self._transport.ready, parallelism, long_parallelism))
        self._reporter.start()

    def _shut_down(self) -> None:
        watchdog = threading.Timer(DEADLINE, os._exit, (self._exit_code,))
        watchdog.daemon = True
        watchdog.start()
        self._reporter.stop()
        self._dispatcher.stop(COMMANDS_SECONDS)
        if self._initialised.is_set():
            self._clean_up()
        self._transport.close(SENDING_SECONDS)
        self._runner._logger.attach(None)

    def _clean_up(self) -> None:
        thread = threading.Thread(target=self._call_cleanup, name="millrace-cleanup", daemon=True)
        thread.start()
        thread.join(CLEANUP_SECONDS)
        if thread.is_alive():
            self._log("cleanup() takes too long and is given up", "warning")

    def _call_cleanup(self) -> None:
        try:
            self._calls.invoke(self._runner.cleanup)
        except BaseException as error:  # nothing may keep the process from leaving
            self._log("cleanup() failed: " + "".join(traceback.format_exception(error)), "error")

    def _catch_signals(self) -> None:
        # SIGBREAK is what a Windows console group sends; the other platforms have no such name.
        names = ("SIGTERM", "SIGINT", "SIGBREAK")
        with contextlib.suppress(ValueError):  # not in the main thread: somebody else handles signals
            for name in names:
                if hasattr(signal, name):
                    signal.signal(getattr(signal, name), self._on_signal)

    def _on_signal(self, number: int, frame: object) -> None:
        # Only a note: a handler runs between two steps of the main thread and must not take locks.
        threading.Thread(target=self.leave, args=(f"Got signal {number}", 0), daemon=True).start()

    def _log(self, text: str, level: str) -> None:
        self._runner.log(LogMethod.Server, {"message": text, "loglevel": level})


def exit_process(code: int) -> None:
    """End the process now, after exit handlers and with all output written, though threads may still run.

    An ordinary exit would wait for the module's threads, and could crash in native libraries they are in.
    """
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)
