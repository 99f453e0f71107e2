from __future__ import annotations

import os
from pathlib import Path

import pytest

from server.config import ServerSettings
from server.hosting.settings.macros import Macros, macros_for
from server.hosting.settings.platform_info import PlatformInfo


@pytest.fixture
def macros() -> Macros:
    settings = ServerSettings(data_dir=Path("/d"), modules_dir=Path("/m"))
    machine = PlatformInfo(os="linux", architecture="arm64", os_name="debian")
    return macros_for(settings, machine, Path("/m/Mine"), "python311", Path("/d/environments"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%CURRENT_MODULE_PATH%/models", "/m/Mine/models"),
        ("%MODULES_PATH%\\Other", "/m/Other"),
        ("%DATA_DIR%/x", "/d/x"),
        ("%OS% %OS_NAME% %PLATFORM%", "linux debian linux-arm64"),
        ("%RUNTIMES_PATH%%PYTHON_PATH%", "/d/environments/bin/debian/python311/venv/bin/python3"),
        ("%NO_SUCH_MACRO%", "%NO_SUCH_MACRO%"),
        ("100% of 50%", "100% of 50%"),
        ("plain", "plain"),
    ],
)
def test_expansion(macros: Macros, text: str, expected: str) -> None:
    assert macros.expand(text) == expected.replace("/", os.sep)


def test_addresses_keep_their_slashes(macros: Macros) -> None:
    assert macros.expand("https://example.org/a\\b/%OS%") == "https://example.org/a\\b/linux"
    assert macros.expand("file:///x/y") == "file:///x/y"


def test_an_at_sign_means_literally(macros: Macros) -> None:
    assert macros.expand("@owner/na\\me-%OS%") == "owner/na\\me-%OS%"


def test_a_folder_with_a_macro_in_its_name_is_not_expanded_for_ever() -> None:
    assert Macros({"%A%": "x%A%"}).replace("%A%") == "xx%A%"
