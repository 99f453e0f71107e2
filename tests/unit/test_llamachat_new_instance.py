from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from new_instance import InstanceError, exists, main, make, model_variables

from server.hosting.settings.instance import base_folder, read_settings
from server.hosting.settings.module_settings import typed_settings
from server.hosting.settings.platform_info import PlatformInfo
from server.hosting.settings.user_settings import save
from tests.support.llamachat_worker import MODULE, TINY_MODEL

LINUX = PlatformInfo(os="linux", architecture="x86_64", os_name="ubuntu")
VARIABLES = model_variables("sub/code.gguf", "owner/name", "code.gguf")


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """A modules folder in which LlamaChat is, as far as the server reads it."""
    folder = tmp_path / "modules"
    (folder / "LlamaChat").mkdir(parents=True)
    (folder / "LlamaChat" / "modulesettings.json").write_text((MODULE / "modulesettings.json").read_text("utf-8"))
    return folder


def settings_in(folder: Path) -> Any:
    base = base_folder(folder)
    return typed_settings(read_settings(folder, base, LINUX, None, {}), base or folder)


def test_what_is_written_is_what_the_server_reads(modules: Path) -> None:
    folder = make("Coder", VARIABLES, modules)
    assert os.listdir(folder) == ["modulesettings.json"]
    assert sorted(os.listdir(modules)) == ["Coder", "LlamaChat"]
    found = settings_in(folder)
    assert (found.module_id, found.name, found.queue, found.auto_start) == ("Coder", "Coder", "coder_queue", True)
    assert found.path == modules / "LlamaChat"
    assert [route.route for route in found.route_maps] == [
        f"{route.route}/coder" for route in settings_in(modules / "LlamaChat").route_maps
    ]
    variables = found.environment_variables
    assert variables["CPAI_MODULE_LLAMA_MODEL_FILENAME"] == "@sub/code.gguf"
    assert variables["CPAI_MODULE_LLAMA_MODEL_REPO"] == "@owner/name"
    assert variables["CPAI_MODULE_LLAMA_MODEL_DIR"] == "./models", "of the module it is an instance of"
    assert exists("Coder", modules)
    assert not exists("Other", modules)


def test_a_local_model_takes_the_place_of_a_downloaded_one(modules: Path, tmp_path: Path) -> None:
    """The user's own choice for LlamaChat is none of its instance."""
    user = tmp_path / "data" / "modulesettings.json"
    chosen = {("EnvironmentVariables", name): value for name, value in VARIABLES.items()}
    save(user, {"LlamaChat": chosen})
    folder = make("Coder", model_variables("millrace-tiny.gguf"), modules)
    base = base_folder(folder)
    found = typed_settings(read_settings(folder, base, LINUX, user, {}), base or folder)
    assert found.environment_variables["CPAI_MODULE_LLAMA_MODEL_FILENAME"] == "@millrace-tiny.gguf"
    assert found.environment_variables["CPAI_MODULE_LLAMA_MODEL_REPO"] == ""


@pytest.mark.parametrize("name", ["", "../x", "a/b", "-x", ".x", "a b", "x" * 65])
def test_a_name_that_cannot_be_is_refused(modules: Path, name: str) -> None:
    with pytest.raises(InstanceError, match="cannot be the name"):
        exists(name, modules)


def test_a_name_that_is_taken_is_refused(modules: Path) -> None:
    (modules / "Mine").mkdir()
    (modules / "Mine" / "modulesettings.json").write_text('{"Modules": {"Mine": {}}}')
    for name in ("Mine", "MINE", "llamachat"):
        with pytest.raises(InstanceError, match="is taken by"):
            exists(name, modules)


def run(modules: Path, *arguments: str) -> int:
    return main([*arguments, "--modules-dir", str(modules)])


def test_the_command_makes_an_instance(modules: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(modules, "Second", "--model", TINY_MODEL.name) == 0
    assert "/v1/text/chat/second" in capsys.readouterr().out
    variables = settings_in(modules / "Second").environment_variables
    assert variables["CPAI_MODULE_LLAMA_MODEL_FILENAME"] == f"@{TINY_MODEL.name}"
    elsewhere = tmp_path / "other.gguf"
    elsewhere.write_bytes(b"GGUF")
    assert run(modules, "Third", "--model", str(elsewhere)) == 0
    variables = settings_in(modules / "Third").environment_variables
    assert variables["CPAI_MODULE_LLAMA_MODEL_FILENAME"] == f"@{elsewhere}"


def test_the_command_says_what_is_wrong(modules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(modules, "Second", "--model", "missing.gguf") == 1
    said = capsys.readouterr().err
    assert "no model file missing.gguf" in said
    assert TINY_MODEL.name in said
    assert run(modules, "Second", "--model", TINY_MODEL.name) == 0
    assert run(modules, "Second", "--model", TINY_MODEL.name) == 1
    assert "There is a module Second already" in capsys.readouterr().err
    assert json.loads((modules / "Second" / "modulesettings.json").read_text("utf-8"))["Modules"]["Second"]


def test_it_needs_no_package() -> None:
    isolated = [sys.executable, "-I", "-S", str(MODULE / "new_instance.py"), "--help"]
    program = f"import sys; sys.path.insert(0, {str(MODULE)!r}); import runpy; sys.argv = {isolated[3:]!r}; "
    program += f"runpy.run_path({isolated[3]!r}, run_name='__main__')"
    ended = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "--model FILE" in ended.stdout
