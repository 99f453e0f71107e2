"""Download a chat model and make the module use it.

    python download_model.py <owner>/<name>[:<file>] [--as NAME] [--data-dir DIR] [--model-dir DIR]

With a name, the instance of that name uses the model, beside the module itself; it is made unless it is there.
Without a file the preferred quantisation of the repository is taken. An interrupted download goes on when the same
command is given again. ``HF_ENDPOINT`` names another hub, ``HF_TOKEN`` opens repositories with a login.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from chat.model_hub import ModelHub
from chat.settings import PREFIX
from chat.user_settings import write_environment
from engine.errors import LlamaChatError
from new_instance import exists, made, make, model_variables

MODULE_DIR = Path(__file__).resolve().parent
MODULE_ID = "LlamaChat"
_MIB = 1024 * 1024


def main(arguments: Sequence[str] | None = None) -> int:
    """Download and configure; return the exit code, 1 after an error that was printed."""
    options = _parse(arguments)
    repo_id, _, filename = options.model.removeprefix("@").partition(":")
    progress = ProgressLine()
    try:
        is_new = options.instance is not None and not exists(options.instance, options.modules_dir)
        hub = ModelHub(progress.show)
        files = hub.choose(repo_id, filename)
        total = sum(file.size for file in files) / _MIB
        print(f"Downloading {', '.join(file.name for file in files)} ({total:.1f} MiB) from {repo_id}", flush=True)
        path = hub.download(repo_id, files, options.model_dir)
        variables = _variables(repo_id, files[0].name, options.model_dir)
        if is_new:
            told = made(options.instance, make(options.instance, variables, options.modules_dir))
        else:
            user = options.instance or MODULE_ID
            settings = write_environment(options.data_dir, user, variables)
            told = f"{user} uses it from its next start on ({settings}). A running server starts it anew by itself."
    except LlamaChatError as problem:
        print(f"{progress.end}Error: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{progress.end}Stopped. The same command goes on where it stopped.", file=sys.stderr)
        return 130
    print(f"{progress.end}The model is {path}", told, sep="\n")
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Download a chat model and make the module use it.")
    parser.add_argument("model", help="owner/name of a repository with GGUF files, and :file to name one of them")
    default_data = os.environ.get("MILLRACE_DATA_DIR") or MODULE_DIR.parent.parent / "data"
    parser.add_argument("--data-dir", type=Path, default=Path(default_data), help="the server's data folder")
    parser.add_argument("--model-dir", type=Path, default=MODULE_DIR / "models", help="where models are kept")
    parser.add_argument("--as", dest="instance", metavar="NAME", help="the instance that shall use the model")
    parser.add_argument("--modules-dir", type=Path, default=MODULE_DIR.parent, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _variables(repo_id: str, filename: str, model_dir: Path) -> dict[str, str]:
    """Return the settings that name the model, and the folder where it is not the usual one."""
    variables = model_variables(filename, repo_id, filename)
    if model_dir.resolve() != MODULE_DIR / "models":
        variables[PREFIX + "MODEL_DIR"] = str(model_dir.resolve())
    return variables


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
