"""Whatever somebody writes into a settings file, the scanner says what is wrong and goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.config import ServerSettings
from server.hosting.settings import scanner as scanner_module
from server.hosting.settings.platform_info import detect_platform
from server.hosting.settings.route_list import routes_of
from server.hosting.settings.scanner import FoundModule, Scanner

KEYS = st.sampled_from(
    [
        *("Modules", "M", "Name", "Version", "LaunchSettings", "FilePath", "Runtime", "Parallelism", "AutoStart"),
        *(
            "RouteMaps",
            "Route",
            "Command",
            "Inputs",
            "EnvironmentVariables",
            "InstallOptions",
            "Platforms",
            "InstanceOf",
        ),
        *(
            "ModuleReleases",
            "ModuleVersion",
            "ServerVersionRange",
            "Queue",
            "PublishingInfo",
            "0",
            "",
            "\u0000",
            "modules",
        ),
    ]
)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["python", "a/b"])
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=25
)
WHOLE: dict[str, Any] = {
    "Name": "M",
    "LaunchSettings": {"FilePath": "adapter.py", "Runtime": "python"},
    "RouteMaps": [{"Route": "a/b", "Command": "c"}],
}
TEXT = json.dumps({"Modules": {"M": WHOLE}}, indent=1)
MACHINE = detect_platform()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("any")
    (folder / "modules" / "M").mkdir(parents=True)
    return folder


def look(folder: Path, text: str) -> FoundModule:
    (folder / "modules" / "M" / "modulesettings.json").write_text(text, encoding="utf-8", errors="replace")
    (found,) = Scanner(ServerSettings(data_dir=folder / "data", modules_dir=folder / "modules"), MACHINE).scan()
    assert scanner_module.UNFORESEEN not in found.error, found.error
    if found.settings is not None:
        routes_of(found.settings)
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(section=st.sampled_from([None, *WHOLE]), value=VALUES)
def test_any_value_anywhere(folder: Path, section: str | None, value: Any) -> None:
    module = value if section is None else {**WHOLE, section: value}
    look(folder, json.dumps({"Modules": {"M": module}}))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.integers(0, len(TEXT)),
    length=st.integers(0, 30),
    put=st.text(st.sampled_from('{}[]",:/*\\ \na1-.'), max_size=4),
)
def test_any_slip_of_the_hand(folder: Path, start: int, length: int, put: str) -> None:
    found = look(folder, TEXT[:start] + put + TEXT[start + length :])
    assert found.error or found.settings is not None


def test_what_nobody_has_foreseen_stays_with_its_module(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "modules" / "M" / "modulesettings.json").write_text(TEXT)

    def fails(*_: object) -> None:
        raise ZeroDivisionError("never thought of")

    monkeypatch.setattr(scanner_module, "typed_settings", fails)
    (found,) = Scanner(ServerSettings(data_dir=folder / "data", modules_dir=folder / "modules"), MACHINE).scan()
    assert f"{scanner_module.UNFORESEEN} (ZeroDivisionError: never thought of)" in found.error
