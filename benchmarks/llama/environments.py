"""The environments that the benchmark's programs run in, and the model they all load."""

from __future__ import annotations

import os
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from server.config import ROOT
from server.hosting.process.uv_tool import clean_environment

from ..peers.installed import installed, python_of
from ..processes import BenchmarkError

PYTHON_VARIABLE = "MILLRACE_LLAMACHAT_PYTHON"
VOCABULARY = "vendor/llama.cpp/models/ggml-vocab-llama-spm.gguf"
PATIENCE = 900


def module_python() -> Path:
    """Return the Python of LlamaChat's environment: what ``MILLRACE_LLAMACHAT_PYTHON`` names, else the installed one.

    Raises ``BenchmarkError`` when there is none.
    """
    named = os.environ.get(PYTHON_VARIABLE)
    python = Path(named) if named else python_of(ROOT / "data" / "environments" / "LlamaChat")
    if not python.exists():
        raise BenchmarkError(f"LlamaChat's environment is missing ({python}): run 'bash install.sh' first.")
    return python


def peer_python(cache: Path) -> Path:
    """Return the Python that has llama.cpp's own server. Raises ``BenchmarkError`` when it cannot be installed."""
    return installed(cache / "xllamacpp", "llama.cpp's server (xllamacpp)", "xllamacpp")


def tools_python(cache: Path) -> Path:
    """Return the Python that writes models and draws curves. Raises ``BenchmarkError`` as above."""
    return installed(cache / "llama-tools", "The model writer", "gguf", "matplotlib", "pip")


def make_model(cache: Path, say: Callable[[str], None]) -> Path:
    """Return the model of random weights; it is written on the first call, in less than a minute.

    Raises ``BenchmarkError`` when its vocabulary cannot be fetched.
    """
    target = cache / "llama-random.gguf"
    if not target.exists():
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            vocabulary = _fetch_vocabulary(tools_python(cache), Path(folder))
            script = Path(__file__).with_name("write_model.py")
            run_text([str(tools_python(cache)), str(script), str(vocabulary), str(target)])
        say(f"{target} was written in {time.monotonic() - began:.0f} s")
    return target


def llama_cpp_version(python: Path) -> str:
    """Return the version of llama-cpp-python in an environment."""
    code = "from importlib.metadata import version; print(version('llama-cpp-python'))"
    return run_text([str(python), "-c", code]).strip()


def run_text(command: list[str]) -> str:
    """Run a program to its end and return what it prints. Raises ``BenchmarkError``."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, env=clean_environment(os.environ), check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchmarkError(f"{command} failed: {error}") from None
    if done.returncode:
        raise BenchmarkError(f"{command} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def _fetch_vocabulary(python: Path, folder: Path) -> Path:
    """Take the vocabulary out of llama-cpp-python's source package; nothing of it is built."""
    package = f"llama-cpp-python=={llama_cpp_version(module_python())}"
    options = ["--quiet", "--no-deps", "--no-binary", "llama-cpp-python", "--dest", str(folder)]
    run_text([str(python), "-m", "pip", "download", *options, package])
    archive = next(folder.glob("*.tar.gz"))
    with tarfile.open(archive) as source:
        member = next((entry for entry in source if entry.name.endswith(VOCABULARY)), None)
        data = source.extractfile(member) if member is not None else None
        if data is None:
            raise BenchmarkError(f"{archive.name} has no {VOCABULARY}")
        target = folder / "vocabulary.gguf"
        target.write_bytes(data.read())
    return target
