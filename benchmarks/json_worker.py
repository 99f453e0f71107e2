"""A program that answers one JSON object for each it is given, line by line; for peers that live in another Python."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from typing import Any, TypeVar

from server.hosting.process.uv_tool import clean_environment

from .processes import BenchmarkError

W = TypeVar("W", bound="JsonWorker")


class JsonWorker:
    """Use as a context manager. What the program writes to its error output is shown when it fails."""

    def __init__(self, command: list[str], environment: Mapping[str, str] | None = None) -> None:
        self._command = command
        self._environment = {**clean_environment(os.environ), **(environment or {})}
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the program)
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self: W) -> W:
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()
        self._errors.close()

    def ask(self, question: Mapping[str, Any]) -> Any:
        """Return the program's answer. Raises ``BenchmarkError`` when it has ended instead."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(question) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())
        except (OSError, ValueError) as error:
            process.kill()
            process.wait()
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace")[-2000:]
            raise BenchmarkError(f"{self._command} gave no answer ({error!r}):\n{said}") from None
