from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from server.hosting.settings.module_settings import ModuleSettings, salvaged_settings, typed_settings
from server.hosting.settings.platform_info import PlatformInfo
from server.hosting.settings.settings_file import ModuleSettingsError, RawSettings, read_module

LINUX = PlatformInfo(os="linux", architecture="x86_64", os_name="ubuntu")
SMALLEST: dict[str, Any] = {
    "Name": "Mine",
    "LaunchSettings": {"FilePath": "mine.py", "Runtime": "python3.11"},
    "RouteMaps": [{"Route": "text/mine", "Command": "go"}],
}


def raw(tmp_path: Path, values: dict[str, Any]) -> RawSettings:
    text = json.dumps({"Modules": {"Mine": values}}, indent=1)
    (tmp_path / "modulesettings.json").write_text(text)
    return read_module(tmp_path, LINUX, None, {})


def typed(tmp_path: Path, **changes: Any) -> ModuleSettings:
    return typed_settings(raw(tmp_path, {**copy.deepcopy(SMALLEST), **changes}), tmp_path)


def test_the_defaults(tmp_path: Path) -> None:
    module = typed(tmp_path)
    assert module.module_id == "Mine"
    assert module.queue == "mine_queue"
    assert module.auto_start
    assert module.location == "local"
    assert module.is_python
    assert not module.published_sdk
    assert module.gpu_options.install_gpu
    assert module.route_maps[0].mesh_enabled
    assert not module.route_maps[0].long_running
    assert module.incompatibility("2.9.5", LINUX) is None


def test_keys_in_any_letter_case_and_values_as_text(tmp_path: Path) -> None:
    launch = {"filepath": "a.py", "RUNTIME": "python", "autostart": "False", "Parallelism": "3", "queue": "q"}
    module = typed(tmp_path, LaunchSettings=launch, GPUOptions={"InstallGPU": "true", "enablegpu": False})
    assert not module.auto_start
    assert module.launch_settings.parallelism == 3
    assert module.queue == "q"
    assert module.gpu_options.install_gpu
    assert not module.gpu_options.enable_gpu


def test_names_of_variables_keep_their_letter_case(tmp_path: Path) -> None:
    module = typed(tmp_path, EnvironmentVariables={"YOLOv5_Verbose": False, "Size": 640, "Empty": None})
    assert module.environment_variables == {"YOLOv5_Verbose": False, "Size": 640, "Empty": None}


def test_our_own_keys(tmp_path: Path) -> None:
    route = {"Route": "a", "Command": "b", "LongRunning": True, "Idempotent": True}
    module = typed(tmp_path, RouteMaps=[route], LaunchSettings={**SMALLEST["LaunchSettings"], "Sdk": "published"})
    assert module.published_sdk
    assert module.route_maps[0].long_running
    assert module.route_maps[0].idempotent


def test_what_older_and_other_files_hold_is_no_error(tmp_path: Path) -> None:
    inputs = [{"Name": "n", "Type": "Float", "DefaultValue": "0.4", "MinValue": 0.0, "Default": "x"}]
    module = typed(
        tmp_path,
        Unknown={"a": 1},
        GpuOptions={"Parallelism": 4},
        InstallOptions={"PreInstalled": True, "Platforms": ["all"]},
        RouteMaps=[{"Route": "a", "Command": "b", "MeshEnabled": None, "Inputs": inputs}],
    )
    assert module.route_maps[0].mesh_enabled
    assert module.route_maps[0].inputs[0].default_value == "0.4"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"Name": ""}, ['"Name"', "missing"]),
        ({"LaunchSettings": {"Runtime": "python"}}, ['"LaunchSettings.FilePath"', "missing"]),
        ({"LaunchSettings": {"FilePath": "a.py"}}, ['"LaunchSettings.Runtime"', "missing"]),
        ({"RouteMaps": []}, ['"RouteMaps"', "missing"]),
        ({"RouteMaps": [{"Path": "old", "Command": "c"}]}, ['"RouteMaps[0].Route"', '"Path"']),
        ({"RouteMaps": [{"Route": "r"}]}, ['"RouteMaps[0].Command"']),
        (
            {"LaunchSettings": {"FilePath": "a.py", "Runtime": "python", "Parallelism": "many"}},
            ['"Parallelism"', "line 8", "a whole number"],
        ),
        ({"RouteMaps": {"Route": "r"}}, ['"RouteMaps"', "a list"]),
        ({"Name": ["x"]}, ['"Name"', "text"]),
        ({"LaunchSettings": "start"}, ['"LaunchSettings"', "an object"]),
    ],
)
def test_mistakes_name_file_line_and_key(tmp_path: Path, values: dict[str, Any], expected: list[str]) -> None:
    with pytest.raises(ModuleSettingsError) as caught:
        typed(tmp_path, **values)
    text = str(caught.value)
    assert str(tmp_path / "modulesettings.json") in text
    assert "line" in text
    for part in expected:
        assert part in text


def releases(*versions: str, limits: list[str]) -> dict[str, Any]:
    return {"ModuleReleases": [{"ModuleVersion": version, "ServerVersionRange": limits} for version in versions]}


def test_the_highest_release_is_the_version(tmp_path: Path) -> None:
    module = typed(tmp_path, Version="1.0.0", InstallOptions=releases("1.9.0", "1.10.0", "1.2", limits=[]))
    assert module.version == "1.10.0"


def test_a_module_for_a_newer_server_says_so(tmp_path: Path) -> None:
    module = typed(tmp_path, Version="1.0.0", InstallOptions=releases("1.0.0", limits=["3.0.0", ""]))
    reason = module.incompatibility("2.9.5", LINUX)
    assert reason is not None
    assert "3.0.0" in reason
    assert "2.9.5" in reason


def test_only_the_release_of_its_own_version_counts(tmp_path: Path) -> None:
    options = (
        releases("0.9.0", limits=["99.0", ""])["ModuleReleases"]
        + releases("1.0.0", limits=["2.8.0", ""])["ModuleReleases"]
    )
    module = typed(tmp_path, InstallOptions={"ModuleReleases": options})
    assert module.incompatibility("2.9.5", LINUX) is None


def test_a_module_for_other_platforms_says_so(tmp_path: Path) -> None:
    reason = typed(tmp_path, InstallOptions={"Platforms": ["windows"]}).incompatibility("2.9.5", LINUX)
    assert reason is not None
    assert "linux" in reason


def test_of_broken_settings_the_whole_routes_are_kept(tmp_path: Path) -> None:
    values = {
        "Name": "Mine",
        "LaunchSettings": {"Parallelism": "many"},
        "RouteMaps": [{"Route": "good", "Command": "c"}, {"Route": 5}, {"Command": "d"}, "x"],
    }
    module = salvaged_settings(raw(tmp_path, values), tmp_path)
    assert [route.route for route in module.route_maps] == ["good"]
    assert module.name == "Mine"
    assert module.queue == "mine_queue"
