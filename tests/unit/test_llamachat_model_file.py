"""Where the model comes from, and the user's choice of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from llamachat.chat.model_file import find_model, local_model
from llamachat.chat.settings import read_settings
from llamachat.chat.status import DownloadStatus
from llamachat.chat.user_settings import SettingsFileError, write_environment
from llamachat.engine.errors import ModelUnavailableError
from llamachat.engine.gguf_file import check_is_gguf


def test_the_local_file_is_used(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    assert find_model(tmp_path, "a.gguf", "", "") == tmp_path / "a.gguf"


def test_a_downloaded_file_is_found_again_by_its_pattern(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b-Q4_K_M.gguf").write_bytes(b"GGUF")
    assert local_model(tmp_path, "missing.gguf", "*Q4_K_M.gguf") == tmp_path / "sub" / "b-Q4_K_M.gguf"
    assert local_model(tmp_path, "missing.gguf", "") is None


def test_no_file_and_no_repository_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "other-Q4_K_M.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelUnavailableError) as problem:
        find_model(tmp_path, "a.gguf", "", "*Q4_K_M.gguf")
    assert str(tmp_path / "a.gguf") in str(problem.value)
    assert "install.sh --model" in str(problem.value)


@pytest.mark.parametrize("content", [b"", b"GGU", b"<html>", b"\0" * 100])
def test_what_is_no_gguf_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.gguf").write_bytes(content)
    with pytest.raises(ModelUnavailableError, match="not a GGUF file"):
        check_is_gguf(tmp_path / "a.gguf")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match="cannot be read"):
        check_is_gguf(tmp_path / "none.gguf")


def test_settings_come_from_the_environment(tmp_path: Path) -> None:
    settings = read_settings(
        tmp_path,
        {
            "CPAI_MODULE_LLAMA_MODEL_DIR": "./models",
            "CPAI_MODULE_LLAMA_MODEL_FILENAME": "a.gguf",
            "CPAI_MODULE_LLAMA_MODEL_REPO": "@owner/name",
            "CPAI_MODULE_LLAMA_CONTEXT": "1024",
            "CPAI_MODULE_LLAMA_THREADS": "many",
        },
    )
    assert settings.model_dir == tmp_path / "models"
    assert (settings.filename, settings.repo_id) == ("a.gguf", "owner/name")
    assert (settings.context, settings.threads, settings.gpu_layers) == (1024, 0, -1)


def test_the_choice_of_a_model_keeps_other_settings(tmp_path: Path) -> None:
    path = tmp_path / "modulesettings.json"
    path.write_text('{"Modules": {"Other": {"X": 1}, "LlamaChat": {"LaunchSettings": {"AutoStart": false}}}}')
    assert write_environment(tmp_path, "LlamaChat", {"A": "1"}) == path
    write_environment(tmp_path, "LlamaChat", {"B": "2"})
    modules = json.loads(path.read_text())["Modules"]
    assert modules["Other"] == {"X": 1}
    assert modules["LlamaChat"] == {
        "LaunchSettings": {"AutoStart": False},
        "EnvironmentVariables": {"A": "1", "B": "2"},
    }
    assert [file.name for file in tmp_path.iterdir()] == ["modulesettings.json"]


@pytest.mark.parametrize("content", ["{ // comment\n}", "[]", '{"Modules": 5}'])
def test_a_settings_file_that_is_not_understood_is_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "modulesettings.json"
    path.write_text(content)
    with pytest.raises(SettingsFileError, match=r"modulesettings\.json"):
        write_environment(tmp_path, "LlamaChat", {"A": "1"})
    assert path.read_text() == content


def test_progress_is_worth_a_line_only_now_and_then() -> None:
    now = [0.0]
    status = DownloadStatus(clock=lambda: now[0], every_s=5)
    assert "being loaded" in status.text()
    assert status.note("a.gguf", 1024 * 1024, 4 * 1024 * 1024)
    assert not status.note("a.gguf", 2 * 1024 * 1024, 4 * 1024 * 1024)
    now[0] = 6
    assert status.note("a.gguf", 3 * 1024 * 1024, 4 * 1024 * 1024)
    assert status.text() == "The model a.gguf is being downloaded: 3.0 MiB of 4.0 MiB, 75 %."
    assert status.note("a.gguf", 4 * 1024 * 1024, 4 * 1024 * 1024)
