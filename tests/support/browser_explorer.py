"""The explorer as a user sees it: its parts by name, for the browser tests."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Frame, Locator, Page, Route, expect

from tests.support.browser_session import WAIT_MS

MODULE = "LlamaChat"
_RECORD_GROWTH = """(id) => {
  window.seenLengths = [];
  new MutationObserver(() => {
    const reply = document.getElementById(id);
    const length = reply?.textContent.length ?? 0;
    if (reply?.dataset.state === "running" && length > 0 && window.seenLengths.at(-1) !== length) {
      window.seenLengths.push(length);
    }
  }).observe(document.body, { childList: true, characterData: true, subtree: true });
}"""


class Explorer:
    """explorer.html in one tab, with LlamaChat's page inside it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url.rstrip("/")

    def open(self, fragment: str = "") -> Explorer:
        """Goes to the explorer, at `fragment` (such as "#LlamaChat"), and waits until the modules are listed."""
        self.page.goto(f"{self.url}/explorer.html{fragment}")
        self.list_entry(MODULE).wait_for(state="attached", timeout=WAIT_MS)
        return self

    def list_entry(self, module_id: str) -> Locator:
        return self.page.locator(f'#modules li[data-module="{module_id}"] a')

    def panel(self, module_id: str = MODULE) -> Locator:
        return self.page.locator(f'article[data-module="{module_id}"]')

    def frame_element(self) -> Locator:
        return self.panel().locator("iframe.module-frame")

    def inside(self) -> Frame:
        """The frame of LlamaChat's page, once its script has run."""
        self.part("send").wait_for(timeout=WAIT_MS)
        frame = self.inside_now()
        frame.wait_for_load_state("load")
        return frame

    def inside_now(self) -> Frame:
        """The frame of LlamaChat's page, be it visible or not."""
        frame = self.frame_element().element_handle().content_frame()
        assert frame is not None
        return frame

    def part(self, name: str) -> Locator:
        """An element of LlamaChat's page, such as "prompt", "send", "reply"."""
        return self.frame_element().content_frame.locator(f"#{MODULE}_{name}")

    def send(self, prompt: str) -> None:
        self.part("prompt").fill(prompt)
        self.part("send").click()

    def wait_for_state(self, state: str) -> None:
        """Waits until the latest reply is in `state`: running, completed, cancelled or failed."""
        expect(self.part("reply")).to_have_attribute("data-state", state, timeout=WAIT_MS)

    def reply(self) -> str:
        return self.part("reply").inner_text().strip()

    def record_growth(self) -> None:
        """From now on notes every length of the reply that is shown while it is running."""
        self.inside().evaluate(_RECORD_GROWTH, f"{MODULE}_reply")

    def seen_lengths(self) -> list[int]:
        lengths: list[int] = self.inside_now().evaluate("() => window.seenLengths")
        return lengths

    def wait_for_lengths(self, count: int) -> None:
        """Waits until the running reply has been seen with `count` different lengths."""
        # A hidden frame paints nothing, so the question is asked by the clock and not before each frame.
        self.inside_now().wait_for_function(
            "(count) => window.seenLengths.length >= count", arg=count, polling=50, timeout=WAIT_MS
        )

    def make_replies_long(self, tokens: int = 100_000) -> None:
        """Lets the model go on past the end of its text, so that there is time to watch and to stop it."""

        def lengthen(route: Route) -> None:
            route.continue_(url=f"{route.request.url}?ignore_eos=true&max_tokens={tokens}")

        self.page.route("**/v1/text/chat", lengthen)

    def end_long_replies(self) -> None:
        self.page.unroute("**/v1/text/chat")

    def stop(self) -> None:
        """Stops the running reply and waits until it has stopped."""
        self.part("stop").click()
        self.wait_for_state("cancelled")

    def begin_anew(self) -> None:
        """Begins a new chat, and says yes when the page asks."""
        self.page.once("dialog", lambda dialog: dialog.accept())
        self.part("clear").click()

    def alter(self, path: str, change: Any) -> None:
        """Passes every JSON answer of `path` through `change(dict)` before the page sees it."""

        def fulfil(route: Route) -> None:
            response = route.fetch()
            body = response.json()
            change(body)
            route.fulfill(response=response, json=body)

        self.page.route(f"**/v1/{path}", fulfil)


def overflow(target: Page | Frame) -> int:
    """By how many pixels the document is wider than its window."""
    wider: int = target.evaluate("() => document.documentElement.scrollWidth - window.innerWidth")
    return wider


def brightness(target: Page | Frame, selector: str = "body", name: str = "backgroundColor") -> float:
    """0 (black) to 255 (white): the brightness of a computed colour of the first element that matches."""
    script = """([selector, name]) => {
      const colour = getComputedStyle(document.querySelector(selector))[name];
      const [r, g, b] = colour.match(/[\\d.]+/g).map(Number);
      return 0.299 * r + 0.587 * g + 0.114 * b;
    }"""
    value: float = target.evaluate(script, [selector, name])
    return value
