"""A real Chromium for the browser tests, and pages that remember what went wrong in them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, expect, sync_playwright

# Off: everything that a browser does by itself on the network, and what a machine without a screen lacks.
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT_MS = 60_000
"""How long a page may take to come to what is expected: a limit for a busy machine, not a delay."""
PHONE = (360, 740)
LAPTOP, TALL_PHONE = (1280, 800), (390, 844)
DESKTOP = (1280, 860)


def chromium_path() -> str:
    """The Chromium that the installer chose, else the system's. Raises RuntimeError when there is none."""
    if chosen := os.environ.get("MILLRACE_CHROMIUM"):
        return chosen
    for name in ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    raise RuntimeError("The browser tests need Chromium: install the package 'chromium'.")


@contextmanager
def running_browser() -> Iterator[Browser]:
    """One Chromium. Leave the block before any asynchronous test runs: its event loop belongs to this thread."""
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Complaints:
    """Console errors and uncaught exceptions of a context's pages, as texts."""

    texts: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Collects from `page` from now on."""
        page.on("console", self._on_console)
        page.on("pageerror", self._on_exception)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.texts.append(f"{message.text} ({message.location['url']})")

    def _on_exception(self, error: Error) -> None:
        self.texts.append(f"uncaught: {error}")


@dataclass
class Visitor:
    """One person at one browser: a context with its own storage, whose pages are watched."""

    context: BrowserContext
    complaints: Complaints = field(default_factory=Complaints)

    def tab(self) -> Page:
        """A new tab."""
        page = self.context.new_page()
        page.set_default_timeout(WAIT_MS)
        self.complaints.watch(page)
        return page


@contextmanager
def visitor(
    browser: Browser,
    *,
    size: tuple[int, int] = DESKTOP,
    scheme: Literal["dark", "light"] = "light",
) -> Iterator[Visitor]:
    """A visitor with a window of `size` (width, height in CSS pixels) and a preferred colour scheme."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        is_mobile=size in (PHONE, TALL_PHONE),
        has_touch=size in (PHONE, TALL_PHONE),
    )
    try:
        yield Visitor(context)
    finally:
        for page in context.pages:
            page.unroute_all(behavior="ignoreErrors")  # an answer may be on its way through a test's hands
        context.close()
