"""The module writes the user's settings as the server does: it may not import the server's code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from llamachat.chat.user_settings import SettingsFileError, write_environment

from server.hosting.settings.user_settings import SettingError, save

NAME = "CPAI_MODULE_LLAMA_MODEL_FILENAME"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    "before",
    [
        None,
        "{}",
        '{"Modules": {"LlamaChat": {"LaunchSettings": {"AutoStart": false}}, "Other": {}}, "More": [1]}',
        '{"modules": {"llamachat": {"environmentvariables": {"cpai_module_llama_model_filename": "old"}}}}',
    ],
)
def test_both_write_the_same(tmp_path: Path, before: str | None, encoding: str) -> None:
    files = [tmp_path / name / "modulesettings.json" for name in ("server", "module")]
    for file in files:
        file.parent.mkdir()
        if before is not None:
            file.write_text(before, encoding)
    save(files[0], {"LlamaChat": {("EnvironmentVariables", NAME): "@é.gguf"}})
    assert write_environment(files[1].parent, "LlamaChat", {NAME: "@é.gguf"}) == files[1]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert "@é.gguf" in files[0].read_text("utf-8")
    assert "old" not in files[0].read_text("utf-8")


@pytest.mark.parametrize("before", ["{} // mine", "[]", '{"Modules": 1}', '{"Modules": {"LlamaChat": null}}'])
def test_both_refuse_the_same(tmp_path: Path, before: str) -> None:
    file = tmp_path / "modulesettings.json"
    file.write_text(before)
    with pytest.raises(SettingError):
        save(file, {"LlamaChat": {("EnvironmentVariables", NAME): "x"}})
    with pytest.raises(SettingsFileError):
        write_environment(tmp_path, "LlamaChat", {NAME: "x"})
    assert file.read_text() == before
    assert json.dumps(sorted(path.name for path in tmp_path.iterdir())) == '["modulesettings.json"]'
