"""A Chromium for the browser tests."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

from . import apt
from .layout import Layout
from .progress import InstallError, Progress, Step

VARIABLE = "MILLRACE_CHROMIUM"
"""Environment variable that names the browser to test with; the tests read it, and the user may set it."""
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
_PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)
_MISSING = f"""
The browser tests need Chromium or Google Chrome, and none could be found or fetched. On Debian, type:

  {apt.command_for(["chromium"])}

Elsewhere install Google Chrome, or set {VARIABLE} to the program's path. Then run the same command again."""
_PLAYWRIGHTS_OWN = """
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    print(playwright.chromium.executable_path)
"""


def find() -> Path | None:
    """The browser to use: the one in ``MILLRACE_CHROMIUM``, else one in PATH or at its usual place."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named) if Path(named).exists() else None
    in_path = (shutil.which(name) for name in _NAMES)
    return next((Path(place) for place in (*in_path, *_PLACES) if place and _starts(place)), None)


def ensure(layout: Layout, progress: Progress) -> Path:
    """Find a browser or install one. Raises InstallError when there is none and none can be installed."""
    browser = find() or _playwrights_own(layout)
    if browser is None and apt.usable() and _is_debian():
        apt.install(["chromium"], progress, layout.root)
        browser = find()
    if browser is None:
        browser = _fetch(layout, progress)
    return browser


def _starts(place: str) -> bool:
    """Whether it is a browser that can start; Ubuntu's is a script that only asks for a snap."""
    if not Path(place).exists():
        return False
    if os.name == "nt":  # there it would open a window instead of answering
        return True
    return subprocess.run([place, "--version"], capture_output=True, check=False).returncode == 0


def _is_debian() -> bool:
    try:
        return platform.freedesktop_os_release().get("ID") == "debian"
    except OSError:
        return False


def _playwrights_own(layout: Layout) -> Path | None:
    """The browser that Playwright has fetched for itself, if it has."""
    answer = subprocess.run(
        [str(layout.python), "-c", _PLAYWRIGHTS_OWN], cwd=layout.root, capture_output=True, text=True, check=False
    )
    path = Path(answer.stdout.strip() or "nowhere")
    return path if answer.returncode == 0 and path.exists() else None


def _fetch(layout: Layout, progress: Progress) -> Path:
    """Let Playwright fetch its browser, with the system's libraries it needs where that asks no question."""
    with_libraries = ["--with-deps"] if apt.usable() else []
    command: list[str | Path] = [layout.python, "-m", "playwright", "install", *with_libraries, "chromium"]
    progress.run(Step("Fetching a browser for the tests", "browser", command, layout.root, "a minute", _MISSING))
    browser = _playwrights_own(layout)
    if browser is None:
        raise InstallError(_MISSING.strip())
    return browser
