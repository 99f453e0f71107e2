"""Which files are a module's program, and which changes of them count."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from server.hosting.process import code_files
from server.hosting.process.code_files import Code, changed_files, read_code


def write(folder: Path, *names: str, text: str = "x = 1\n") -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def read(folder: Path, before: Code | None = None, start_file: str = "adapter.py") -> Code:
    return read_code(folder, start_file, before or {})


def test_the_program_is_its_python_files_and_what_it_is_installed_from(tmp_path: Path) -> None:
    own = [
        "adapter.py",
        "helpers/words.py",
        "helpers/deep/er.py",
        "requirements.txt",
        "requirements.cuda12.txt",
        "install.sh",
    ]
    foreign = [
        *(
            "data.json",
            "log.txt",
            "models/a.gguf",
            "__pycache__/adapter.pyc",
            "__pycache__/x.py",
            ".venv/y.py",
            ".x.py",
        ),
        *("venv/lib/z.py", "made/pyvenv.cfg", "made/lib/z.py", "helpers/requirements.txt", "explore.html"),
    ]
    write(tmp_path, *own, *foreign)
    assert set(read(tmp_path)) == set(own)
    assert set(read(tmp_path, start_file="bin\\program")) == set(own)
    write(tmp_path, "bin/program")
    assert set(read(tmp_path, start_file="bin\\program")) == {*own, "bin/program"}


def test_what_it_writes_beside_its_program_is_no_change(tmp_path: Path) -> None:
    write(tmp_path, "adapter.py", "helpers/words.py")
    before = read(tmp_path)
    write(tmp_path, "log.txt", "models/repo/modeling.py", "__pycache__/adapter.cpython-311.pyc", "out.json")
    os.utime(tmp_path / "adapter.py", ns=(1, 1))
    write(tmp_path, "helpers/words.py")  # the same text once more
    assert changed_files(before, read(tmp_path, before)) == []


def test_other_text_new_files_beside_others_and_lost_ones_are_changes(tmp_path: Path) -> None:
    write(tmp_path, "adapter.py", "helpers/words.py", "gone.py")
    before = read(tmp_path)
    write(tmp_path, "helpers/words.py", text="y = 2\n")
    write(tmp_path, "helpers/more.py", "requirements.txt")
    (tmp_path / "gone.py").unlink()
    changed = changed_files(before, read(tmp_path, before))
    assert changed == ["gone.py", "helpers/more.py", "helpers/words.py", "requirements.txt"]


def test_files_that_look_as_before_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "adapter.py", "other.py")
    before = read(tmp_path)
    read_paths: list[str] = []
    original = Path.read_bytes

    def noted(path: Path) -> bytes:
        read_paths.append(path.name)
        return original(path)

    monkeypatch.setattr(Path, "read_bytes", noted)
    write(tmp_path, "other.py", text="longer = 1\n")
    read(tmp_path, before)
    assert read_paths == ["other.py"]


def test_however_large_a_folder_is_the_walk_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_files, "MAX_FOLDERS", 5)
    for number in range(20):
        write(tmp_path, f"d{number:02}/x.py")
    (tmp_path / "d00" / "loop").symlink_to(tmp_path)
    assert len(read(tmp_path)) == 4


def test_a_large_start_file_is_known_by_size_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_files, "_HASHED_BYTES", 3)
    write(tmp_path, "program")
    before = read(tmp_path, start_file="program")
    os.utime(tmp_path / "program", ns=(1, 1))
    assert changed_files(before, read(tmp_path, before, "program")) == ["program"]
