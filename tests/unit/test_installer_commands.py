"""What is printed to be typed can be typed, whatever the folders are called."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from installer import commands, ports
from installer.progress import InstallError
from installer.settings import ServerSettings
from tests.support.installing import ROOT

ODD = Path("/srv/it's my mühle $HOME/中")


def test_a_shown_command_can_be_pasted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shlex.split(commands.shown([ODD / "bin" / "python", "-m", "server"])) == [
        f"{ODD}/bin/python",
        "-m",
        "server",
    ]
    monkeypatch.setattr(commands, "WINDOWS", True)
    assert commands.shown([r"C:\My Mill\python.exe", "-m", "server"]) == r'"C:\My Mill\python.exe" -m server'


def test_the_installers_own_command_works_where_the_user_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "ROOT", ODD)
    monkeypatch.setenv(commands.CALLED_FROM, str(ODD))
    assert commands.install("--run") == "bash install.sh --run"
    monkeypatch.setenv(commands.CALLED_FROM, "/home/me")
    assert shlex.split(commands.install("--run")) == ["bash", f"{ODD}/install.sh", "--run"]


def test_a_taken_port_is_told_with_such_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "ROOT", ODD)
    monkeypatch.setenv(commands.CALLED_FROM, "/home/me")
    nowhere = ServerSettings("256.0.0.1", 5000, Path("data"), "", Path("environments"))
    with pytest.raises(InstallError) as refused:
        ports.ensure_free(nowhere)
    command = str(refused.value).splitlines()[-1]
    assert shlex.split(command) == ["bash", f"{ODD}/install.sh", "--run", "--port", "5001"]


def test_the_installer_needs_no_package() -> None:
    """It runs before anything is installed."""
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import installer.cli"
    isolated = [sys.executable, "-I", "-S", "-c", program]
    ended = subprocess.run(isolated, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
