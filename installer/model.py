"""``--model``: a chat model of one's own for LlamaChat, from a file or downloaded; LlamaChat's own program does it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from .commands import called_from
from .layout import Layout, interpreter_of
from .processes import child_environment
from .progress import InstallError, Progress
from .settings import ServerSettings

MODULE = "LlamaChat"
_END_PATIENCE = 5.0


def _pause() -> None:
    time.sleep(0.1)


def own_file(model: str) -> Path | None:
    """The file that ``model`` names, seen from where the user is; None when it names a repository."""
    path = called_from() / Path(model).expanduser()
    is_file = Path(model).expanduser().is_absolute() or path.is_file()
    return path if is_file or (model.lower().endswith(".gguf") and ":" not in model) else None


def use_file(
    layout: Layout, progress: Progress, settings: ServerSettings, path: Path, instance: str | None = None
) -> None:
    """Let LlamaChat, or an instance of it, use a model file. Raises InstallError when it cannot be used."""
    progress.say(f"==> Using {path} for {instance or MODULE}")
    if _run(layout, layout.python, str(path), settings.data, instance) != 0:
        raise InstallError(f"{path} cannot be used; the reason is above.")


def can_download(settings: ServerSettings) -> bool:
    """Whether LlamaChat is installed, whose environment has the downloader."""
    return _downloader(settings).exists()


def download(
    layout: Layout,
    progress: Progress,
    settings: ServerSettings,
    repository: str,
    instance: str | None = None,
    pause: Callable[[], None] = _pause,
) -> None:
    """Download a model (``owner/name`` or ``owner/name:file.gguf``) and let LlamaChat, or an instance of it, use it.

    ``pause`` is called again and again meanwhile, and ends the download by raising. Raises InstallError when it fails.
    The downloader inherits the terminal, because its progress redraws itself.
    """
    if not can_download(settings):
        raise InstallError(f"Cannot download a model: {MODULE} is not installed ({_downloader(settings)} is missing).")
    progress.say(f"==> Downloading {repository} for {instance or MODULE}")
    if _run(layout, _downloader(settings), repository, settings.data, instance, pause) != 0:
        raise InstallError(
            f"The download of {repository} did not succeed; the reason is above. Run the same command again to go\n"
            "on: what has been downloaded is kept."
        )


def _downloader(settings: ServerSettings) -> Path:
    return interpreter_of(settings.environments / MODULE)


def _run(
    layout: Layout,
    python: Path,
    model: str,
    data: Path,
    instance: str | None,
    pause: Callable[[], None] = _pause,
) -> int:
    script = layout.root / "modules" / MODULE / "download_model.py"
    if not script.exists():
        raise InstallError(f"Cannot use a model: {script} is missing. Is the {MODULE} module there?")
    command = [str(python), str(script), model, "--data-dir", str(data), *(["--as", instance] if instance else [])]
    with subprocess.Popen(command, cwd=layout.root, env=child_environment()) as process:
        try:
            while process.poll() is None:
                pause()
        except BaseException:
            _end(process)
            raise
    return process.returncode


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_END_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
