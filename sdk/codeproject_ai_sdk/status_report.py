"""What a module says about itself every few seconds."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from .answers import encode
from .calls import Calls
from .common import JSON
from .texts import encodable

if TYPE_CHECKING:
    from .module_runner import ModuleRunner
    from .transport import Transport

INTERVAL = 2.0
"""Seconds between two reports."""


def status_of(runner: ModuleRunner, calls: Calls) -> JSON:
    """Return the module's status: its device, its statistics and what ``module_status()`` says.

    A failing ``module_status()`` shows as the text ``statusError``.
    """
    status = {**_device_of(runner), **_statistics_of(runner)}
    try:
        own = calls.invoke(runner.module_status)
    except Exception as error:
        status["statusError"] = f"module_status() failed: {type(error).__name__}: {error}"
        return status
    if isinstance(own, dict):
        status.update(own)
    return status


def _device_of(runner: ModuleRunner) -> dict[str, Any]:
    # Modules of the 2.5 era set execution_provider instead of device and library.
    provider = getattr(runner, "execution_provider", None)
    if provider:
        device = "CPU" if provider == "CPU" else "GPU"
        library = "" if provider == "CPU" else str(provider)
    else:
        device, library = runner.inference_device, runner.inference_library
    return {
        "inferenceDevice": encodable(str(device)),
        "inferenceLibrary": encodable(str(library)),
        "canUseGPU": bool(runner.can_use_GPU),
    }


def _statistics_of(runner: ModuleRunner) -> dict[str, Any]:
    successful = runner._successful_inferences
    average = runner._total_inference_time_ms / successful if successful else 0.0
    return {
        "successfulInferences": successful,
        "failedInferences": runner._failed_inferences,
        "numInferences": successful + runner._failed_inferences,
        "averageInferenceMs": round(average, 3),
    }


class StatusReporter:
    """Sends the status again and again, from a thread of its own: the module's code may be slow."""

    def __init__(self, runner: ModuleRunner, transport: Transport, calls: Calls) -> None:
        self._runner = runner
        self._transport = transport
        self._calls = calls
        self._stop = threading.Event()
        self._last_error = ""

    def start(self) -> None:
        """Begin to report."""
        threading.Thread(target=self._run, name="millrace-status", daemon=True).start()

    def stop(self) -> None:
        """Report no more."""
        self._stop.set()

    def _run(self) -> None:
        while True:
            self._report()
            if self._stop.wait(INTERVAL):
                return

    def _report(self) -> None:
        status = status_of(self._runner, self._calls)
        try:
            encoded = encode(status)
        except TypeError as error:
            status = {**_device_of(self._runner), **_statistics_of(self._runner), "statusError": str(error)}
            encoded = encode(status)
        self._log_new_error(str(status.get("statusError", "")))
        self._transport.status(encoded)

    def _log_new_error(self, text: str) -> None:
        if text and text != self._last_error:
            self._runner.report_error(None, __file__, text)
        self._last_error = text
