"""The explorer's content security policy: strict, sent with everything, and broken by none of its views."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser_chat import asked
from tests.support.browser_explorer import MODULE, Explorer
from tests.support.browser_session import Visitor
from tests.support.server_process import ServerProcess

PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(200)).decode()
_LISTEN = """document.addEventListener("securitypolicyviolation", (event) => {
  noteViolation(`${event.effectiveDirective} ${event.blockedURI} in ${location.pathname}`);
});"""


@pytest.fixture
def violations(guest: Visitor) -> list[str]:
    """What was refused in any page or frame of `guest`, as far as it is a tab opened from now on."""
    found: list[str] = []
    guest.context.expose_function("noteViolation", lambda text: found.append(text))
    guest.context.add_init_script(_LISTEN)
    return found


@pytest.fixture
def visit(guest: Visitor, violations: list[str], counting: ServerProcess) -> Iterator[Explorer]:
    explorer = Explorer(guest.tab(), counting.url).open(f"#{MODULE}")
    yield explorer
    for command in counting.get("/v1/commands?state=live&brief=true")["commands"]:
        counting.post(f"/v1/commands/{command['id']}/cancel")


def test_no_view_breaks_the_policy(visit: Explorer, violations: list[str], guest: Visitor) -> None:
    page = visit.page
    asked(visit, "3")
    visit.wait_for_state("completed")
    page.get_by_role("button", name="Change theme").click()
    page.get_by_role("tab", name="Settings").click()
    expect(visit.panel()).to_contain_text("It has none.")
    page.get_by_role("tab", name="Details").click()
    page.get_by_role("tab", name="Routes").click()
    page.route("**/v1/text/chat", lambda route: route.fulfill(json={"success": True, "reply": "x", "image": PICTURE}))
    visit.panel().get_by_role("button", name="Send").click()
    expect(visit.panel().get_by_alt_text("Picture 1")).to_be_attached()
    page.locator("#log-link").click()
    page.locator(".log-lines li").first.wait_for()
    page.locator("#commands-link").click()
    page.locator(".command-list li summary").first.click()
    expect(page.locator(".command-list li pre").first).to_have_text("1 2 3 ")
    page.reload()
    page.locator(".command-list li").first.wait_for()
    visit.alter("module/list/status", lambda body: body.update(statuses=[]))
    page.goto(f"{visit.url}/explorer.html#")
    expect(page.get_by_role("heading", name="No modules yet")).to_be_visible()
    page.route("**/v1/whoami", lambda route: route.fulfill(json={"success": True, "owner": None, "keyNeeded": True}))
    page.reload()
    expect(page.get_by_label("API key")).to_be_visible()
    assert violations == []
    assert guest.complaints.texts == []


@pytest.mark.parametrize(
    ("attempt", "directive"),
    [
        (
            "document.body.append(Object.assign(document.createElement('script'), {text: '1'}))",
            "require-trusted-types-for",
        ),
        ("document.body.setAttribute('onclick', '1'); document.body.click()", "require-trusted-types-for"),
        ("document.body.setAttribute('style', 'color: red')", "style-src-attr"),
        ("fetch('http://elsewhere.example/').catch(() => {})", "connect-src"),
        (
            "document.body.append(Object.assign(document.createElement('img'), {src: 'http://elsewhere.example/'}))",
            "img-src",
        ),
        ("document.querySelector('iframe').src = 'http://elsewhere.example/'", "frame-src"),
        ("document.head.append(Object.assign(document.createElement('base'), {href: '/x/'}))", "base-uri"),
    ],
)
def test_the_policy_is_in_force(visit: Explorer, violations: list[str], attempt: str, directive: str) -> None:
    visit.inside()
    visit.page.evaluate(f"() => {{ try {{ {attempt}; }} catch {{}} }}")
    visit.page.wait_for_function("() => true")
    assert wait_for(visit.page, violations).startswith(directive)


def wait_for(page: Page, violations: list[str]) -> str:
    """The first violation; it is told after what provoked it."""
    while not violations:
        page.evaluate("() => new Promise(requestAnimationFrame)")
    return violations[0]


def test_every_file_of_the_explorer_has_the_headers(counting: ServerProcess) -> None:
    for path in ("/explorer.html", "/assets/app.js", "/assets/frame/link.js", "/assets/server.css"):
        _, _, headers = counting.call(path)
        policy = headers["Content-Security-Policy"].split("; ")
        assert {"default-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'self'"} <= set(policy)
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == ("nosniff", "same-origin")
