"""The functions that module pages rely on, run where they are used: inside the frame of a page."""

from __future__ import annotations

from tests.support.browser_explorer import Explorer

HELPERS = [
    "submitRequest", "setResultsHtml", "getProcessingMetadataHtml", "displayBaseResults", "showPredictionSummary",
    "previewImage", "showPreviewImage", "clearImagePreview", "showResultsImage", "showResultsImageData",
    "clearImageResult", "showResultsBoundingBoxes", "showResultsMasks", "previewSound", "setSound", "confidence",
    "delay", "setModelList", "makeGET", "makePOST", "showError", "showWarning", "showInfo", "showLogOutput",
    "showCommunication", "followCommand",
]  # fmt: skip
SHARED = ["results", "imgPreview", "imgMask", "sndPreview", "imgResult", "serviceUrl", "serviceTimeoutSecTxt", "status"]
HOSTILE = "<img src=x onerror='top.attacked = true'>"


def test_every_helper_is_there(explorer: Explorer) -> None:
    missing = explorer.inside().evaluate(
        "(names) => names.filter((name) => typeof window[name] !== 'function')", HELPERS
    )
    assert missing == []


def test_every_shared_element_is_there_once(explorer: Explorer) -> None:
    counts = explorer.inside().evaluate("(ids) => ids.map((id) => document.querySelectorAll(`#${id}`).length)", SHARED)
    assert counts == [1] * len(SHARED)


def test_the_constants(explorer: Explorer) -> None:
    found = explorer.inside().evaluate(
        "() => [apiServiceUrl, serviceTimeoutSec, pingFrequencySec, GetBenchmarkCustomModelList]"
    )
    assert found == [explorer.url, 30, 5, None]


def test_values_of_an_answer_are_shown_as_text(explorer: Explorer) -> None:
    inside = explorer.inside()
    inside.evaluate(
        """(hostile) => showPredictionSummary({
          success: true, moduleId: hostile, processedBy: hostile,
          predictions: [{label: hostile, confidence: 0.5}, {label: "cat", confidence: 0.9}],
        })""",
        HOSTILE,
    )
    results = inside.locator("#results")
    assert results.locator("img").count() == 0
    assert results.locator("tbody").first.locator("tr").all_inner_texts() == ["1\tcat\t90%", f"2\t{HOSTILE}\t50%"]
    inside.evaluate("(hostile) => displayBaseResults({success: false, error: hostile})", HOSTILE)
    assert HOSTILE in results.inner_text()
    assert not explorer.page.evaluate("() => Boolean(window.attacked)")


def test_html_of_a_page_is_shown_but_does_not_run(explorer: Explorer) -> None:
    inside = explorer.inside()
    inside.evaluate(
        """(hostile) => setResultsHtml(
          `<b>fine</b>${hostile}<a href=' java\nscript:top.attacked=true'>x</a><script>top.attacked = 1</script>`)""",
        HOSTILE,
    )
    results = inside.locator("#results")
    assert results.locator("b").inner_text() == "fine"
    assert results.locator("script, [onerror], a[href]").count() == 0
    assert not explorer.page.evaluate("() => Boolean(window.attacked)")


def test_requests_reach_the_server(explorer: Explorer) -> None:
    inside = explorer.inside()
    assert inside.evaluate("async () => (await makeGET('server/status/ping')).success") is True
    started = inside.evaluate("() => submitRequest('text', 'chat', null, [['prompt', 'What is a module?']])")
    assert started["commandId"]
    assert inside.evaluate("() => makeGET('no/such/route')")["success"] is False


def test_a_request_that_fails_gives_null_and_a_message(explorer: Explorer) -> None:
    inside = explorer.inside()
    explorer.page.route("**/v1/text/chat", lambda route: route.abort())
    assert inside.evaluate("() => submitRequest('text', 'chat', null, [['prompt', 'x']])") is None
    assert "cannot be reached" in inside.locator("#status").inner_text()


def test_boxes_are_drawn_over_the_picture(explorer: Explorer) -> None:
    inside = explorer.inside()
    inside.evaluate(
        """async () => {
          const canvas = new OffscreenCanvas(200, 100);
          canvas.getContext("2d").fillRect(0, 0, 200, 100);
          showPreviewImage(await canvas.convertToBlob());
          showResultsBoundingBoxes([{label: "cat", confidence: 0.9, x_min: 20, y_min: 10, x_max: 120, y_max: 60}]);
        }"""
    )
    box = inside.locator("#imgMask rect")
    box.wait_for(state="attached")
    assert [box.get_attribute(name) for name in ("x", "y", "width", "height")] == ["20", "10", "100", "50"]
    inside.evaluate("() => clearImagePreview()")
    assert inside.locator("#imgMask rect").count() == 0
    assert inside.locator("#imgPreview").is_hidden()


def test_a_model_list_keeps_the_choice(explorer: Explorer) -> None:
    chosen = explorer.inside().evaluate(
        """() => {
          document.body.insertAdjacentHTML("beforeend", "<select id='models'></select>");
          setModelList("models", [{name: "One", value: "1"}, {name: "Two", value: "2"}]);
          document.getElementById("models").value = "2";
          setModelList("models", [{name: "Two", value: "2"}, {name: "Three", value: "3"}]);
          return [document.getElementById("models").value, document.getElementById("models").length];
        }"""
    )
    assert chosen == ["2", 2]
