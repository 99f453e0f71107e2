"""The module's folder: its settings, its page, its package and its install script."""

from __future__ import annotations

import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import json5
import pytest

from tests.support.llamachat_worker import MODULE


def test_the_settings_have_what_a_server_needs() -> None:
    modules = json5.loads((MODULE / "modulesettings.json").read_text("utf-8"))["Modules"]
    module = modules["LlamaChat"]
    assert list(modules) == ["LlamaChat"]
    assert (MODULE / module["LaunchSettings"]["FilePath"]).is_file()
    assert module["Version"] == module["InstallOptions"]["ModuleReleases"][-1]["ModuleVersion"]
    route, *others = module["RouteMaps"]
    assert [(other["Route"], other["Command"]) for other in others] == [
        ("text/embeddings", "embed"),
        ("text/models", "list_models"),
    ]
    assert not any(other.get("LongRunning") for other in others)
    assert (route["Route"], route["Method"], route["Command"], route["LongRunning"]) == (
        "text/chat",
        "POST",
        "prompt",
        True,
    )


def test_every_documented_input_is_read_and_the_other_way_round() -> None:
    module = json5.loads((MODULE / "modulesettings.json").read_text("utf-8"))["Modules"]["LlamaChat"]
    documented = {entry["Name"] for entry in module["RouteMaps"][0]["Inputs"]}
    source = (MODULE / "llamachat" / "chat" / "inputs.py").read_text("utf-8")
    read = set(re.findall(r'(?:_text|_number|_integer|_flag)\(values, "(\w+)"', source)) | {"stop"}
    assert documented == read


@pytest.mark.parametrize("script", ["package.sh", "package.py"])
def test_the_package_has_the_module_at_its_root(tmp_path: Path, script: str) -> None:
    folder = tmp_path / "LlamaChat"
    shutil.copytree(MODULE, folder, ignore=shutil.ignore_patterns("venv", "*.part"))
    (folder / "models").mkdir(exist_ok=True)
    (folder / "models" / "millrace-tiny.gguf").write_bytes(b"GGUF")
    (folder / "models" / "downloaded.gguf").write_bytes(b"GGUF" * 1000)
    (folder / "llamachat" / "engine" / "__pycache__").mkdir(exist_ok=True)
    (folder / "llamachat" / "engine" / "__pycache__" / "x.pyc").write_bytes(b"")
    (folder / "install.log").write_text("log")

    program = "bash" if script.endswith(".sh") else "python3"
    subprocess.run([program, folder / script, "LlamaChat", "1.2.3"], check=True, capture_output=True, cwd=tmp_path)

    with zipfile.ZipFile(folder / "LlamaChat-1.2.3.zip") as archive:
        assert archive.testzip() is None
        names = set(archive.namelist())
        assert archive.getinfo("install.sh").external_attr >> 16 & 0o111
    assert {"modulesettings.json", "llama_chat_adapter.py", "llamachat/engine/engine.py", "explore.html"} <= names
    assert "models/millrace-tiny.gguf" in names
    assert not [name for name in names if "pycache" in name or "downloaded" in name or name.endswith((".log", ".zip"))]


def test_the_install_script_can_be_sourced() -> None:
    script = f'set -e; . "{MODULE / "install.sh"}" install; echo "errors:${{moduleInstallErrors:-none}}"'
    ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "errors:none" in ended.stdout


def test_the_install_script_explains_itself() -> None:
    ended = subprocess.run(["bash", MODULE / "install.sh", "--help"], capture_output=True, text=True, check=True)
    assert "By hand" in ended.stdout


def cut(page: str, start: str, end: str) -> str:
    return page[page.index(start) + len(start) : page.rindex(end)]


def test_the_page_has_its_three_parts_and_its_elements() -> None:
    page = (MODULE / "explore.html").read_text("utf-8")
    html = cut(page, "<!-- START EXPLORER MARKUP -->", "<!-- END EXPLORER MARKUP -->")
    script = cut(page, "// START EXPLORER SCRIPT", "// END EXPLORER SCRIPT")
    style = cut(page, "/* START EXPLORER STYLE */", "/* END EXPLORER STYLE */")
    for name in ("prompt", "systemPrompt", "send", "stop", "error", "maxTokens", "temperature"):
        assert f'id="_MID_{name}"' in html
    assert "_MID_reply" in script
    assert "innerHTML" not in script, "a reply is text, never HTML"
    assert "<script" not in html
    assert "#_MID_chat" in style
    # The explorer's page scope is shared by all modules: nothing but prefixed names may reach it.
    assert script.strip().startswith("(function () {")
    assigned = set(re.findall(r"window\.(\w+)\s*=(?!=)", script))
    assert assigned
    assert all(name.startswith("_MID_") for name in assigned)
    functions = set(re.findall(r'onclick="(\w+)\(', html))
    assert functions == assigned
