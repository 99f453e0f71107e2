"""The base class of every module."""

from __future__ import annotations

import contextlib
import os
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

from .channel import Channel
from .channel_options import ChannelOptions
from .common import JSON, ProcessOutcome
from .host import EXIT_FAILED, ModuleHost, exit_process
from .http_calls import FileToSend, call_server
from .module_logging import LogMethod, LogVerbosity, ModuleLogger, print_safely
from .module_options import ModuleOptions
from .own_methods import missing_process
from .queue_client import QueueClient, QueueOptions
from .readiness import Readiness
from .request_data import RequestData
from .selftest import FLAG, run_selftest
from .system_info import SystemInfo
from .transport import Transport
from .utils.environment_check import check_packages, requirements_filepath

__all__ = ["ModuleRunner"]


class ModuleRunner:
    """Subclass this, write ``process()``, and call ``start_loop()``.

    ``process()`` returns the answer as a dict with ``success`` in it, or a function: the long process, which is
    then called in the background with the same request and writes into ``data.reply``.
    """

    def __init__(self) -> None:
        self.system_info = SystemInfo()
        self.module_id: str = ModuleOptions.module_id
        self.module_name: str = ModuleOptions.module_name
        self.module_path: str = ModuleOptions.module_path
        self.queue_name: str = ModuleOptions.queue_name
        self.port: int = ModuleOptions.port
        self.base_api_url: str = ModuleOptions.base_api_url
        self.server_root_path: str | None = ModuleOptions.server_root_path
        self.python_dir: str = ModuleOptions.python_dir
        self.python_pkgs_dir: str = sysconfig.get_paths()["purelib"]
        self.log_verbosity: LogVerbosity = ModuleOptions.log_verbosity
        self.launched_by_server: bool = ModuleOptions.launched_by_server
        self.required_MB: int = ModuleOptions.required_MB
        self.accel_device_name: str | None = ModuleOptions.accel_device_name
        self.parallelism: int = ModuleOptions.parallelism
        self.enable_GPU: bool = ModuleOptions.enable_GPU
        self.half_precision: str = ModuleOptions.half_precision
        self.inference_device: str = "CPU"
        self.inference_library: str = ""
        self.can_use_GPU: bool = False
        self.force_shutdown: bool = True
        self.selftest_check_pkgs: bool = True
        self.long_running_command_task: Any = None
        self.long_running_command_id: str | None = None
        self.last_long_running_output: JSON | None = None
        self._performing_self_test = False
        self._cancelled = False
        self._successful_inferences = 0
        self._failed_inferences = 0
        self._total_inference_time_ms = 0.0
        self._statistics_lock = threading.Lock()
        self._readiness = Readiness()
        self._logger = ModuleLogger(self.server_root_path or self.module_path)

    # What a module may override

    def initialise(self) -> Awaitable[None] | None:
        """Get ready to serve; may be ``async``. An exception ends the process with its text as the reason."""
        return None

    def initialize(self) -> Awaitable[None] | None:
        """The same in the other spelling; when overridden it is used instead of ``initialise``."""
        return None

    def process(self, data: RequestData) -> ProcessOutcome:
        """Return the answer to a request, or the long process that makes it; may be ``async``.

        Called from several threads at once when ``parallelism`` is above 1.
        """
        return None

    def module_status(self) -> JSON | None:
        """Return what the module's status should show besides device and statistics. Called every 2 s."""
        return {}

    def status(self) -> JSON | None:
        """The old name of ``module_status``."""
        return self.module_status()

    def command_status(self) -> JSON | None:
        """The old way to report progress: return what a poll of the long command should show.

        A module that overrides this runs one long command at a time; ``data.reply`` has no such limit.
        """
        return {}

    def cancel_command_task(self) -> Any:
        """The old way to learn of a cancelled long command; new modules look at ``data.reply.cancelled``.

        Set ``self.force_shutdown = False`` here when the long process will end by itself.
        """
        return None

    def selftest(self) -> Any:
        """Return a dict whose ``success`` tells whether the module works. Run by ``--selftest``."""
        return {"success": True}

    def cleanup(self) -> Any:
        """Release what the module holds. Called once, at the end."""
        return None

    def update_statistics(self, response: JSON) -> None:
        """Count an answered command. ``response`` is its complete answer; an override calls this one too."""
        with self._statistics_lock:
            if not response.get("success"):
                self._failed_inferences += 1
                return
            self._successful_inferences += 1
            with contextlib.suppress(TypeError, ValueError):
                self._total_inference_time_ms += float(response.get("inferenceMs") or 0)

    # What a module calls

    def start_loop(self) -> None:
        """Serve until the server or a signal says to quit; the process ends here. ``--selftest`` tests instead."""
        if fault := missing_process(self, ModuleRunner):
            print_safely(sys.stderr, f"critical: {fault}")
            exit_process(EXIT_FAILED)
        if FLAG in sys.argv[1:]:
            exit_process(run_selftest(self))
        exit_process(ModuleHost(self, self._make_transport).run())

    def log(self, log_method: LogMethod, data: dict[str, Any]) -> None:
        """Log a message. ``data``: message, and optionally filename, label, loglevel, exception_type, process."""
        self._logger.log(log_method, {"process": self.module_name, **data})

    async def log_async(self, log_method: LogMethod, data: dict[str, Any]) -> None:
        """Log a message; the same as ``log``, which never waits."""
        self.log(log_method, data)

    def report_error(self, exception: BaseException | None, filename: str, message: str | None = None) -> None:
        """Log an error to the server. Without a message, the exception's traceback is the message."""
        if message is None:
            message = "".join(traceback.format_exception(exception)) if exception else "Unknown error"
        data = {
            "message": message,
            "filename": os.path.basename(filename),
            "loglevel": "error",
            "method": None,
            "exception_type": type(exception).__name__ if exception else None,
        }
        self.log(LogMethod.Error | LogMethod.Server, data)

    async def report_error_async(
        self, exception: BaseException | None, filename: str, message: str | None = None
    ) -> None:
        """Log an error; the same as ``report_error``, which never waits."""
        self.report_error(exception, filename, message)

    async def call_api(
        self, method: str, files: dict[str, FileToSend] | None = None, data: dict[str, Any] | None = None
    ) -> Any:
        """Call the server: POST to ``/v1/`` + ``method``, within 10 s.

        ``files``: name → (filename, bytes, content type). Return the parsed JSON, or the text of another
        answer, or ``""`` when the call failed.
        """
        return await call_server(self.base_api_url + method, files, data)

    def report_not_ready(self, reason: str, passing: bool = False) -> None:
        """Say why the module cannot do its work: its state shows it. Commands still come, to be answered with it.

        ``passing``: this will end by itself. Without it somebody must do something, and ``reason`` says what.
        """
        self._readiness.say(reason, passing)

    def report_ready(self) -> None:
        """Say that the module can do its work. Needed only after ``report_not_ready``."""
        self._readiness.say("", False)

    def start_timer(self, desc: str) -> tuple[str, float]:
        """Return a timer for ``end_timer``."""
        return desc, time.perf_counter()

    def end_timer(self, timer: tuple[str, float], label: str = "timing", command: str | None = None) -> None:
        """Log how long it was since ``start_timer``."""
        desc, start = timer
        took = round((time.perf_counter() - start) * 1000)
        name = f"{command}: " if command else ""
        self.log(
            LogMethod.Info | LogMethod.Server,
            {"message": f"{name}{desc} took {took}ms", "label": label, "loglevel": "information"},
        )

    def get_requirements_filepath(self) -> str | None:
        """Return the path of the requirements file that fits this machine, or None when there is none."""
        return requirements_filepath(self.module_path, self.system_info, self.enable_GPU)

    def check_packages(self) -> None:
        """Print which packages of the requirements file are not installed."""
        check_packages(self.get_requirements_filepath())

    # What the host needs to know

    @property
    def _is_old_style(self) -> bool:
        return type(self).command_status is not ModuleRunner.command_status

    @property
    def _hears_of_cancels(self) -> bool:
        return type(self).cancel_command_task is not ModuleRunner.cancel_command_task

    def _initialiser(self) -> Callable[[], Any]:
        overridden = type(self).initialize is not ModuleRunner.initialize
        return self.initialize if overridden else self.initialise

    def _capacity(self) -> tuple[int, int]:
        """How many quick and how many long commands may run at once."""
        parallelism = max(1, int(self.parallelism or 0))
        return parallelism, 1 if self._is_old_style else parallelism

    def _make_transport(self) -> Transport:
        options = ChannelOptions.from_environment(self.module_id)
        if options is not None:
            return Channel(options, self._capacity)
        return QueueClient(QueueOptions(self.base_api_url, self.queue_name, self.module_id, self.module_name))
