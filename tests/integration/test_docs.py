"""What the documents tell a newcomer to write works as written."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import json5
import msgspec
import pytest

from server.commands.command import CommandState, Reason
from server.config import ServerSettings
from server.hosting.install.builds import PROCESSOR, Build
from server.hosting.settings.module_settings import Proof, typed_settings
from server.hosting.settings.settings_file import RawSettings
from server.hosting.state import State
from tests.support.documents import blocks, commands, missing, type_in
from tests.support.server_process import ROOT, ServerProcess

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(params=["README.md", "docs/writing-a-module.md"])
def documented(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server whose only module is the one that the document shows."""
    document = str(request.param)
    settings = next(block for block in blocks(document, "json") if '"Modules"' in block)
    adapter = next(block for block in blocks(document, "python") if "ModuleRunner" in block)
    found = re.search(r'"FilePath": "([\w.]+)"', settings)
    assert found is not None
    folder = tmp_path / "modules" / "Shout"
    folder.mkdir(parents=True)
    (folder / "modulesettings.json").write_text(settings)
    (folder / found.group(1)).write_text(adapter)
    pages = blocks(document, "html")
    if pages:
        (folder / "explore.html").write_text(pages[0])
    for instance in (block for block in blocks(document, "json5") if '"InstanceOf"' in block):
        (tmp_path / "modules" / "Loud").mkdir()
        (tmp_path / "modules" / "Loud" / "modulesettings.json").write_text(instance)
    with ServerProcess(tmp_path, tmp_path / "modules") as server:
        server.wait_ready("Shout", 200)
        yield server


def test_the_documented_module_works(documented: ServerProcess) -> None:
    routes = {
        entry["route"]
        for module in documented.get("/v1/module/list/running")["modules"]
        for entry in module["routeMaps"]
    }
    assert documented.post("/v1/text/shout")["success"] is False
    if "text/recite" in routes:
        assert documented.post("/v1/text/shout", text="hello")["reply"] == "HELLO"
        started = documented.post("/v1/text/recite", text="one two")
        expected = "one two "
    else:
        started = documented.post("/v1/text/shout", text="one two")
        expected = "ONE TWO "
    assert started["commandStatus"] == "running"
    body = documented.wait_ended("Shout", started["commandId"])
    assert (body["reply"], body["stop_reason"], body["success"]) == (expected, "completed", True)


def test_its_commands_do_what_the_document_shows(documented: ServerProcess, request: pytest.FixtureRequest) -> None:
    if shutil.which("curl") is None:
        pytest.skip("the document's commands need curl")
    typed = [one for one in commands(request.node.callspec.params["documented"]) if "shout" in one.command.lower()]
    assert typed
    for _, command, shown in typed:
        said = type_in(command, documented)
        assert missing(shown, said) == [], (command, said)


@pytest.mark.parametrize("documented", ["docs/writing-a-module.md"], indirect=True)
def test_what_else_the_guide_tells_to_write_works(documented: ServerProcess) -> None:
    documented.wait_ready("Loud")
    assert documented.post("/v1/text/shout/loud", text="hello")["reply"] == "HELLO"
    configs = {module["moduleId"]: module for module in documented.get("/v1/module/list/running")["modules"]}
    page = configs["Shout"]["uiElements"]["explorerUI"]
    assert all(page[part] for part in ("html", "script"))
    assert [[entry["name"] for entry in route["inputs"]] for route in configs["Shout"]["routeMaps"]] == [["text"]] * 2
    assert documented.module("Shout")["notes"] == []


def test_every_word_of_the_machine_is_in_the_documents() -> None:
    api, architecture = ((ROOT / "docs" / name).read_text("utf-8") for name in ("http-api.md", "architecture.md"))
    for state in CommandState:
        assert f"`{state.value}`" in api, state
    for reason in Reason:
        assert f"`{reason.value}`" in architecture, reason
    for word in State:
        assert word.value in architecture, word


def test_every_setting_of_the_server_is_in_the_documents() -> None:
    operating = (ROOT / "docs" / "operating.md").read_text("utf-8")
    for name in ServerSettings.__struct_fields__:
        assert f"`{name}`" in operating, f"docs/operating.md does not explain the setting {name}"


def test_the_guides_proof_and_builds_are_understood() -> None:
    document = "docs/writing-a-module.md"
    (section,) = (block for block in blocks(document, "json5") if '"Proof"' in block)
    values = {
        "Name": "Mine",
        "Version": "1.0.0",
        "LaunchSettings": {"FilePath": "adapter.py", "Runtime": "python"},
        "RouteMaps": [{"Route": "text/mine", "Command": "mine"}],
        **json5.loads(f"{{{section}}}"),
    }
    settings = typed_settings(RawSettings("Mine", values, []), Path("/modules/Mine"))
    assert settings.install_options.proof == Proof(
        file_path="prove.py", package="the-package", builds_file_path="builds.py"
    )
    (printed,) = (block for block in blocks(document, "json") if '"origin"' in block)
    wheel, here, careful = msgspec.json.decode(printed, type=list[Build])
    assert wheel.options("p") == ["--only-binary", "p"]
    assert here.config_settings == ["cmake.define.NATIVE=ON", f"cmake.define.FOR={PROCESSOR}"]
    assert (careful.options("p"), careful.variables) == ([], {"MY_MODULE_CAREFUL": "true"})
