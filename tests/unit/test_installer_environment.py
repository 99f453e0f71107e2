from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from installer import environment, uv
from installer.layout import Layout
from installer.progress import StepFailedError
from tests.support.installing import captured, layout_in, program, tools_in


@pytest.fixture
def made(tmp_path: Path) -> Layout:
    """A checkout with a real, empty environment that is stamped as complete with the extra "test"."""
    layout = layout_in(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
    venv.create(layout.environment, with_pip=False)
    stamp(layout, environment.fingerprint(layout), ["test"])
    return layout


def stamp(layout: Layout, fingerprint: str, extras: list[str]) -> None:
    text = json.dumps({"fingerprint": fingerprint, "extras": extras})
    (layout.environment / environment.STAMP).write_text(text)


def test_a_complete_environment_is_left_alone(made: Layout, tmp_path: Path) -> None:
    progress, out = captured(tmp_path)
    nobody = tmp_path / "no-such-python"
    assert not environment.ensure(made, progress, nobody, ["test"])
    assert not environment.ensure(made, progress, nobody)
    assert out.getvalue() == ""
    assert not (tmp_path / "logs").exists()


def test_another_extra_makes_it_incomplete(made: Layout) -> None:
    assert environment.is_complete(made, ["test"])
    assert not environment.is_complete(made, ["test", "docs"])


def test_a_changed_pyproject_makes_it_incomplete(made: Layout) -> None:
    (made.root / "pyproject.toml").write_text('[project]\nname = "y"\n')
    assert not environment.is_complete(made)


def test_another_python_in_the_environment_makes_it_incomplete(made: Layout) -> None:
    config = made.environment / "pyvenv.cfg"
    config.write_text(config.read_text().replace("version = 3.", "version = 4."))
    assert not environment.is_complete(made)


def test_a_moved_checkout_is_incomplete(made: Layout, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in (".venv", "pyproject.toml"):
        (tmp_path / name).rename(moved / name)
    assert not environment.is_complete(layout_in(moved))


def test_an_environment_whose_python_is_gone_is_incomplete(made: Layout) -> None:
    made.python.unlink()
    assert not environment.is_complete(made)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"fingerprint": 1}', "null"])
def test_a_spoiled_stamp_counts_as_none(made: Layout, text: str) -> None:
    (made.environment / environment.STAMP).write_text(text)
    assert not environment.is_complete(made)


def test_a_python_that_cannot_make_one_fails_with_advice_and_no_stamp(made: Layout, tmp_path: Path) -> None:
    stamp(made, "another", [])
    progress, _ = captured(tmp_path)
    with pytest.raises(StepFailedError) as failed:
        environment.ensure(made, progress, tmp_path / "no-such-python")
    assert "python3 -m venv" in str(failed.value)
    assert not environment.is_complete(made)


def test_without_an_index_uv_cannot_be_had_and_the_log_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = layout_in(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
    monkeypatch.setenv("PATH", str(tools_in(tmp_path / "bin", "sh")))  # no uv there
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    progress, out = captured(tmp_path)
    with pytest.raises(StepFailedError) as failed:
        environment.ensure(layout, progress, Path(sys.executable))
    (log,) = (tmp_path / "logs").glob("install-*-uv.log")
    assert str(log) in str(failed.value)
    assert "Check the network" in str(failed.value)
    assert "Making the server's environment" in out.getvalue()
    assert not environment.is_complete(layout)


@pytest.mark.parametrize(("says", "good"), [("uv 0.13.8 (linux)", True), ("uv 0.4.30", False), ("what?", False)])
def test_a_uv_in_the_path_is_used_when_it_is_recent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, good: bool
) -> None:
    folder = tools_in(tmp_path / "bin", "sh")
    monkeypatch.setenv("PATH", str(folder))
    layout = layout_in(tmp_path)
    assert uv.find(layout) is None
    found = program(folder / "uv", f"echo '{says}'")
    assert uv.find(layout) == (found if good else None)
    own = program(layout.tool("uv"), "exit 0")
    assert uv.find(layout) == own


def test_the_checkouts_folder_may_have_any_name_whatever_the_locale(made: Layout, tmp_path: Path) -> None:
    """Python reads .pth files in the locale's letters, and dies of others before it can say why."""
    odd = tmp_path / "it's mühle 中"
    odd.mkdir()
    (odd / "grain.py").write_text("FLOUR = 1\n")
    (packages,) = made.environment.glob("lib/python*/site-packages")
    (packages / "_editable_impl_x.pth").write_text(f"{odd}\n", "utf-8")
    (packages / "plain.pth").write_text("/nowhere\n")
    plain = {"LC_ALL": "C"}
    command = [str(made.python), "-c", "import grain; print(grain.FLOUR)"]
    environment.write_paths_in_ascii(made)
    assert subprocess.run(command, env=plain, capture_output=True, text=True, check=True).stdout == "1\n"
    assert (packages / "plain.pth").read_text() == "/nowhere\n"
