from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from server.config import ServerSettings
from server.hosting.install.environment import plan_environment
from server.hosting.settings.instance import base_folder, read_settings
from server.hosting.settings.module_settings import ModuleSettings, typed_settings
from server.hosting.settings.platform_info import PlatformInfo
from server.hosting.settings.scanner import Scanner
from server.hosting.settings.settings_file import ModuleSettingsError

LINUX = PlatformInfo(os="linux", architecture="x86_64", os_name="ubuntu")
BASE: dict[str, Any] = {
    "Name": "The base",
    "Version": "1.2.3",
    "LaunchSettings": {"FilePath": "base.py", "Runtime": "python3.11", "Queue": "base_line", "Parallelism": 4},
    "EnvironmentVariables": {"MODEL": "small", "THREADS": 2},
    "RouteMaps": [
        {"Route": "text/chat", "Command": "chat", "LongRunning": True, "Inputs": [{"Name": "prompt"}]},
        {"Route": "text/models", "Command": "list_models"},
    ],
}


def write(modules: Path, folder: str, module_id: str, values: dict[str, Any]) -> Path:
    path = modules / folder
    path.mkdir(parents=True, exist_ok=True)
    (path / "modulesettings.json").write_text(json.dumps({"Modules": {module_id: values}}, indent=1))
    return path


def read(folder: Path, user_file: Path | None = None, environment: dict[str, str] | None = None) -> ModuleSettings:
    base = base_folder(folder)
    return typed_settings(read_settings(folder, base, LINUX, user_file, environment or {}), base or folder)


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    write(tmp_path / "modules", "Base", "Base-Id", BASE)
    return tmp_path / "modules"


def test_an_instance_is_the_module_with_its_own_id_queue_and_routes(modules: Path) -> None:
    coder = read(write(modules, "Coder", "Coder", {"InstanceOf": "Base", "EnvironmentVariables": {"MODEL": "large"}}))
    assert (coder.module_id, coder.name, coder.version, coder.queue) == ("Coder", "Coder", "1.2.3", "coder_queue")
    assert [(route.route, route.command, route.long_running) for route in coder.route_maps] == [
        ("text/chat/coder", "chat", True),
        ("text/models/coder", "list_models", False),
    ]
    assert coder.route_maps[0].inputs[0].name == "prompt"
    assert coder.environment_variables == {"MODEL": "large", "THREADS": 2}
    assert coder.launch_settings.parallelism == 4
    assert (coder.path, coder.instance_of) == (modules / "Base", "Base-Id")
    base = read(modules / "Base")
    assert (base.name, base.queue, base.route_maps[0].route) == ("The base", "base_line", "text/chat")
    assert base.instance_of == ""


def test_what_an_instance_says_itself_goes_first(modules: Path, tmp_path: Path) -> None:
    own = {
        "InstanceOf": "Base",
        "Name": "Writes code",
        "LaunchSettings": {"Queue": "code", "Parallelism": 1},
        "RouteMaps": [{"Route": "code/chat"}],
    }
    folder = write(modules, "Coder", "Coder", own)
    user = tmp_path / "user.json"
    sections = {
        "Base-Id": {"EnvironmentVariables": {"THREADS": 8, "MODEL": "x"}},
        "coder": {"LaunchSettings": {"AutoStart": False}},
    }
    user.write_text(json.dumps({"Modules": sections}))
    coder = read(folder, user, {"Modules__Coder__EnvironmentVariables__MODEL": "y"})
    assert (coder.name, coder.queue, coder.launch_settings.parallelism) == ("Writes code", "code", 1)
    assert [route.route for route in coder.route_maps] == ["code/chat", "text/models/coder"]
    assert coder.environment_variables == {"MODEL": "y", "THREADS": 8}, "with the user's settings for the base"
    assert not coder.auto_start
    assert read(modules / "Base", user).auto_start


def test_an_instance_runs_in_the_environment_of_its_base(modules: Path, tmp_path: Path) -> None:
    (modules / "Base" / "requirements.txt").write_text("aiohttp\n")
    settings = ServerSettings(data_dir=tmp_path / "data", modules_dir=modules)
    coder = read(write(modules, "Coder", "Coder", {"InstanceOf": "Base"}))
    base = read(modules / "Base")
    plans = [plan_environment(settings, module.installed_as, LINUX) for module in (base, coder)]
    assert plans[0] is not None
    assert plans[0] == plans[1]
    assert plans[0].folder == tmp_path / "data" / "environments" / "Base-Id"


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"InstanceOf": "Nobody"}, ["line 4", "there is no module in", "Nobody"]),
        ({"InstanceOf": "../Base"}, ["line 4", "the name of a folder beside"]),
        ({"InstanceOf": ".."}, ["line 4", "the name of a folder beside"]),
        ({"InstanceOf": ["Base"]}, ["line 4", "the name of a folder beside"]),
        ({"InstanceOf": "Second"}, ["Second is an instance itself"]),
        ({"InstanceOf": "Base", "LaunchSettings": {"Runtime": "python3.9"}}, ['key "Runtime"', "environment of Base"]),
        ({"InstanceOf": "Base", "GPUOptions": {"installGPU": False}}, ['key "InstallGPU"', "remove this"]),
    ],
)
def test_what_is_wrong_with_an_instance_is_said(modules: Path, own: dict[str, Any], said: list[str]) -> None:
    write(modules, "Second", "Second", {"InstanceOf": "Base"})
    folder = write(modules, "Coder", "Coder", own)
    with pytest.raises(ModuleSettingsError) as caught:
        read(folder)
    for part in [str(folder), *said]:
        assert part in str(caught.value)


def test_a_change_of_the_base_is_one_of_the_instance(modules: Path, tmp_path: Path) -> None:
    (modules / "Base" / "explore.html").write_text(
        "<!-- START EXPLORER MARKUP --><p id='_MID_p'></p><!-- END EXPLORER MARKUP -->"
    )
    write(modules, "Coder", "Coder", {"InstanceOf": "Base"})
    scanner = Scanner(ServerSettings(data_dir=tmp_path / "data", modules_dir=modules), LINUX)
    before = {found.module_id: found for found in scanner.scan()}
    assert before["Coder"].page.html == "<p id='Coder_p'></p>"
    assert before["Coder"].base == modules / "Base"
    assert {found.module_id: found for found in scanner.scan()} == before
    write(modules, "Base", "Base-Id", {**BASE, "EnvironmentVariables": {"MODEL": "larger than it was"}})
    after = {found.module_id: found for found in scanner.scan()}
    assert after["Coder"].own != before["Coder"].own
    assert after["Coder"].settings is not None
    assert after["Coder"].settings.environment_variables["MODEL"] == "larger than it was"


def test_a_user_s_setting_for_another_module_changes_nothing_of_its_own(modules: Path, tmp_path: Path) -> None:
    write(modules, "Coder", "Coder", {"InstanceOf": "Base"})
    scanner = Scanner(ServerSettings(data_dir=tmp_path, modules_dir=modules), LINUX)
    before = {found.module_id: found for found in scanner.scan()}
    (tmp_path / "modulesettings.json").write_text('{"Modules": {"Coder": {"EnvironmentVariables": {"MODEL": "z"}}}}')
    after = {found.module_id: found for found in scanner.scan()}
    for module_id in ("Coder", "Base-Id"):
        assert after[module_id].fingerprint != before[module_id].fingerprint
        assert after[module_id].own == before[module_id].own
    assert after["Base-Id"].settings == before["Base-Id"].settings
    assert after["Coder"].settings != before["Coder"].settings


def test_an_instance_waits_for_its_base(tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    write(modules, "Coder", "Coder", {"InstanceOf": "Base"})
    scanner = Scanner(ServerSettings(data_dir=tmp_path / "data", modules_dir=modules), LINUX)
    [found] = scanner.scan()
    assert "there is no module in" in found.error
    write(modules, "Base", "Base-Id", BASE)
    found = next(found for found in scanner.scan() if found.folder.name == "Coder")
    assert found.error == ""
    assert found.settings is not None
    assert found.settings.module_id == "Coder"
    (modules / "Base" / "modulesettings.json").unlink()
    found = next(found for found in scanner.scan() if found.folder.name == "Coder")
    assert "there is no module in" in found.error
