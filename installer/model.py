"""``--model``: a real chat model for LlamaChat, fetched by LlamaChat's own downloader."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .layout import Layout, interpreter_of
from .processes import child_environment
from .progress import InstallError, Progress

MODULE = "LlamaChat"


def download(layout: Layout, progress: Progress, model: str, data: Path, instance: str | None = None) -> None:
    """Download ``model`` (``owner/name`` or ``owner/name:file.gguf``) and note it in the server's data folder.

    With an ``instance``, one of that name uses it, beside LlamaChat itself; it is made if need be. Raises
    InstallError when that fails.

    The downloader inherits the terminal, because its progress bars redraw themselves.
    """
    script = layout.root / "modules" / MODULE / "download_model.py"
    python = interpreter_of(layout.module_environment(MODULE))
    for path in (script, python):
        if not path.exists():
            raise InstallError(f"Cannot download a model: {path} is missing. Is the {MODULE} module installed?")
    progress.say(f"==> Downloading {model} for {instance or MODULE}")
    command = [str(python), str(script), model, "--data-dir", str(data), *(["--as", instance] if instance else [])]
    code = subprocess.run(command, cwd=layout.root, env=child_environment(), check=False).returncode
    if code != 0:
        raise InstallError(
            f"The download of {model} did not succeed (exit code {code}); the reason is above.\n"
            "Check the name (owner/name or owner/name:file.gguf) and the network, then run the same command\n"
            "again: what has been downloaded is kept and the rest is fetched."
        )
