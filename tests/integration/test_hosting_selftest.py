"""``python -m server --selftest``: a module's own test, in its environment, without a server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.hosting_modules import ECHO, write_module
from tests.support.server_process import ROOT

TEST = """
    def selftest(self) -> JSON:
        assert "MILLRACE_CHANNEL_URL" not in os.environ
        print("greeting", os.environ["GREETING"])
        return {"success": os.environ["GREETING"] == "hello"}
"""
CODE = ECHO.replace("\n\nif __name__", TEST + "\n\nif __name__")

BARE = """
from codeproject_ai_sdk import ModuleRunner


class Bare(ModuleRunner):
    pass


Bare().start_loop()
"""


def selftest(folder: Path, module_id: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "server", "--selftest", module_id]
    folders = ["--data-dir", str(folder / "data"), "--modules-dir", str(folder / "modules")]
    done = subprocess.run(
        [*command, *folders], cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("greeting", "status", "said"),
    [("hello", 0, 'Self-test: {"success": true}'), ("hullo", 1, 'Self-test: {"success": false}')],
)
def test_the_module_tests_itself(tmp_path: Path, greeting: str, status: int, said: str) -> None:
    write_module(tmp_path / "modules", "Echo", CODE, EnvironmentVariables={"Greeting": greeting})
    code, output = selftest(tmp_path, "echo")
    assert (code, f"greeting {greeting}" in output, said in output) == (status, True, True), output


@pytest.mark.parametrize(
    ("module_id", "expected"),
    [
        ("Nobody", "Nobody: there is no such module in"),
        ("Broken", "a colon is missing"),
        ("Elsewhere", "does not run on"),
        ("Startless", "gone.py does not exist"),
        ("Bare", "Bare has no method process(self, data)"),
    ],
)
def test_what_cannot_be_tested_says_why(tmp_path: Path, module_id: str, expected: str) -> None:
    modules = tmp_path / "modules"
    write_module(modules, "Echo", CODE)
    broken = write_module(modules, "Broken") / "modulesettings.json"
    broken.write_text(broken.read_text().replace(":", "", 1))
    write_module(modules, "Elsewhere", InstallOptions={"Platforms": ["!linux", "!macos", "!windows"]})
    launch = {"FilePath": "gone.py", "Runtime": "python", "RuntimeLocation": "System"}
    write_module(modules, "Startless", LaunchSettings=launch)
    write_module(modules, "Bare", BARE)
    code, output = selftest(tmp_path, module_id)
    assert code == 1
    assert expected in output
