"""The page of a module in its frame: without rights of its own, and with what the explorer does for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Frame, Page, Route, expect

from tests.support.browser_modules import add_module
from tests.support.browser_session import Visitor
from tests.support.server_process import ServerProcess

_ACCESS = """async ([id, requests]) => {
  const { PageAccess } = await import("/assets/page-access.js");
  const modules = [
    { id: "Alpha", routes: ["alpha/echo", "text/shared", "commands/own", "Mixed/Case"] },
    { id: "Beta", routes: ["beta/echo", "text/shared", "alpha/echo/beta"] },
  ];
  const access = new PageAccess(id, () => modules);
  access.learn({ commandId: "own", moduleId: "Gamma" });
  const path = ([method, url]) => access.address(method, url).then((address) => address.pathname, () => null);
  return Promise.all(requests.map(path));
}"""
ALLOWED = {
    "POST /v1/alpha/echo": "/v1/alpha/echo",
    "GET /v1/alpha/echo?x=1": "/v1/alpha/echo",
    "POST /V1//Alpha/./x/../echo/": "/V1/Alpha/echo",
    "POST /v1/%61lpha%2Fecho": "/v1/alpha/echo",
    "POST /v1/alpha/echo/more": "/v1/alpha/echo/more",
    "POST /v1/mixed/case": "/v1/mixed/case",
    "POST /v1/text/shared": "/v1/text/shared",
    "POST v1/alpha/echo": "/v1/alpha/echo",
    "POST /v1/Alpha/get_command_status": "/v1/Alpha/get_command_status",
    "POST /v1/gamma/cancel_command": "/v1/gamma/cancel_command",
    "GET /v1/commands/own": "/v1/commands/own",
    "GET /v1/commands/own/events": "/v1/commands/own/events",
    "POST /v1/commands/own/cancel": "/v1/commands/own/cancel",
    "GET /v1/commands/unknown/events": "/v1/commands/unknown/events",
    "GET /v1/settings/alpha": "/v1/settings/alpha",
    "POST /v1/settings/Alpha": "/v1/settings/Alpha",
    "GET /v1/server/status/ping": "/v1/server/status/ping",
    "GET /v1/module/list/status": "/v1/module/list/status",
    "GET /assets/icon.svg": "/assets/icon.svg",
}
"""What Alpha's page may ask for, and the path that is asked."""
REFUSED = [
    "POST /v1/beta/echo",
    "POST /v1/alpha/echo/beta",
    "POST /v1/alpha/echo/beta/more",
    "POST /v1/alpha/echo/../../beta/echo",
    "POST /v1/alpha/echo/%2e%2e/%2e%2e/beta/echo",
    "POST /v1/alpha/echo/..%2f..%2fbeta%2fecho",
    "POST /v1/alpha/echo/%252e%252e/x",
    "POST /v1/alpha/echo/..%5c..%5cbeta",
    "POST /v1/alpha%2fecho%3fx",
    "POST /v1/alpha/echo/%00",
    "POST /v1/alpha/echo/%zz",
    "POST /v1/alpha/echoes",
    "DELETE /v1/alpha/echo",
    "GET /v1/commands",
    "GET /v1/commands/",
    "POST /v1/commands/own",
    "POST /v1/commands/own/events",
    "GET /v1/commands/own/cancel",
    "GET /v1/commands/own/events/more",
    "GET /v1/commands/own%2f..%2f..",
    "POST /v1/beta/get_command_status",
    "GET /v1/settings/beta",
    "POST /v1/settings",
    "DELETE /v1/settings/alpha",
    "POST /v1/server/status/ping",
    "POST /v1/server/settings/alpha",
    "GET /v1/module/list/all",
    "GET /v1/log/list",
    "GET /v1/whoami",
    "POST /v1/login",
    "GET /explorer.html",
    "GET /pages/Alpha",
    "GET /",
    "GET http://elsewhere.example/v1/alpha/echo",
    "POST //elsewhere.example/v1/alpha/echo",
    "POST http://user:word@127.0.0.1/v1/alpha/echo",
    "GET file:///v1/alpha/echo",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Two modules with pages, and two that ask for the old frame: by themselves, and with the user's word."""
    folder = tmp_path_factory.mktemp("bridge")
    modules = folder / "modules"
    modules.mkdir()
    for module_id in ("Alpha", "Beta", "Claims", "Trusted"):
        add_module(modules, module_id, page=True)
    grant = {"ExplorerFrame": "trusted"}
    _merge(modules / "Claims" / "modulesettings.json", "Claims", grant)
    (folder / "data").mkdir()
    (folder / "data" / "modulesettings.json").write_text(json.dumps({"Modules": {"Trusted": grant}}), encoding="utf-8")
    with ServerProcess(folder, modules) as process:
        for module_id in ("Alpha", "Beta"):
            process.wait_ready(module_id)
        yield process


def _merge(path: Path, module_id: str, values: dict[str, Any]) -> None:
    settings = json.loads(path.read_text("utf-8"))
    settings["Modules"][module_id].update(values)
    path.write_text(json.dumps(settings), encoding="utf-8")


def open_page(page: Page, server: ServerProcess, module_id: str) -> Frame:
    page.goto(f"{server.url}/explorer.html#{module_id}")
    return frame_of(page, module_id)


def frame_of(page: Page, module_id: str) -> Frame:
    element = page.locator(f'article[data-module="{module_id}"] iframe')
    element.content_frame.locator("#send").wait_for()
    frame = element.element_handle().content_frame()
    assert frame is not None
    frame.wait_for_load_state("load")
    return frame


@pytest.fixture
def tab(guest: Visitor) -> Page:
    return guest.tab()


@pytest.fixture
def alpha(tab: Page, server: ServerProcess) -> Frame:
    return open_page(tab, server, "Alpha")


def test_what_a_page_may_ask_for_is_listed(tab: Page, server: ServerProcess) -> None:
    tab.goto(f"{server.url}/explorer.html")
    requests = [request.split(" ", 1) for request in ALLOWED]
    found = tab.evaluate(_ACCESS, ["Alpha", requests])
    assert dict(zip(ALLOWED, found, strict=True)) == ALLOWED


def test_what_is_not_listed_is_refused(tab: Page, server: ServerProcess) -> None:
    tab.goto(f"{server.url}/explorer.html")
    requests = [request.split(" ", 1) for request in REFUSED]
    found = tab.evaluate(_ACCESS, ["Alpha", requests])
    assert dict(zip(REFUSED, found, strict=True)) == dict.fromkeys(REFUSED)


def test_another_modules_commands_are_refused(alpha: Frame, server: ServerProcess) -> None:
    for module_id, status in (("alpha", 200), ("beta", None)):
        command_id = server.post(f"/v1/{module_id}/count")["commandId"]
        got = alpha.evaluate(
            "(url) => fetch(url).then((answer) => answer.status, () => null)", f"v1/commands/{command_id}"
        )
        server.post(f"/v1/commands/{command_id}/cancel")
        assert got == status


def test_a_refusal_says_what_a_page_may_do(alpha: Frame, tab: Page) -> None:
    with tab.expect_console_message(lambda message: "writing-a-module" in message.text) as said:
        answer = alpha.evaluate("() => makeGET('log/list')")
    assert "GET" in said.value.text
    assert "/v1/log/list" in said.value.text
    assert answer["success"] is False
    assert "/v1/log/list" in answer["error"]


@pytest.mark.parametrize(
    "attempt", ["top.attacked = true", "parent.document.title", "document.cookie", "top.localStorage.length"]
)
def test_the_explorer_is_out_of_reach(alpha: Frame, attempt: str) -> None:
    assert alpha.evaluate("() => self.origin") == "null"
    name = alpha.evaluate(f"() => {{ try {{ {attempt}; return ''; }} catch (error) {{ return error.name; }} }}")
    assert name == "SecurityError"


def test_a_page_that_is_opened_by_itself_has_no_rights_either(tab: Page, server: ServerProcess) -> None:
    tab.goto(f"{server.url}/pages/alpha")
    assert tab.evaluate("() => self.origin") == "null"
    tab.get_by_role("link", name="Open it in the explorer").click()
    expect(tab.locator('article[data-module="Alpha"] iframe')).to_be_visible()


def test_a_page_connects_to_nothing_by_itself(alpha: Frame, server: ServerProcess) -> None:
    attempt = """(url) => new Promise((resolve) => {
      document.addEventListener("securitypolicyviolation", ({ effectiveDirective }) => resolve(effectiveDirective));
      new WebSocket(url);
    })"""
    assert alpha.evaluate(attempt, server.url.replace("http", "ws") + "/v1/channel") == "connect-src"


def test_pages_have_stores_of_their_own(tab: Page, server: ServerProcess) -> None:
    alpha = open_page(tab, server, "Alpha")
    alpha.evaluate("""() => {
      localStorage.setItem("kept", "long");
      localStorage.plain = 1;
      sessionStorage.setItem("kept", "short");
      sessionStorage.setItem("__proto__", "x");
    }""")
    read = """() => [localStorage.getItem("kept"), localStorage.plain, Object.keys(localStorage), sessionStorage.kept,
      sessionStorage.getItem("__proto__"), localStorage.missing ?? null, localStorage.length, sessionStorage.key(0)]"""
    found = ["long", "1", ["kept", "plain"], "short", "x", None, 2, "kept"]
    assert alpha.evaluate(read) == found
    tab.reload()
    assert frame_of(tab, "Alpha").evaluate(read) == found
    beta = open_page(tab, server, "Beta")
    assert beta.evaluate("() => [localStorage.length, sessionStorage.length]") == [0, 0]
    assert tab.evaluate("() => localStorage.getItem('kept')") is None


def test_a_store_is_bounded(alpha: Frame) -> None:
    fill = """() => {
      localStorage.setItem("a", "x".repeat(900_000));
      try {
        localStorage.setItem("b", "x".repeat(200_000));
      } catch (error) {
        return [error.name, localStorage.length];
      }
    }"""
    assert alpha.evaluate(fill) == ["QuotaExceededError", 1]


def test_what_is_written_when_a_page_is_left_is_there_again(alpha: Frame, tab: Page) -> None:
    alpha.evaluate("() => addEventListener('pagehide', () => sessionStorage.setItem('last', 'words'))")
    tab.reload()
    assert frame_of(tab, "Alpha").evaluate("() => sessionStorage.getItem('last')") == "words"


def test_files_are_uploaded_and_answers_come_back_by_every_way(alpha: Frame) -> None:
    sizes = """async () => {
      const form = new FormData();
      form.append("text", "x");
      form.append("one", new File([new Uint8Array(3_000_000)], "one.bin"));
      form.append("two", new Blob(["12345"]));
      const fetched = (await (await fetch("v1/alpha/echo", { method: "POST", body: form })).json()).sizes;
      const request = new XMLHttpRequest();
      request.open("POST", "/v1/alpha/echo");
      request.responseType = "json";
      const loaded = new Promise((resolve) => { request.onload = resolve; });
      request.send(form);
      await loaded;
      return [fetched, request.response.sizes, request.status];
    }"""
    assert alpha.evaluate(sizes) == [[3_000_000, 5], [3_000_000, 5], 200]


def test_a_picture_is_chosen_shown_and_sent_by_inline_handlers(alpha: Frame, tmp_path: Path) -> None:
    alpha.evaluate("""() => document.querySelector(".moduleui").insertAdjacentHTML("beforeend", `
      <input id="picture" type="file" onchange="previewImage(this)">
      <button id="detect" onclick="submitRequest('alpha', 'echo', [picture.files[0]], [['text', 'x']])
        .then((data) => setResultsHtml(data.sizes.join()))">Detect</button>`)""")
    picture = tmp_path / "picture.svg"
    picture.write_text('<svg xmlns="http://www.w3.org/2000/svg" width="7" height="5"/>', encoding="utf-8")
    alpha.locator("#picture").set_input_files(picture)
    alpha.wait_for_function("() => imgPreview.naturalWidth === 7")
    alpha.locator("#detect").click()
    expect(alpha.locator("#results")).to_have_text(str(picture.stat().st_size))


def test_only_the_document_in_the_frame_is_served(alpha: Frame, tab: Page) -> None:
    """Neither a window that is none of the explorer's frames, nor a frame inside the page."""
    hello = """() => {
      const { port1, port2 } = new MessageChannel();
      const asked = new MessageChannel();
      window.heard = 0;
      port1.onmessage = asked.port1.onmessage = () => { window.heard += 1; };
      window.parent.postMessage({ type: "module-page" }, "*", [port2]);
      const request = { type: "request", url: "/v1/alpha/echo", method: "POST", headers: [], body: null };
      port1.postMessage(request, [asked.port2]);
    }"""
    tab.evaluate(hello)
    alpha.evaluate("""() => new Promise((resolve) => {
      const inner = document.createElement("iframe");
      inner.onload = resolve;
      inner.src = URL.createObjectURL(new Blob(["<p>inner"], { type: "text/html" }));
      document.body.append(inner);
    })""")
    (inner,) = alpha.child_frames
    inner.evaluate(hello.replace("window.parent.post", "window.top.post"))
    assert (
        alpha.evaluate("async () => (await submitRequest('alpha', 'echo', null, [['text', 'served']])).reply")
        == "served"
    )
    assert [tab.evaluate("() => window.heard"), inner.evaluate("() => window.heard")] == [0, 0]


@pytest.mark.parametrize(
    "body",
    ["new URLSearchParams({text: 'ä b'})", "new Blob(['text=%C3%A4+b'], {type: 'application/x-www-form-urlencoded'})"],
)
def test_other_bodies_are_sent_with_their_type(alpha: Frame, body: str) -> None:
    answer = alpha.evaluate(f"async () => (await fetch('v1/alpha/echo', {{method: 'POST', body: {body}}})).json()")
    assert answer["reply"] == "ä b"


def test_a_request_object_is_sent_as_it_is(alpha: Frame, tab: Page) -> None:
    seen: list[tuple[str, str | None, dict[str, str]]] = []

    def note(route: Route) -> None:
        seen.append((route.request.method, route.request.post_data, route.request.headers))
        route.fulfill(json={"success": True})

    tab.route("**/v1/alpha/echo", note)
    alpha.evaluate(
        """() => fetch(new Request("v1/alpha/echo", {
          method: "POST", body: '{"a": 1}',
          headers: {"Content-Type": "application/json", "X-API-Key": "mine", "X-Note": "n"},
        }))"""
    )
    [(method, body, headers)] = seen
    assert (method, headers["content-type"], headers["x-note"]) == ("POST", "application/json", "n")
    assert "x-api-key" not in headers
    assert body in ('{"a": 1}', None)


def test_a_long_answer_is_read_as_it_comes_and_can_be_left(alpha: Frame, server: ServerProcess) -> None:
    read = """async () => {
      const { commandId } = await (await fetch("v1/alpha/count", { method: "POST", body: new FormData() })).json();
      const abort = new AbortController();
      const answer = await fetch(`v1/commands/${commandId}/events`, {
        headers: { Accept: "text/event-stream" }, signal: abort.signal,
      });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      while (!text.includes("3 ")) text += (await reader.read()).value;
      abort.abort();
      const after = await reader.read().then(() => "more", (error) => error.name);
      return [commandId, answer.headers.get("content-type"), answer.url.endsWith("/events"), after];
    }"""
    command_id, kind, at_its_address, after = alpha.evaluate(read)
    server.post(f"/v1/commands/{command_id}/cancel")
    assert kind.startswith("text/event-stream")
    assert at_its_address
    assert after == "AbortError"


def test_a_time_limit_is_kept(alpha: Frame, tab: Page) -> None:
    tab.route("**/v1/alpha/echo", lambda route: None)
    late = "() => fetch('v1/alpha/echo', {signal: AbortSignal.timeout(50)}).catch((error) => error.name)"
    assert alpha.evaluate(late) == "TimeoutError"
    xhr = """() => new Promise((resolve) => {
      const request = new XMLHttpRequest();
      for (const outcome of ["timeout", "load", "error"]) request.addEventListener(outcome, () => resolve(outcome));
      request.open("GET", "v1/alpha/echo");
      request.timeout = 50;
      request.send();
    })"""
    assert alpha.evaluate(xhr) == "timeout"


def test_a_stream_of_events_goes_on_after_its_last_one(alpha: Frame, tab: Page) -> None:
    parts = [
        b"retry: 20\nid: 1\ndata: a\ndata: b\n\nevent: other\r\nid: 2\r\ndata: \xc3\xa4\r\n\r\n: note\n\ndata: cut off",
        b"id: 3\ndata: c\n\n",
    ]
    last_ids: list[str | None] = []

    def stream(route: Route) -> None:
        last_ids.append(route.request.headers.get("last-event-id"))
        if parts:
            route.fulfill(content_type="text/event-stream; charset=utf-8", body=parts.pop(0))
        else:
            route.fulfill(status=404, json={})

    tab.route("**/v1/commands/x/events", stream)
    tab.route("**/v1/commands/x", lambda route: route.fulfill(json={"module": "Alpha"}))
    seen = alpha.evaluate(
        """() => new Promise((resolve) => {
          const source = new EventSource("v1/commands/x/events");
          const seen = [];
          const note = (event) => seen.push([event.type, event.data ?? source.readyState, event.lastEventId ?? null]);
          source.onopen = note;
          source.onmessage = note;
          source.addEventListener("other", note);
          source.onerror = (event) => { note(event); if (source.readyState === EventSource.CLOSED) resolve(seen); };
        })"""
    )
    assert seen == [
        ["open", 1, None],
        ["message", "a\nb", "1"],
        ["other", "ä", "2"],
        ["error", 0, None],
        ["open", 1, None],
        ["message", "c", "3"],
        ["error", 0, None],
        ["error", 2, None],
    ]
    assert last_ids == [None, "2", "3"]


def test_pictures_and_downloads_of_the_server_are_fetched_for_the_page(alpha: Frame, tab: Page) -> None:
    # As where a key is needed: the browser's own request, which comes without a cookie, is refused.
    def only_with_origin(route: Route) -> None:
        if route.request.resource_type == "image":
            route.fulfill(status=401, json={})
        else:
            route.fulfill(
                content_type="image/svg+xml", body='<svg xmlns="http://www.w3.org/2000/svg" width="7" height="5"/>'
            )

    tab.route("**/v1/alpha/echo*", only_with_origin)
    shown = """() => new Promise((resolve) => {
      const image = new Image();
      image.onload = () => resolve([image.naturalWidth, image.naturalHeight]);
      image.onerror = () => resolve("error");
      document.body.append(image);
      image.src = "v1/alpha/echo?picture";
    })"""
    assert alpha.evaluate(shown) == [7, 5]
    alpha.evaluate("""() => {
      const link = '<a id="file" href="v1/alpha/echo?file" download="file.svg">File</a>';
      document.body.insertAdjacentHTML("beforeend", link);
    }""")
    with tab.expect_download() as download:
        alpha.locator("#file").click()
    assert download.value.suggested_filename == "file.svg"


def test_only_the_users_word_gives_a_page_the_explorers_rights(tab: Page, server: ServerProcess) -> None:
    assert open_page(tab, server, "Claims").evaluate("() => self.origin") == "null"
    trusted = open_page(tab, server, "Trusted")
    assert trusted.evaluate("() => [self.origin, parent.document.title]") == [server.url, "Trusted module – Millrace"]
    trusted.locator("#text").fill("through")
    trusted.locator("#send").click()
    expect(trusted.locator("#results")).to_contain_text("through")


def test_a_page_that_grows_with_its_frame_scrolls_inside(alpha: Frame, tab: Page) -> None:
    alpha.evaluate("() => { document.body.style.minHeight = 'calc(100vh + 50px)'; }")
    frame = tab.locator('article[data-module="Alpha"] iframe')
    expect(frame).to_have_css("height", f"{0.8 * tab.viewport_size['height']:g}px")  # type: ignore[index]
