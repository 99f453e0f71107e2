"""A model file of the user's own, brought into the model folder and chosen in one step."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from download_model import main
from llamachat.chat.model_folder import model_files
from llamachat.chat.model_list import list_models
from llamachat.chat.own_model import OwnModelError, names_a_file, take_in
from llamachat.chat.user_settings import read_environment
from llamachat.engine.errors import ModelUnavailableError
from proof.gguf_writer import GgufFile

from tests.support.gguf_models import write_bert, write_causal
from tests.support.llamachat_worker import MODULE, TINY_MODEL

FILENAME = "CPAI_MODULE_LLAMA_MODEL_FILENAME"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A model of one's own, in a folder whose name needs care."""
    return write_causal(tmp_path / "my models ü" / "Mine it's.GGUF")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("model", "is_file"),
    [("owner/name", False), ("owner/name:a.gguf", False), ("a.gguf", True), ("./b/A.GGUF", True), ("/x/model", True)],
)
def test_files_and_repositories_are_told_apart(model: str, is_file: bool) -> None:
    assert names_a_file(model) is is_file


def test_it_is_linked_and_takes_no_space_twice(mine: Path, models: Path) -> None:
    name, how = take_in(mine, models)
    assert name == mine.name
    assert "Linked" in how
    assert (models / name).samefile(mine)
    assert take_in(mine, models) == (name, f"It is in the model folder already: {models / name}")


def no_hard_links(_source: object, _target: object) -> None:
    raise OSError(errno.EXDEV, "Invalid cross-device link")


def test_on_another_disk_it_stays_where_it_is(mine: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", no_hard_links)
    name, how = take_in(mine, models)
    assert (models / name).readlink() == mine
    assert f"stays at {mine}" in how
    assert take_in(mine, models)[0] == name


def test_where_no_links_can_be_made_it_is_copied(mine: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(_self: Path, _target: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_hard_links)
    monkeypatch.setattr(Path, "symlink_to", no_links)
    name, how = take_in(mine, models)
    assert how == f"Copied to {models / name}."
    assert (models / name).read_bytes() == mine.read_bytes()
    assert not (models / name).samefile(mine)
    assert os.listdir(models) == [name]
    assert "already" in take_in(mine, models)[1], "the same bytes are the same model"


@pytest.mark.parametrize("links", [True, False])
def test_another_file_of_that_name_is_never_overwritten(
    mine: Path, models: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", no_hard_links)
    (models / mine.name).write_bytes(b"GGUF of somebody else")
    with pytest.raises(OwnModelError, match="another file of this name"):
        take_in(mine, models)
    assert (models / mine.name).read_bytes() == b"GGUF of somebody else"


def test_what_lies_in_the_folder_is_used_as_it_is(models: Path) -> None:
    inside = write_bert(models / "sub" / "bert.gguf")
    assert take_in(inside, models) == ("sub/bert.gguf", f"It is in the model folder already: {inside}")


def test_a_split_model_comes_with_all_its_parts(tmp_path: Path, models: Path) -> None:
    parts = [write_causal(tmp_path / "big" / f"big-0000{number}-of-00002.gguf") for number in (1, 2)]
    assert take_in(parts[1], models)[0] == parts[0].name
    assert sorted(os.listdir(models)) == [part.name for part in parts]
    parts[1].unlink()
    with pytest.raises(OwnModelError, match=r"more parts.*big-00002"):
        take_in(parts[0], models)


def test_what_cannot_be_read_as_a_model_is_refused(mine: Path, models: Path) -> None:
    whole = mine.read_bytes()
    for content, words in [
        (b"<html>", "not a GGUF file"),
        (whole[:200], "damaged or incomplete"),
        (whole[: len(whole) // 2], "damaged or incomplete"),
        (b"GGUF" + b"\xff" * 100, "damaged or incomplete"),
    ]:
        mine.write_bytes(content)
        with pytest.raises(ModelUnavailableError, match=words):
            take_in(mine, models)
    other = GgufFile({"general.architecture": "clip"})
    other.add("a", (1,), [1.0])
    other.write(mine)
    with pytest.raises(OwnModelError, match="none that chats"):
        take_in(mine, models)
    with pytest.raises(OwnModelError, match="is a folder"):
        take_in(mine.parent, models)
    with pytest.raises(OwnModelError, match="There is no file"):
        take_in(mine.with_name("none.gguf"), models)
    assert os.listdir(models) == []


def chosen(data: Path, module: str = "LlamaChat") -> dict[str, str]:
    found: dict[str, str] = json.loads((data / "modulesettings.json").read_text("utf-8"))["Modules"][module][
        "EnvironmentVariables"
    ]
    return found


def test_the_command_chooses_it(mine: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = ["--data-dir", str(tmp_path / "data"), "--model-dir", str(models)]
    assert main([str(mine), *folders]) == 0
    assert "Linked" in capsys.readouterr().out
    found = chosen(tmp_path / "data")
    assert (found[FILENAME], found["CPAI_MODULE_LLAMA_MODEL_REPO"]) == (f"@{mine.name}", "")
    assert main([str(mine.with_name("none.gguf")), *folders]) == 1
    assert "There is no file" in capsys.readouterr().err


def test_the_folder_that_the_user_has_chosen_for_models_is_kept(mine: Path, models: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    wanted = {"Modules": {"llamachat": {"EnvironmentVariables": {"cpai_module_llama_model_dir": str(models)}}}}
    (data / "modulesettings.json").write_text(json.dumps(wanted))
    assert main([str(mine), "--data-dir", str(data)]) == 0
    assert (models / mine.name).samefile(mine)
    assert read_environment(data, "LlamaChat")[FILENAME] == f"@{mine.name}"


def test_a_settings_file_that_cannot_be_changed_is_told_before_anything_is_done(
    mine: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "modulesettings.json").write_text("{ // mine\n}")
    assert main([str(mine), "--data-dir", str(tmp_path / "data"), "--model-dir", str(models)]) == 1
    assert "not plain JSON" in capsys.readouterr().err
    assert os.listdir(models) == []


def test_an_instance_of_that_name_is_made(mine: Path, models: Path, tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    (modules / "LlamaChat").mkdir(parents=True)
    folders = ["--data-dir", str(tmp_path / "data"), "--model-dir", str(models), "--modules-dir", str(modules)]
    assert main([str(mine), "--as", "Coder", *folders]) == 0
    made = json.loads((modules / "Coder" / "modulesettings.json").read_text("utf-8"))["Modules"]["Coder"]
    assert made["EnvironmentVariables"][FILENAME] == f"@{mine.name}"


def test_a_file_of_ones_own_needs_no_package(mine: Path, tmp_path: Path) -> None:
    folders = ["--data-dir", str(tmp_path / "data"), "--model-dir", str(tmp_path / "models")]
    arguments = [str(MODULE / "download_model.py"), str(mine), *folders]
    program = f"import runpy, sys; sys.path.insert(0, {str(MODULE)!r}); sys.argv = {arguments!r}; "
    program += f"runpy.run_path({arguments[0]!r}, run_name='__main__')"
    ended = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "models" / mine.name).is_file()


def test_every_model_in_the_folder_is_listed(mine: Path, models: Path) -> None:
    """In any letter case, behind links, below other folders; not the parts, the helpers and the hidden."""
    write_bert(models / "a.gguf")
    (models / "linked.gguf").symlink_to(mine)
    (models / "elsewhere").symlink_to(mine.parent, target_is_directory=True)
    (models / "circle").symlink_to(models, target_is_directory=True)
    (models / "gone.gguf").symlink_to(models / "nowhere")
    for name in ("mmproj-a.gguf", "b-00002-of-00002.gguf", ".hidden/c.gguf", "readme.txt"):
        (models / name).parent.mkdir(exist_ok=True)
        (models / name).write_bytes(b"GGUF")
    found = [path.relative_to(models).as_posix() for path in model_files(models)]
    assert found == ["a.gguf", f"elsewhere/{mine.name}", "linked.gguf"]
    assert model_files(models / "none") == []


def test_a_loaded_model_from_elsewhere_is_in_the_list(mine: Path, models: Path) -> None:
    write_bert(models / "a.gguf")
    listed = list_models(models, mine)
    assert [(entry["file"], entry["loaded"]) for entry in listed["models"]] == [(str(mine), True), ("a.gguf", False)]
    assert listed["models"][0]["value"] == f"@{mine}"
    assert listed["models"][0]["folder"] == str(mine.parent)
    assert (listed["folder"], listed["folderSetting"]) == (str(models), "CPAI_MODULE_LLAMA_MODEL_DIR")
    (models / "linked.gguf").symlink_to(mine)
    listed = list_models(models, mine)
    assert [entry["file"] for entry in listed["models"] if entry["loaded"]] == ["linked.gguf"]


def test_a_damaged_file_is_listed_as_such(models: Path) -> None:
    (models / "bad.gguf").write_bytes(TINY_MODEL.read_bytes()[:100])
    (entry,) = list_models(models, None)["models"]
    assert entry["kind"] == "damaged"
    assert "damaged or incomplete" in entry["error"]
