"""Make the module use another chat model: a file of yours, or one to download.

    python download_model.py FILE.gguf | <owner>/<name>[:<file>] [--as NAME] [--data-dir DIR] [--model-dir DIR]

A file of yours is linked into the model folder, or copied where that cannot be. Of a repository without a file the
preferred quantisation is taken. An interrupted download goes on when the same command is given again; ``HF_ENDPOINT``
names another hub, ``HF_TOKEN`` opens repositories with a login. With a name, the instance of that name uses the model,
beside the module itself; it is made unless it is there.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llamachat.chat.own_model import names_a_file, take_in
from llamachat.chat.progress import Progress
from llamachat.chat.settings import PREFIX
from llamachat.chat.user_settings import read_environment, write_environment
from llamachat.engine.errors import LlamaChatError
from new_instance import exists, made, make, model_variables

MODULE_DIR = Path(__file__).resolve().parent
MODELS = MODULE_DIR / "models"
MODULE_ID = "LlamaChat"
_FOLDER = PREFIX + "MODEL_DIR"
_MIB = 1024 * 1024


@dataclass(frozen=True)
class Chosen:
    """A model that is in the model folder: its name there, where it is from, and what to tell about it."""

    filename: str
    repo_id: str
    told: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Get the model and configure it; return the exit code, 1 after an error that was printed."""
    options = _parse(arguments)
    progress = ProgressLine()
    try:
        is_new = options.instance is not None and not exists(options.instance, options.modules_dir)
        # Read before anything long begins: it must be possible to write it at the end.
        before = read_environment(options.data_dir, options.instance or MODULE_ID)
        folder = options.model_dir or _usual_folder(before)
        chosen = (
            _own(options.model, folder)
            if names_a_file(options.model)
            else _downloaded(options.model, folder, progress.show)
        )
        told = _configure(options, chosen, folder, is_new=is_new)
    except LlamaChatError as problem:
        print(f"{progress.end}Error: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{progress.end}Stopped. The same command goes on where it stopped.", file=sys.stderr)
        return 130
    print(f"{progress.end}{chosen.told}", told, sep="\n")
    return 0


def _own(model: str, folder: Path) -> Chosen:
    filename, told = take_in(Path(model), folder)
    return Chosen(filename, "", told)


def _downloaded(model: str, folder: Path, progress: Progress) -> Chosen:
    # Imported only now: a file of one's own needs no downloader, and none of its packages.
    from llamachat.chat.model_hub import ModelHub

    repo_id, _, filename = model.removeprefix("@").partition(":")
    hub = ModelHub(progress)
    files = hub.choose(repo_id, filename)
    total = sum(file.size for file in files) / _MIB
    print(f"Downloading {', '.join(file.name for file in files)} ({total:.1f} MiB) from {repo_id}", flush=True)
    path = hub.download(repo_id, files, folder)
    return Chosen(files[0].name, repo_id, f"The model is {path}")


def _configure(options: argparse.Namespace, chosen: Chosen, folder: Path, *, is_new: bool) -> str:
    """Let the module or the instance use the model; return what to tell about it."""
    variables = model_variables(chosen.filename, chosen.repo_id, chosen.filename if chosen.repo_id else "")
    if folder.resolve() != MODELS:
        variables[_FOLDER] = str(folder.resolve())
    if is_new:
        return made(options.instance, make(options.instance, variables, options.modules_dir))
    user = options.instance or MODULE_ID
    settings = write_environment(options.data_dir, user, variables)
    return f"{user} uses it from its next start on ({settings}). A running server starts it anew by itself."


def _usual_folder(environment: dict[str, str]) -> Path:
    """Return the folder that the user has chosen for models, else the module's own."""
    chosen = environment.get(_FOLDER, "").removeprefix("@")
    # What a macro of the server stands for is not known here.
    return MODULE_DIR / os.path.expanduser(chosen) if chosen and "%" not in chosen else MODELS


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make the module use another chat model.")
    parser.add_argument("model", help="a GGUF file; or owner/name of a repository with some, and :file to name one")
    default_data = os.environ.get("MILLRACE_DATA_DIR") or MODULE_DIR.parent.parent / "data"
    parser.add_argument("--data-dir", type=Path, default=Path(default_data), help="the server's data folder")
    parser.add_argument("--model-dir", type=Path, help="where models are kept")
    parser.add_argument("--as", dest="instance", metavar="NAME", help="the instance that shall use the model")
    parser.add_argument("--modules-dir", type=Path, default=MODULE_DIR.parent, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


class ProgressLine:
    """Shows a download's progress: one line that changes on a terminal, a line for every tenth elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._shown = ("", -1)
        self.end = ""

    def show(self, name: str, done: int, total: int) -> None:
        """Report that ``done`` of ``total`` bytes of a file are here."""
        percent = 100 * done // total if total else 100
        step = percent if self._terminal else percent // 10 * 10
        if (name, step) == self._shown:
            return
        self._shown = (name, step)
        text = f"  {name}: {percent:3} %  {done / _MIB:.1f} of {total / _MIB:.1f} MiB"
        print(f"\r{text}" if self._terminal else text, end="" if self._terminal else "\n", flush=True)
        self.end = "\n" if self._terminal else ""


if __name__ == "__main__":
    sys.exit(main())
