"""install.sh itself: how it finds a Python, and what it says when it finds none."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.installing import ROOT, copy_checkout, eventually, processes_in, program, tools_in

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a POSIX shell script")

SCRIPT = str(ROOT / "install.sh")
NEEDED = ("bash", "dirname", "id", "cut", "cat", "getent")


def call(*arguments: str, env: dict[str, str], cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    bash = ["/bin/bash", SCRIPT, *arguments]
    return subprocess.run(bash, env=env, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def test_works_from_any_folder_with_an_empty_environment(tmp_path: Path) -> None:
    helped = call("--help", env={}, cwd=tmp_path)
    assert helped.returncode == 0, helped.stderr
    assert "bash install.sh --run" in helped.stdout


def test_a_wrong_option_ends_with_usage() -> None:
    refused = call("--rum", env={})
    assert refused.returncode == 2
    assert "usage: install.sh" in refused.stderr


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A copy of install.sh that looks for programs in one folder only; returns that folder."""
    folder = tools_in(tmp_path / "bin", *NEEDED)
    text = (ROOT / "install.sh").read_text().replace(":/usr/local/sbin:/usr/sbin:/sbin", "")
    (tmp_path / "install.sh").write_text(text)
    (tmp_path / "installer").symlink_to(ROOT / "installer")
    return folder


def call_bare(bare: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["/bin/bash", str(bare.parent / "install.sh"), *arguments]
    env = {"PATH": str(bare)}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def not_root(bare: Path) -> None:
    (bare / "id").unlink()
    program(bare / "id", "echo 1000")
    (bare / "sh").symlink_to("/bin/sh")


def test_no_python_and_not_root_says_what_to_install(bare: Path) -> None:
    not_root(bare)
    refused = call_bare(bare)
    assert refused.returncode == 1
    assert "needs Python 3.10 or newer" in refused.stderr
    assert "sudo apt-get install python3 python3-venv" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_python_that_is_too_old_counts_as_none(bare: Path) -> None:
    not_root(bare)
    program(bare / "python3", "exit 1")  # what an old Python answers to the question for its version
    assert "needs Python 3.10 or newer" in call_bare(bare).stderr


def test_a_newer_python_under_its_full_name_is_found(bare: Path) -> None:
    program(bare / "python3", "exit 1")
    program(bare / "python3.12", f'exec "{sys.executable}" "$@"')
    helped = call_bare(bare, "--help")
    assert helped.returncode == 0, helped.stderr
    assert "usage: install.sh" in helped.stdout


def test_root_gets_python_with_apt(bare: Path) -> None:
    (bare / "id").unlink()
    program(bare / "id", "echo 0")
    program(bare / "packaged", f'exec "{sys.executable}" "$@"')
    installs = f"/bin/mv {bare}/packaged {bare}/python3"
    program(bare / "apt-get", f'echo "$@" >> {bare}/calls; [ "$1" = install ] && {installs}; exit 0')
    helped = call_bare(bare, "--help")
    assert helped.returncode == 0, helped.stderr
    assert (bare / "calls").read_text().splitlines() == ["update", "install -y python3 python3-venv"]
    assert "usage: install.sh" in helped.stdout


def test_apt_that_fails_ends_in_the_same_words(bare: Path) -> None:
    (bare / "id").unlink()
    program(bare / "id", "echo 0")
    program(bare / "apt-get", "echo E: no network >&2; exit 100")
    refused = call_bare(bare)
    assert refused.returncode == 1
    assert "E: no network" in refused.stderr
    assert "needs Python 3.10 or newer" in refused.stderr


def test_a_python_too_old_for_the_installer_is_refused_in_words() -> None:
    code = "import installer.__main__ as m; m.OLDEST = (9, 9); raise SystemExit(m.main())"
    refused = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "Millrace needs Python 9.9 or newer" in refused.stderr


def test_ctrl_c_during_the_installation_ends_it_quietly_and_whole(tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path / "clone")
    # An index that accepts the connection and never answers keeps the step going.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        env = {**os.environ, "PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": f"http://127.0.0.1:{port}/simple"}
        env["PIP_NO_CACHE_DIR"] = "1"
        old_uv = tmp_path / "bin" / "uv"  # a recent one in the PATH would need no index
        old_uv.parent.mkdir()
        old_uv.write_text("#!/bin/sh\necho uv 0.0.1\n")
        old_uv.chmod(0o755)
        env["PATH"] = f"{old_uv.parent}{os.pathsep}{env['PATH']}"
        process = subprocess.Popen(
            ["/bin/bash", "install.sh"], cwd=checkout, env=env, stdout=subprocess.PIPE, start_new_session=True
        )
        assert process.stdout is not None
        with process.stdout as output:
            while b"Getting uv" not in (line := output.readline()):
                assert line, "the installer ended before it needed the network"
            with silent.accept()[0]:
                os.killpg(process.pid, signal.SIGINT)
                said = output.read()
    assert process.wait(30) == 130
    assert b"Stopped." in said
    eventually(lambda: not processes_in(checkout))
