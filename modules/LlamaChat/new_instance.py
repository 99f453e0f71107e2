"""Run a second model beside the first: make another instance of this module, with a model of its own.

    python new_instance.py NAME --model FILE

NAME becomes the instance's id and the end of its routes, such as ``text/chat/name``. FILE is a GGUF file in the model
folder, or a path. The instance is a folder beside this one with nothing but a settings file; it uses this module's
program and environment, and a running server starts it by itself. Delete the folder to be rid of it.

In one step with a file of yours, or with one to download: ``bash install.sh --model … --as NAME``.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from llamachat.chat.model_folder import model_files
from llamachat.chat.settings import PREFIX
from llamachat.engine.errors import LlamaChatError

MODULE_DIR = Path(__file__).resolve().parent
SETTINGS_FILE = "modulesettings.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ROUTES = ("text/chat", "text/embeddings", "text/models")


class InstanceError(LlamaChatError):
    """The instance cannot be made; the text says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the instance; return the exit code, 1 after an error that was printed."""
    options = _parse(arguments)
    try:
        model = _model_file(options.model, options.model_dir)
        if exists(options.name, options.modules_dir):
            raise InstanceError(f"There is a module {options.name} already: {options.modules_dir / options.name}.")
        folder = make(options.name, model_variables(model), options.modules_dir)
    except LlamaChatError as problem:
        print(f"Error: {problem}", file=sys.stderr)
        return 1
    print(made(options.name, folder))
    return 0


def exists(name: str, modules_dir: Path = MODULE_DIR.parent) -> bool:
    """Whether there is an instance of this name. Raises ``InstanceError`` when the name cannot be had."""
    if not _NAME.fullmatch(name):
        raise InstanceError(
            f"{name!r} cannot be the name of an instance: use letters, digits, '.', '-' and '_', at most 64 of them."
        )
    taken = [path.name for path in modules_dir.iterdir() if path.name.lower() == name.lower()]
    if not taken:
        return False
    path = modules_dir / taken[0] / SETTINGS_FILE
    try:
        known = json.loads(path.read_bytes())["Modules"][name]["InstanceOf"] == MODULE_DIR.name
    except (OSError, ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise InstanceError(f"The name {name} is taken by {modules_dir / taken[0]}. Choose another.")
    return True


def make(name: str, variables: Mapping[str, str], modules_dir: Path = MODULE_DIR.parent) -> Path:
    """Write the folder of an instance, all at once, and return it."""
    settings = {
        "InstanceOf": MODULE_DIR.name,
        "Name": name,
        "LaunchSettings": {"AutoStart": True},
        "EnvironmentVariables": dict(variables),
    }
    folder = modules_dir / name
    unfinished = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=modules_dir))
    try:
        unfinished.chmod(0o755)
        text = json.dumps({"Modules": {name: settings}}, indent=2, ensure_ascii=False) + "\n"
        (unfinished / SETTINGS_FILE).write_text(text, "utf-8")
        unfinished.rename(folder)
    except OSError as problem:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise InstanceError(f"{folder} cannot be written: {problem.strerror}.") from problem
    return folder


def model_variables(filename: str, repo_id: str = "", fileglob: str = "") -> dict[str, str]:
    """Return the settings that name a model. An @ in front keeps the server from changing the slashes."""
    return {
        PREFIX + "MODEL_FILENAME": f"@{filename}",
        PREFIX + "MODEL_REPO": f"@{repo_id}" if repo_id else "",
        PREFIX + "MODEL_FILEGLOB": f"@{fileglob}" if fileglob else "",
    }


def made(name: str, folder: Path) -> str:
    """Return what to tell somebody who has made an instance."""
    routes = ", ".join(f"/v1/{route}/{name.lower()}" for route in _ROUTES)
    return f"The instance {name} is in {folder}.\nA running server starts it within seconds. Its routes: {routes}"


def _model_file(named: str, model_dir: Path) -> str:
    path = Path(named)
    if path.is_absolute() or not (model_dir / named).is_file():
        if path.is_file():
            return str(path.resolve())
        there = ", ".join(file.relative_to(model_dir).as_posix() for file in model_files(model_dir))
        raise InstanceError(
            f"There is no model file {named} here or in {model_dir}. There are: {there or 'none'}. To get "
            "another: bash install.sh --model FILE.gguf --as NAME, or --model <owner>/<name>[:<file>] to download one."
        )
    return path.as_posix()


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run a second model beside the first, as another instance.")
    parser.add_argument("name", help="id of the instance, and the end of its routes")
    parser.add_argument("--model", required=True, metavar="FILE", help="a GGUF file in the model folder, or a path")
    parser.add_argument("--model-dir", type=Path, default=MODULE_DIR / "models", help="where models are kept")
    parser.add_argument("--modules-dir", type=Path, default=MODULE_DIR.parent, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
