"""An error while looking is not absence: what the scanner cannot read stays as it was."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from server.config import ServerSettings
from server.hosting.settings.platform_info import detect_platform
from server.hosting.settings.scanner import Scanner
from tests.support.hosting_modules import write_module
from tests.support.unreadable import no_descriptors, unreadable

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the errors are made with what Linux has")


@pytest.fixture
def scanner(tmp_path: Path) -> Scanner:
    write_module(tmp_path / "modules", "Echo")
    (tmp_path / "data").mkdir()
    settings = ServerSettings(data_dir=tmp_path / "data", modules_dir=tmp_path / "modules")
    return Scanner(settings, detect_platform())


def test_a_folder_that_cannot_be_listed_has_the_modules_it_had(scanner: Scanner, tmp_path: Path) -> None:
    before = scanner.scan()
    with no_descriptors():
        assert scanner.scan() == before
        assert scanner.troubles == {tmp_path / "modules": "Too many open files"}
        with pytest.raises(OSError, match="Too many open files"):
            scanner.folders()
    assert scanner.scan() == before
    assert scanner.troubles == {}


def test_a_modules_folder_that_vanishes_is_no_removal(scanner: Scanner, tmp_path: Path) -> None:
    before = scanner.scan()
    (tmp_path / "modules").rename(tmp_path / "away")
    assert scanner.scan() == before
    assert scanner.troubles == {tmp_path / "modules": "No such file or directory"}
    (tmp_path / "away").rename(tmp_path / "modules")
    assert scanner.scan() == before


def test_a_module_that_is_removed_is_gone(scanner: Scanner, tmp_path: Path) -> None:
    scanner.scan()
    (tmp_path / "modules" / "Echo").rename(tmp_path / "elsewhere")
    assert scanner.scan() == []
    assert scanner.troubles == {}


@pytest.mark.parametrize("name", ["modulesettings.json", "modulesettings.linux.json", "explore.html"])
def test_a_module_whose_file_cannot_be_read_stays_as_it_was(scanner: Scanner, tmp_path: Path, name: str) -> None:
    path = tmp_path / "modules" / "Echo" / name
    (before,) = scanner.scan()
    with unreadable(path):
        (now,) = scanner.scan()
        assert (now.settings, now.page, now.error) == (before.settings, before.page, "")
        assert set(scanner.troubles.values()) == {"Input/output error"}
    (after,) = scanner.scan()
    assert (after.settings, after.error, scanner.troubles) == (before.settings, "", {})


def test_the_users_own_settings_are_not_forgotten(scanner: Scanner, tmp_path: Path) -> None:
    user_file = tmp_path / "data" / "modulesettings.json"
    user_file.write_text('{"Modules": {"Echo": {"LaunchSettings": {"AutoStart": false}}}}')
    (before,) = scanner.scan()
    with unreadable(user_file):
        (now,) = scanner.scan()
        assert now.settings is not None
        assert now.settings.auto_start is False
        assert now.fingerprint == before.fingerprint
        assert set(scanner.troubles) == {user_file}


def test_a_new_module_is_found_when_it_can_be_read(scanner: Scanner, tmp_path: Path) -> None:
    new = write_module(tmp_path / "modules", "New")
    with unreadable(new / "modulesettings.json"):
        assert [found.module_id for found in scanner.scan()] == ["Echo"]
        assert set(scanner.troubles) == {new / "modulesettings.json"}
    assert [found.module_id for found in scanner.scan()] == ["Echo", "New"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ModuleSettings.json", "Rename its file ModuleSettings.json to modulesettings.json, all in small letters"),
        ("modulesettings.json.txt", "Rename its file modulesettings.json.txt to modulesettings.json"),
        ("adapter.py", "Write one (docs/writing-a-module.md tells how), or take the folder out"),
    ],
)
def test_a_folder_without_settings_is_told_with_what_to_do(
    scanner: Scanner, tmp_path: Path, name: str, expected: str
) -> None:
    (tmp_path / "modules" / "Shout").mkdir()
    (tmp_path / "modules" / "Shout" / name).write_text("{}")
    echo, shout = scanner.scan()
    assert (echo.error, shout.module_id, shout.settings) == ("", "Shout", None)
    assert f"There is no modulesettings.json in {tmp_path / 'modules' / 'Shout'}" in shout.error
    assert expected in shout.error
    write_module(tmp_path / "modules", "Shout")
    assert [found.error for found in scanner.scan()] == ["", ""]


def test_a_module_that_loses_its_settings_is_still_known(scanner: Scanner, tmp_path: Path) -> None:
    (before,) = scanner.scan()
    (tmp_path / "modules" / "Echo" / "modulesettings.json").unlink()
    (now,) = scanner.scan()
    assert (now.module_id, now.settings) == ("Echo", before.settings)
    assert "There is no modulesettings.json" in now.error


def test_an_id_belongs_to_the_folder_of_that_name(scanner: Scanner, tmp_path: Path) -> None:
    copy = write_module(tmp_path / "modules", "Aaa")
    (copy / "modulesettings.json").write_text((tmp_path / "modules" / "Echo" / "modulesettings.json").read_text())
    found = {module.folder.name: module for module in scanner.scan()}
    assert found["Echo"].error == ""
    assert f"'Echo' is already taken by the folder {tmp_path / 'modules' / 'Echo'}" in found["Aaa"].error
