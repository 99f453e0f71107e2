"""Every command of the documents is run by a test, or has a reason why not; every example can be read."""

from __future__ import annotations

import ast
import configparser
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import json5
import pytest

from installer.options import parse
from tests.support.documents import blocks, commands, documents, languages, missing, text_of, type_in
from tests.support.llamachat_server import modules_with_llamachat
from tests.support.server_process import ROOT, ServerProcess, wait_until

pytestmark = pytest.mark.timeout(300)

CHATS = ("README.md", "docs/http-api.md")
"""Documents whose commands are typed in here, with LlamaChat."""
ELSEWHERE = {
    "docs/chatting.md": "test_docs_chatting.py types them all in",
    "docs/writing-a-module.md": "test_docs.py types them in, with the module that the guide has made",
    "training/README.md": "training needs torch and a long time; test_builtin_model.py looks at what comes of it",
}
REASONS = {
    r"bash install\.sh": "it installs, and runs until it is stopped: test_install_run.py does that; understood below",
    r"curl .*/v1/text/shout": "test_docs.py types it in, with the module that the document has made",
    r"\.venv/bin/(ruff|mypy|pytest)": "that is how this test itself is run",
    r"\.venv/bin/python -m server check": "test_check_command.py runs it",
    r"python -m benchmarks (?!list)": "it measures for minutes: test_benchmarks*.py run the parts",
}
RUN_HERE = r"python -m benchmarks list|curl .*/v1/(text/chat|LlamaChat/)"


@pytest.mark.parametrize("document", documents())
def test_every_command_is_run_or_has_a_reason(document: str) -> None:
    for _, command, _ in commands(document):
        known = document in ELSEWHERE or any(re.match(pattern, command) for pattern in (*REASONS, RUN_HERE))
        assert known, f"{document}: no test runs {command!r}"


@pytest.mark.parametrize("document", documents())
def test_every_example_can_be_read(document: str) -> None:
    known = {"", "console", "bash", "json", "json5", "python", "html", "ini"}
    assert languages(document) <= known
    for language in ("json", "json5"):
        for block in blocks(document, language):
            json5.loads(f"{{{block}}}" if block.startswith('"') else block)  # a section of a settings file alone
    for block in blocks(document, "python"):
        ast.parse(block)
    for block in blocks(document, "ini"):
        configparser.ConfigParser().read_string(block)


@pytest.mark.parametrize("document", documents())
def test_the_installer_understands_what_readers_are_told_to_type(document: str) -> None:
    lines = re.findall(r"(?:^|`)bash install\.sh *([^`\n]*)", text_of(document), re.MULTILINE)
    for line in lines:
        words = line.split("#")[0].replace("[:FILE]", ":file.gguf").replace("[pytest arguments]", "-x")
        words = words.replace("<owner>/<repository>:<file>", "owner/repository:file").replace("…", "owner/repository")
        parse(words.split())


def test_the_program_in_the_service_file_is_there() -> None:
    (unit,) = blocks("docs/operating.md", "ini")
    parser = configparser.ConfigParser()
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(unit)
    folder, start = parser["Service"]["WorkingDirectory"], parser["Service"]["ExecStart"]
    assert start.startswith(f"{folder}/.venv/bin/python -m ")
    done = subprocess.run(
        [sys.executable, "-m", start.split()[-1], "--help"], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0


def test_the_benchmarks_are_listed(tmp_path_factory: pytest.TempPathFactory) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "list"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "dispatch" in done.stdout


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    if shutil.which("curl") is None:
        pytest.skip("the documents' commands need curl")
    folder = tmp_path_factory.mktemp("documents")
    with ServerProcess(folder, modules_with_llamachat(folder)) as running:
        running.wait_ready("LlamaChat", 600)
        yield running


@pytest.mark.parametrize("document", CHATS)
def test_every_command_does_what_the_document_shows(server: ServerProcess, document: str) -> None:
    command_id = ""
    typed = [one for one in commands(document) if "/v1/text/chat" in one.command or "/v1/LlamaChat/" in one.command]
    assert len(typed) >= 3
    for _, command, shown in typed:
        said = answered(re.sub(r"=\w+…", f"={command_id}", command), shown_of(command, shown), server)
        assert '"success":false' not in said
        ids = re.findall(r'"commandId":"([^"]+)"', said)
        command_id = ids[0] if ids else command_id


def shown_of(command: str, shown: str) -> str:
    """What must be in the answer; how far a reply has come when it is polled, nobody knows."""
    polled = "get_command_status" in command
    return re.sub(r'"(state|commandStatus|reply)":"[^"]*"', r'"\1":"…"', shown) if polled else shown


def answered(command: str, shown: str, server: ServerProcess) -> str:
    """Return a command's answer, which has what is shown; a poll is repeated until it has, as a reader would."""

    def type_once() -> str | None:
        said = type_in(command, server)
        return None if missing(shown, said) else said

    if "get_command_status" in command:
        return wait_until(f"{command} shows {shown}", type_once)
    said = type_once()
    assert said is not None, (command, shown)
    return said
