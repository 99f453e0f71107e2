"""Files that editors on Windows have saved: with a byte order mark, as UTF-16, with other line ends."""

from __future__ import annotations

import codecs
import json
from pathlib import Path

import pytest
from codeproject_ai_sdk.common import check_installed_packages
from codeproject_ai_sdk.settings_file import read_module_settings
from codeproject_ai_sdk.texts import read_text

from installer.wheels import indexes_named_in
from server.config import load_settings
from server.hosting.install.requirements_file import read_requirements
from server.hosting.settings.explore_page import read_page
from server.hosting.settings.settings_file import ModuleSettingsError, read_file
from server.hosting.settings.user_settings import save

SAVED_AS = {
    "UTF-8": (b"", "utf-8"),
    "UTF-8 with a mark": (codecs.BOM_UTF8, "utf-8"),
    "UTF-16 LE": (codecs.BOM_UTF16_LE, "utf-16-le"),
    "UTF-16 BE": (codecs.BOM_UTF16_BE, "utf-16-be"),
}
SETTINGS = {"Modules": {"Größe": {"Name": "Größe"}}}


class Editor:
    """Saves files as an editor on Windows does."""

    def __init__(self, folder: Path, mark: bytes, encoding: str) -> None:
        self.folder = folder
        self._mark, self._encoding = mark, encoding

    def save(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_bytes(self._mark + text.replace("\n", "\r\n").encode(self._encoding))
        return path


@pytest.fixture(params=list(SAVED_AS))
def editor(request: pytest.FixtureRequest, tmp_path: Path) -> Editor:
    return Editor(tmp_path, *SAVED_AS[request.param])


def test_a_chat_template(editor: Editor) -> None:
    assert read_text(editor.save("chat.jinja", "{{ größe }}\n{{ b }}")) == "{{ größe }}\n{{ b }}"


def test_settings_of_a_module(editor: Editor) -> None:
    path = editor.save("modulesettings.json", json.dumps(SETTINGS, ensure_ascii=False, indent=1))
    assert read_file(path) == SETTINGS
    assert read_module_settings(editor.folder) == ("Größe", {"Name": "Größe"})


def test_the_users_settings_can_be_changed(editor: Editor) -> None:
    path = editor.save("modulesettings.json", json.dumps(SETTINGS, ensure_ascii=False))
    save(path, {"Größe": {("LaunchSettings", "AutoStart"): False}})
    assert json.loads(path.read_text("utf-8")) == {
        "Modules": {"Größe": {"Name": "Größe", "LaunchSettings": {"AutoStart": False}}}
    }


def test_settings_of_the_server(editor: Editor) -> None:
    path = editor.save("millrace.json", '{\n  "port": 4711, // größer\n}')
    assert load_settings(["--settings", str(path)], {})[0].port == 4711


def test_a_requirements_file(editor: Editor) -> None:
    path = editor.save("requirements.txt", "certainly-not-installed>=1 # größer\nmsgspec\n")
    assert read_requirements(path).lines == ["certainly-not-installed>=1", "msgspec"]
    assert check_installed_packages(path) == ["certainly-not-installed"]


def test_the_index_that_a_requirements_file_names(tmp_path: Path) -> None:
    path = Editor(tmp_path, *SAVED_AS["UTF-8 with a mark"]).save("requirements.txt", "--extra-index-url http://a/b\n")
    assert indexes_named_in([path]) == ["http://a/b"]


def test_a_page(editor: Editor) -> None:
    editor.save("explore.html", "<!-- START EXPLORER MARKUP -->\n<p>größer</p>\n<!-- END EXPLORER MARKUP -->")
    assert read_page(editor.folder, "Mine").html == "<p>größer</p>"


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "modulesettings.json"
    path.write_bytes(b'{"Modules": "\xe4"}')
    with pytest.raises(ModuleSettingsError, match="is not UTF-8 text"):
        read_file(path)
