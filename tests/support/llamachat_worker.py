"""Running LlamaChat's programs with the interpreter of its own environment."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "modules" / "LlamaChat"
TINY_MODEL = MODULE / "models" / "millrace-tiny.gguf"
SCRIPTS = Path(__file__).parent


def interpreter() -> Path:
    """Return the Python that has llama.cpp: the module's environment, or what MILLRACE_LLAMACHAT_PYTHON names."""
    named = os.environ.get("MILLRACE_LLAMACHAT_PYTHON")
    environment = ROOT / "data" / "environments" / "LlamaChat"
    data_dir = os.environ.get("MILLRACE_DATA_DIR")
    places = [Path(data_dir) / "environments" / "LlamaChat"] if data_dir else []
    candidates = [Path(named)] if named else []
    for place in [*places, environment]:
        candidates += [place / "bin" / "python", place / "Scripts" / "python.exe"]
    for candidate in candidates:
        if candidate.exists():
            return candidate
    pytest.fail(f"LlamaChat's environment is missing (looked for {candidates[0]}): run 'bash install.sh' first.")


@dataclass(frozen=True)
class Ended:
    """A program that has ended."""

    code: int
    stdout: str
    stderr: str


async def start(*arguments: str | Path, environment: Mapping[str, str] | None = None) -> asyncio.subprocess.Process:
    """Start Python with the module's folder and the SDK on its path."""
    path = os.pathsep.join([str(MODULE), str(ROOT / "sdk")])
    return await asyncio.create_subprocess_exec(
        interpreter(),
        *map(str, arguments),
        cwd=MODULE,
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def run(*arguments: str | Path, environment: Mapping[str, str] | None = None, seconds: float = 100) -> Ended:
    """Run Python to its end."""
    process = await start(*arguments, environment=environment)
    try:
        out, err = await asyncio.wait_for(process.communicate(), seconds)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    return Ended(process.returncode or 0, out.decode(), err.decode())


async def run_script(name: str, *arguments: str | Path, **environment: str) -> Any:
    """Run one of the worker scripts and return the JSON object on the last line of what it prints."""
    ended = await run(SCRIPTS / f"llamachat_{name}.py", *arguments, environment=environment)
    if ended.code != 0:
        pytest.fail(f"{name} ended with code {ended.code}\n{ended.stdout}\n{ended.stderr}")
    print(ended.stderr, file=sys.stderr)
    return json.loads(ended.stdout.strip().splitlines()[-1])
