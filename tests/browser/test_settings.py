"""The settings tab: choosing a model, stopping and starting a module, its variables; and the page of an instance."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.support.browser_explorer import Explorer, overflow
from tests.support.browser_modules import add_module
from tests.support.browser_session import PHONE, Visitor, visitor
from tests.support.gguf_models import RANK, write_bert
from tests.support.llamachat_server import choose, models_folder, modules_with_llamachat, new_instance, wait_model
from tests.support.llamachat_worker import TINY_MODEL
from tests.support.server_process import ServerProcess

_BROKEN_WORDS = """(fields) => [...fields.querySelectorAll("label")].flatMap((label) => [...label.childNodes])
  .filter((node) => {
    const range = document.createRange();
    range.selectNodeContents(node);
    return range.getClientRects().length > 1;
  }).map((node) => node.textContent)"""
"""The parts of setting names, up to an underscore, that stand on more than one line."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """LlamaChat with several models, an instance of it, and a module that is no LlamaChat."""
    folder = tmp_path_factory.mktemp("settings")
    models = models_folder(folder)
    shutil.copyfile(TINY_MODEL, models / "other.gguf")
    write_bert(models / "rank.gguf", RANK)
    variables = {"CPAI_MODULE_LLAMA_MODEL_DIR": str(models)}
    choose(folder, EnvironmentVariables=variables)
    modules = modules_with_llamachat(folder)
    new_instance(modules, "Second", TINY_MODEL.name)
    add_module(modules, "Plain")
    with ServerProcess(folder, modules) as running:
        for module_id in ("LlamaChat", "Second", "Plain"):
            running.wait_ready(module_id, 200)
        yield running


def settings_of(explorer: Explorer, module_id: str) -> Locator:
    explorer.list_entry(module_id).click()
    panel = explorer.panel(module_id)
    panel.get_by_role("tab", name="Settings").click()
    return panel.get_by_role("tabpanel", name="Settings")


@pytest.fixture
def explorer(guest: Visitor, server: ServerProcess) -> Explorer:
    return Explorer(guest.tab(), server.url).open("#LlamaChat")


def test_a_model_is_chosen_and_the_page_goes_on_with_it(
    explorer: Explorer, server: ServerProcess, guest: Visitor
) -> None:
    explorer.send("What is a module?")
    explorer.wait_for_state("completed")
    settings = settings_of(explorer, "LlamaChat")
    chooser = settings.get_by_role("combobox", name="Model")
    expect(chooser.locator("option")).to_have_count(3)
    expect(chooser.locator("option[disabled]")).to_have_text(["rank.gguf · 0.1 MB · reranking"])
    status = settings.locator(".models [role=status]")
    expect(status).to_have_text(f"In use: Millrace tiny built-in ({TINY_MODEL.name}, chat)")
    expect(explorer.part("model")).to_have_text(f"Model: Millrace tiny built-in ({TINY_MODEL.name})")
    expect(settings).to_contain_text(f"Models folder: {server.folder / 'models'}")
    expect(chooser).to_have_value(f"@{TINY_MODEL.name}")
    chooser.select_option("@other.gguf")
    settings.get_by_role("button", name="Use this model").click()
    expect(status).to_contain_text("Switching")
    expect(chooser).to_have_value("@other.gguf")
    expect(status).to_have_text("In use: Millrace tiny built-in (other.gguf, chat)")
    expect(explorer.part("model")).to_contain_text("(other.gguf)")
    expect(explorer.panel().locator(".badge-state")).to_have_text("Ready")
    wait_model(server, "LlamaChat", "other.gguf")
    explorer.panel().get_by_role("tab", name="Page").click()
    expect(explorer.part("reply")).to_have_attribute("data-state", "completed")
    explorer.send("What is a queue?")
    explorer.wait_for_state("completed")
    assert explorer.reply()
    assert guest.complaints.texts == []


def test_a_model_anywhere_on_the_machine_is_chosen_by_its_path(
    explorer: Explorer, server: ServerProcess, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "my models" / "mine äö.gguf"
    elsewhere.parent.mkdir()
    shutil.copyfile(TINY_MODEL, elsewhere)
    settings = settings_of(explorer, "Second")
    path = settings.get_by_label("full path")
    status = settings.locator(".models [role=status]")
    expect(status).to_contain_text(TINY_MODEL.name)
    path.fill(str(elsewhere))
    path.press("Enter")
    expect(status).to_have_text("In use: Millrace tiny built-in (mine äö.gguf, chat)")
    explorer.panel("Second").get_by_role("tab", name="Page").click()
    page = explorer.panel("Second").locator("iframe.module-frame").content_frame
    expect(page.locator("#Second_model")).to_have_text("Model: Millrace tiny built-in (mine äö.gguf)")
    page.locator("#Second_prompt").fill("What is a module?")
    page.locator("#Second_send").click()
    expect(page.locator("#Second_reply")).to_have_attribute("data-state", "completed")


def test_a_module_without_its_model_says_so_and_is_given_another(explorer: Explorer, server: ServerProcess) -> None:
    server.post("/v1/settings/Second", name="CPAI_MODULE_LLAMA_MODEL_FILENAME", value="missing.gguf")
    settings = settings_of(explorer, "Second")
    panel = explorer.panel("Second")
    page = panel.locator("iframe.module-frame").content_frame
    expect(panel.locator(".callout")).to_contain_text("missing.gguf")
    expect(page.locator("#Second_model")).to_contain_text("Choose a model in the tab Settings.")
    expect(settings.locator(".models [role=status]")).to_have_text("No model is loaded.")
    settings.get_by_role("combobox", name="Model").select_option(f"@{TINY_MODEL.name}")
    settings.get_by_role("button", name="Use this model").click()
    expect(panel.locator(".badge-state")).to_have_text("Ready")
    expect(page.locator("#Second_model")).to_have_text(f"Model: Millrace tiny built-in ({TINY_MODEL.name})")


def test_a_module_is_stopped_started_and_restarted(explorer: Explorer, server: ServerProcess) -> None:
    settings = settings_of(explorer, "Plain")
    expect(settings.locator(".models")).to_be_hidden()
    expect(settings).to_contain_text("It has none.")
    badge = explorer.panel("Plain").locator(".badge-state")
    settings.get_by_role("button", name="Stop").click()
    expect(badge).to_have_text("Stopped")
    settings.get_by_role("button", name="Start", exact=True).click()
    expect(badge).to_have_text("Ready")
    started = server.module("Plain")["started"]
    settings.get_by_role("button", name="Restart").click()
    expect(settings.locator("[role=status]").first).to_contain_text("started anew")
    expect(badge).to_have_text("Ready")
    server.wait_ready("Plain")
    assert server.module("Plain")["started"] != started


def test_variables_are_saved_and_what_is_wrong_is_shown(explorer: Explorer, server: ServerProcess) -> None:
    settings = settings_of(explorer, "Second")
    field = settings.get_by_label("CPAI_MODULE_LLAMA_CONTEXT")
    expect(field).to_have_value("0")
    field.fill("300")
    settings.get_by_role("button", name="Save").click()
    expect(settings.locator("[role=status]").first).to_contain_text("Saved; Second takes it up")
    expect(field).to_have_value("300")
    expect(explorer.panel("Second").locator(".badge-state")).to_have_text("Ready")
    assert server.get("/v1/settings/Second")["environmentVariables"]["CPAI_MODULE_LLAMA_CONTEXT"] == "300"
    field.fill("x" * 40_000)
    settings.get_by_role("button", name="Save").click()
    expect(settings.get_by_role("alert")).to_contain_text("at most 32768 characters")
    expect(settings.get_by_role("button", name="Save")).to_be_enabled()


def test_the_page_of_an_instance_uses_its_own_route(explorer: Explorer, server: ServerProcess) -> None:
    before = server.module("Second")["requestCount"]
    explorer.list_entry("Second").click()
    page = explorer.panel("Second").locator("iframe.module-frame").content_frame
    page.locator("#Second_prompt").fill("What is a module?")
    page.locator("#Second_send").click()
    expect(page.locator("#Second_reply")).to_have_attribute("data-state", "completed")
    assert page.locator("#Second_reply").inner_text().strip()
    assert server.module("Second")["requestCount"] > before
    newest = server.get("/v1/commands?limit=1")["commands"][0]
    assert (newest["module"], newest["route"]) == ("Second", "text/chat/second")


def test_it_fits_a_phone(browser: Browser, server: ServerProcess) -> None:
    with visitor(browser, size=PHONE, scheme="dark") as guest:
        explorer = Explorer(guest.tab(), server.url)
        explorer.page.goto(f"{server.url}/explorer.html#LlamaChat")
        explorer.panel().get_by_role("tab", name="Settings").click()
        expect(explorer.panel().get_by_role("combobox", name="Model")).to_be_visible()
        expect(explorer.panel().get_by_label("CPAI_MODULE_LLAMA_MODEL_FILENAME")).to_be_visible()
        assert overflow(explorer.page) <= 0
        assert explorer.page.evaluate("() => document.documentElement.scrollWidth") == PHONE[0]
        assert explorer.panel().locator(".settings .fields").last.evaluate(_BROKEN_WORDS) == []
        assert guest.complaints.texts == []
