from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from server.hosting.settings.platform_info import PlatformInfo
from server.hosting.settings.settings_file import (
    ModuleSettingsError,
    candidate_files,
    find_line,
    from_environment,
    merge,
    read_file,
    read_module,
)

LINUX = PlatformInfo(os="linux", architecture="x86_64", os_name="ubuntu")


def write(path: Path, module_id: str, values: dict[str, Any]) -> None:
    path.write_text(json.dumps({"Modules": {module_id: values}}))


def test_comments_trailing_commas_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "modulesettings.json"
    text = '\ufeff{ // one\n "a": [1, 2,], /* two */ "b": "http://x//y", }'
    path.write_text(text, encoding="utf-8")
    assert read_file(path) == {"a": [1, 2], "b": "http://x//y"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{\n "Name": "x"\n "Runtime": "y"\n}', ["line 3", "column 2", '"Name"']),
        ('{\n "Name": "x,\n}', ["line 2", '"Name"']),
        ('{ "Modules": { "A": {', ["line 1", '"A"']),
        ("", ["modulesettings.json"]),
        ("[1, 2]", ["must hold one object"]),
    ],
)
def test_a_broken_file_names_itself_the_place_and_the_key(tmp_path: Path, text: str, expected: list[str]) -> None:
    path = tmp_path / "modulesettings.json"
    path.write_text(text)
    with pytest.raises(ModuleSettingsError) as caught:
        read_file(path)
    assert str(path) in str(caught.value)
    for part in expected:
        assert part in str(caught.value)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "modulesettings.json"
    path.write_bytes(b'{"a": "\xff\xfe"}')
    with pytest.raises(ModuleSettingsError, match="not UTF-8"):
        read_file(path)


def test_objects_merge_lists_merge_by_index_and_nulls_say_nothing() -> None:
    values = {"A": {"x": 1, "y": 2}, "List": [1, 2, 3], "Kept": "k"}
    merge(values, {"a": {"Y": 20, "z": 30}, "list": [10, None], "kept": None, "New": 5})
    assert values == {"A": {"x": 1, "y": 20, "z": 30}, "List": [10, 2, 3], "Kept": "k", "New": 5}


def test_objects_in_lists_merge_too() -> None:
    values = {"RouteMaps": [{"Route": "a", "Command": "c"}]}
    merge(values, {"RouteMaps": [{"Command": "d"}, {"Route": "b"}]})
    assert values == {"RouteMaps": [{"Route": "a", "Command": "d"}, {"Route": "b"}]}


def test_variables_reach_into_objects_and_lists() -> None:
    variables = {
        "Modules__Mine__LaunchSettings__AutoStart": "false",
        "MODULES__MINE__INSTALLOPTIONS__PLATFORMS__1": "linux",
        "PATH": "/bin",
    }
    values: dict[str, Any] = {"Modules": {"Mine": {"InstallOptions": {"Platforms": ["windows", "macos"]}}}}
    merge(values, from_environment(variables))
    assert values["Modules"]["Mine"]["InstallOptions"]["Platforms"] == ["windows", "linux"]
    assert values["Modules"]["Mine"]["LaunchSettings"]["AutoStart"] == "false"


def test_the_order_of_the_files(tmp_path: Path) -> None:
    board = PlatformInfo(os="linux", architecture="x86_64", os_name="x", device="jetson", in_docker=True)
    names = [path.name for path in candidate_files(tmp_path, board, tmp_path / "user" / "modulesettings.json")]
    assert names == [
        "modulesettings.json",
        "modulesettings.linux.json",
        "modulesettings.linux.x64.json",
        "modulesettings.linux.x86_64.json",
        "modulesettings.docker.json",
        "modulesettings.jetson.json",
        "modulesettings.json",
    ]


def test_later_sources_win(tmp_path: Path) -> None:
    folder, user = tmp_path / "Mine", tmp_path / "modulesettings.json"
    folder.mkdir()
    write(folder / "modulesettings.json", "Mine", {"a": 0, "b": 0, "c": 0, "d": 0})
    write(folder / "modulesettings.linux.json", "mine", {"B": 1, "C": 1, "D": 1})
    write(folder / "modulesettings.windows.json", "Mine", {"a": 99})
    write(user, "Mine", {"c": 2, "d": 2})
    raw = read_module(folder, LINUX, user, {"Modules__Mine__D": "3"})
    assert raw.module_id == "Mine"
    assert raw.values == {"a": 0, "b": 1, "c": 2, "d": "3"}
    assert raw.files == [folder / "modulesettings.json", folder / "modulesettings.linux.json", user]


def test_a_broken_override_is_named(tmp_path: Path) -> None:
    write(tmp_path / "modulesettings.json", "Mine", {})
    (tmp_path / "modulesettings.linux.json").write_text("{")
    with pytest.raises(ModuleSettingsError, match=r"modulesettings\.linux\.json"):
        read_module(tmp_path, LINUX, None, {})


@pytest.mark.parametrize("module_id", ["../evil", ".hidden", "a b", "", "x" * 65])
def test_ids_that_are_no_file_names_are_refused(tmp_path: Path, module_id: str) -> None:
    write(tmp_path / "modulesettings.json", module_id, {})
    with pytest.raises(ModuleSettingsError, match="module id"):
        read_module(tmp_path, LINUX, None, {})


@pytest.mark.parametrize("text", ["{}", '{"Modules": {}}', '{"Modules": []}', '{"Modules": {"A": 5}}'])
def test_files_without_a_module(tmp_path: Path, text: str) -> None:
    (tmp_path / "modulesettings.json").write_text(text)
    with pytest.raises(ModuleSettingsError, match=r"modulesettings\.json"):
        read_module(tmp_path, LINUX, None, {})


def test_only_the_first_module_of_a_file_counts(tmp_path: Path) -> None:
    (tmp_path / "modulesettings.json").write_text('{"modules": {"First": {"a": 1}, "Second": {}}}')
    assert read_module(tmp_path, LINUX, None, {}).module_id == "First"


def test_finding_a_key(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{\n  "Aa": 1,\n  "Bb": 2\n}')
    assert find_line(path, "bB") == 3
    assert find_line(path, "cc") is None
    assert find_line(tmp_path / "gone.json", "a") is None
