from __future__ import annotations

import os
from pathlib import Path

import pytest

from installer import apt, prerequisites
from installer.progress import InstallError
from tests.support.installing import captured, layout_in, program, tools_in

BUILT = "lib/python3.12/site-packages/llama_cpp/__init__.py"


@pytest.fixture
def bare_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH in which there is nothing to compile with, and an ordinary user."""
    folder = tools_in(tmp_path / "bin", "sh", "touch", "chmod")
    monkeypatch.setenv("PATH", str(folder))
    for name in ("CC", "CXX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return folder


def test_missing_compiler_is_told_with_the_commands_to_type_and_ends_nothing(tmp_path: Path, bare_path: Path) -> None:
    progress, out = captured(tmp_path)
    prerequisites.ensure(layout_in(tmp_path), progress)
    said = out.getvalue()
    assert "Warning: LlamaChat will not work without a compiler" in said
    assert "a C and C++ compiler with make" in said
    assert "sudo apt-get install build-essential" in said
    assert "xcode-select --install" in said


def test_git_is_wanted_for_the_tests_only(tmp_path: Path, bare_path: Path) -> None:
    progress, out = captured(tmp_path)
    with pytest.raises(InstallError, match="git"):
        prerequisites.ensure(layout_in(tmp_path), progress, testing=True)
    prerequisites.ensure(layout_in(tmp_path), progress)
    assert "git " not in out.getvalue()


def test_no_compiler_is_needed_once_llama_cpp_is_there(tmp_path: Path, bare_path: Path) -> None:
    layout = layout_in(tmp_path)
    built = layout.module_environment("LlamaChat") / BUILT
    built.parent.mkdir(parents=True)
    built.touch()
    progress, out = captured(tmp_path)
    prerequisites.ensure(layout, progress)
    assert out.getvalue() == ""


def test_all_tools_present_means_nothing_is_said(tmp_path: Path, bare_path: Path) -> None:
    for name in ("clang", "clang++", "ninja"):
        program(bare_path / name, "exit 0")
    progress, out = captured(tmp_path)
    prerequisites.ensure(layout_in(tmp_path), progress)
    assert out.getvalue() == ""


def test_a_compiler_named_by_the_environment_counts(
    tmp_path: Path, bare_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not prerequisites.has_compiler()
    for name in ("mycc", "my++", "make"):
        program(bare_path / name, "exit 0")
    monkeypatch.setenv("CC", "mycc -O2")
    monkeypatch.setenv("CXX", "my++")
    assert prerequisites.has_compiler()


def test_root_with_apt_gets_what_is_missing(tmp_path: Path, bare_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    calls = tmp_path / "calls"
    installs = "for tool in cc c++ make; do touch $0.d/$tool; done".replace("$0.d", str(bare_path))
    program(
        bare_path / "apt-get",
        f'echo "$@" "frontend=$DEBIAN_FRONTEND" >> {calls}\n'
        f'[ "$1" = install ] && {installs} && chmod +x {bare_path}/*\nexit 0',
    )
    progress, out = captured(tmp_path)
    prerequisites.ensure(layout_in(tmp_path), progress)
    assert calls.read_text().splitlines() == [
        "update frontend=noninteractive",
        "install -y --no-install-recommends build-essential frontend=noninteractive",
    ]
    assert "Installing build-essential with apt" in out.getvalue()


def test_apt_that_fails_is_told_with_its_words(
    tmp_path: Path, bare_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    program(bare_path / "apt-get", "echo 'E: Could not resolve the host'; exit 100")
    progress, out = captured(tmp_path)
    with pytest.raises(InstallError, match="This machine lacks"):
        prerequisites.ensure(layout_in(tmp_path), progress, testing=True)
    assert "Could not resolve the host" in out.getvalue()


def test_apt_that_does_not_help_ends_in_the_list(
    tmp_path: Path, bare_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    program(bare_path / "apt-get", "exit 0")
    progress, _ = captured(tmp_path)
    with pytest.raises(InstallError, match="This machine lacks"):
        prerequisites.ensure(layout_in(tmp_path), progress, testing=True)


def test_apt_is_used_by_root_alone(bare_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not apt.usable()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert not apt.usable()
    program(bare_path / "apt-get", "exit 0")
    assert apt.usable()


def test_this_python_can_make_environments() -> None:
    assert prerequisites.has_venv()
