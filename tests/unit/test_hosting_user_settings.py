from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from server.hosting.settings.user_settings import SettingError, save

PORTS = {"A": {("LaunchSettings", "AutoStart"): False}}


def test_a_first_setting_makes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "data" / "modulesettings.json"
    save(path, {"A": {("EnvironmentVariables", "X"): "é\\"}, "B": {("LaunchSettings", "Parallelism"): 2}})
    assert json.loads(path.read_text("utf-8")) == {
        "Modules": {"A": {"EnvironmentVariables": {"X": "é\\"}}, "B": {"LaunchSettings": {"Parallelism": 2}}}
    }
    assert os.listdir(path.parent) == ["modulesettings.json"]


def test_what_else_is_there_stays_and_keys_match_in_any_letter_case(tmp_path: Path) -> None:
    path = tmp_path / "modulesettings.json"
    path.write_text('\ufeff{"modules": {"a": {"launchsettings": {"autostart": true, "Other": 1}}, "b": 2}, "c": [3]}')
    save(path, PORTS)
    assert json.loads(path.read_text("utf-8")) == {
        "modules": {"a": {"launchsettings": {"autostart": False, "Other": 1}}, "b": 2},
        "c": [3],
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"Modules": {}} // mine', "not plain JSON"),
        ('{"Modules": {},}', "not plain JSON"),
        ("[]", "must hold a JSON object"),
        ('{"Modules": {"A": 5}}', 'at "A"'),
        ('{"Modules": {"A": {"LaunchSettings": null}}}', 'at "LaunchSettings"'),
    ],
)
def test_a_file_that_cannot_be_changed_stays_as_it_is(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "modulesettings.json"
    path.write_text(text)
    with pytest.raises(SettingError, match=said):
        save(path, PORTS)
    assert path.read_text() == text
    assert os.listdir(tmp_path) == ["modulesettings.json"]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder belongs")
    with pytest.raises(SettingError, match=r"cannot be (read|written)"):
        save(tmp_path / "data" / "modulesettings.json", PORTS)
