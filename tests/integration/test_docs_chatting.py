"""docs/chatting.md: every command in it is typed into a shell, and its answer has what the document shows."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import json5
import pytest

from installer.options import parse
from tests.support.documents import commands, missing, type_in
from tests.support.gguf_models import write_bert
from tests.support.llamachat_server import modules_with_llamachat, new_instance
from tests.support.llamachat_worker import MODULE
from tests.support.server_process import ROOT, ServerProcess, wait_until

pytestmark = pytest.mark.timeout(300)

DOCUMENT = ROOT / "docs" / "chatting.md"
TEXT = DOCUMENT.read_text("utf-8")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """LlamaChat with the built-in model, and the instance for vectors that the document tells to make."""
    if shutil.which("curl") is None:
        pytest.skip("the document's commands need curl")
    folder = tmp_path_factory.mktemp("chatting")
    modules = modules_with_llamachat(folder)
    new_instance(modules, "Vectors", write_bert(folder / "bert.gguf"))
    with ServerProcess(folder, modules) as running:
        running.wait_ready("LlamaChat", 600)
        running.wait_ready("Vectors", 200)
        yield running


def test_every_command_does_what_the_document_shows(server: ServerProcess) -> None:
    command_id = ""
    typed = [one for one in commands("docs/chatting.md") if not one.command.startswith("bash install.sh")]
    assert len(typed) > 20
    for _, command, shown in typed:
        if "text/chat/coder" in command:
            server.wait_ready("Coder", 120)
        said = answered(command.replace("=ID", f"={command_id}"), shown, server)
        assert missing(shown, said) == [], (command, said)
        ids = re.findall(r'"commandId":"([^"]+)"', said)
        command_id = ids[0] if ids else command_id


def answered(command: str, shown: str, server: ServerProcess) -> str:
    """Return a command's answer; a poll is repeated until it shows the end, as a reader would."""
    if "get_command_status" not in command:
        return type_in(command, server)

    def poll() -> str | None:
        said = type_in(command, server)
        return None if missing(shown, said) else said

    return wait_until(f"{command} shows {shown}", poll)


def test_every_input_and_setting_is_explained() -> None:
    module = json5.loads((MODULE / "modulesettings.json").read_text("utf-8"))["Modules"]["LlamaChat"]
    for route in module["RouteMaps"]:
        assert f"{route['Route']}`" in TEXT or f"/v1/{route['Route']}" in TEXT, route["Route"]
        for entry in route["Inputs"]:
            assert f"`{entry['Name']}`" in TEXT, entry["Name"]
    for name in module["EnvironmentVariables"]:
        assert f"`{name.removeprefix('CPAI_MODULE_LLAMA_')}`" in TEXT, name


def test_the_installer_understands_what_it_is_told() -> None:
    lines = re.findall(r"^bash install\.sh (.*)$", TEXT, re.MULTILINE)
    asked = [parse(line.replace("[:FILE]", ":file.gguf").split()) for line in lines]
    assert [options.instance for options in asked] == [None, None, "Coder", "Vectors"]
    assert {options.model for options in asked} == {"/path/to/model.gguf", "OWNER/NAME:file.gguf"}


def test_links_lead_somewhere() -> None:
    for path, anchor in re.findall(r"\]\(([^)#]+)(?:#([^)]+))?\)", TEXT):
        headings = re.findall(r"^#+ (.*)$", (DOCUMENT.parent / path).read_text("utf-8"), re.MULTILINE)
        anchors = [re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-")) for heading in headings]
        assert anchor in ["", *anchors]
