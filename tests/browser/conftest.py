"""What the browser tests share: one real server, one real Chromium per file, one visitor per test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.browser_chat import add_counting_chat
from tests.support.browser_explorer import MODULE, Explorer
from tests.support.browser_session import Visitor, running_browser, visitor
from tests.support.server_process import ServerProcess, running_server


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """The address of a real server whose LlamaChat is ready."""
    with running_server() as url:
        yield url


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose LlamaChat counts up to the number in the prompt, one chat at a time."""
    folder = tmp_path_factory.mktemp("counting")
    add_counting_chat(folder / "modules")
    with ServerProcess(folder, folder / "modules") as process:
        process.wait_ready(MODULE)
        yield process


# Not session-wide: Playwright's event loop must be gone before the asynchronous tests of other folders run.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as chromium:
        yield chromium


@pytest.fixture
def guest(browser: Browser) -> Iterator[Visitor]:
    """A visitor with a wide, light window."""
    with visitor(browser) as someone:
        yield someone


@pytest.fixture
def explorer(guest: Visitor, server_url: str) -> Explorer:
    """The explorer, open at LlamaChat in a tab of `guest`."""
    return Explorer(guest.tab(), server_url).open("#LlamaChat")
