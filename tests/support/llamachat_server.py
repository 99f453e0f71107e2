"""A real server with LlamaChat and instances of it, whose models are in a folder of the test's own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from tests.support.llamachat_worker import MODULE, TINY_MODEL
from tests.support.server_process import ServerProcess, wait_until

LONG: dict[str, Any] = {"prompt": "What is a module?", "ignore_eos": "true", "temperature": 0}
"""A chat that goes on until ``max_tokens``."""


def modules_with_llamachat(folder: Path) -> Path:
    """Make a modules folder with LlamaChat in it; its program and environment are the repository's."""
    modules = folder / "modules"
    modules.mkdir()
    (modules / "LlamaChat").symlink_to(MODULE, target_is_directory=True)
    return modules


def models_folder(folder: Path) -> Path:
    """Make a folder for models, with the built-in one in it."""
    models = folder / "models"
    models.mkdir()
    shutil.copyfile(TINY_MODEL, models / TINY_MODEL.name)
    return models


def choose(folder: Path, **sections: dict[str, Any]) -> None:
    """Write user settings for LlamaChat, for a server that is not running yet."""
    path = folder / "data" / "modulesettings.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"Modules": {"LlamaChat": sections}}))


def new_instance(modules: Path, name: str, model: str | Path) -> None:
    """Do what the documents tell a user to type."""
    script = [sys.executable, MODULE / "new_instance.py", name, "--model", model, "--modules-dir", modules]
    subprocess.run([str(part) for part in script], check=True, capture_output=True)


def process_of(server: ServerProcess, module_id: str) -> psutil.Process:
    """The process of a module."""
    assert server.process is not None
    for process in psutil.Process(server.process.pid).children(recursive=True):
        if process.environ().get("CPAI_MODULE_ID") == module_id:
            return process
    raise AssertionError(f"{module_id} has no process")


def wait_model(server: ServerProcess, module_id: str, file: str) -> dict[str, Any]:
    """Wait until a module is ready with this model, and return what it says of itself."""

    def loaded() -> dict[str, Any] | None:
        entry = server.module(module_id)
        said: dict[str, Any] = entry.get("statusData") or {}
        return said if entry.get("state") in ("Ready", "Busy") and said.get("modelFile") == file else None

    return wait_until(f"{module_id} has {file}", loaded, 120)
