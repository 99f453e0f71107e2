from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from server.config import ROOT
from server.hosting.install.interpreter import NoInterpreterError, find_interpreter, system_interpreter, wanted_version
from server.hosting.process.launch_environment import SITE_FOLDER, Launch, launch_environment
from server.hosting.process.launch_plan import LaunchError, launch_plan
from server.hosting.settings.macros import Macros
from server.hosting.settings.module_settings import ModuleSettings, typed_settings
from server.hosting.settings.settings_file import RawSettings

MACROS = Macros({"%CURRENT_MODULE_PATH%": "/m/Mine"})
LAUNCH = Launch("launch-1", "s3cret", 4567)
OWN = sys.version_info[:2]


def module(folder: Path, **changes: Any) -> ModuleSettings:
    values = {
        "Name": "My module",
        "LaunchSettings": {"FilePath": "a.py", "Runtime": "python3.11"},
        "RouteMaps": [{"Route": "a/b", "Command": "c"}],
        **changes,
    }
    return typed_settings(RawSettings("Mine", values, [folder / "modulesettings.json"]), folder)


def test_the_documented_variables(tmp_path: Path) -> None:
    environment = launch_environment(module(tmp_path), LAUNCH, MACROS, {"PATH": "/bin", "HOME": "/h"})
    assert environment == {
        "PATH": "/bin",
        "HOME": "/h",
        "CPAI_PORT": "4567",
        "CPAI_APPROOTPATH": str(ROOT),
        "CPAI_MODULE_SERVER_LAUNCHED": "true",
        "CPAI_MODULE_ID": "Mine",
        "CPAI_MODULE_NAME": "My module",
        "CPAI_MODULE_PATH": str(tmp_path),
        "CPAI_MODULE_QUEUENAME": "mine_queue",
        "CPAI_LOG_VERBOSITY": "Quiet",
        "CPAI_MODULE_PARALLELISM": "0",
        "CPAI_MODULE_ENABLE_GPU": "True",
        "CPAI_MODULE_SUPPORT_GPU": "True",
        "CPAI_ACCEL_DEVICE_NAME": "",
        "CPAI_HALF_PRECISION": "enable",
        "PYTHONPATH": os.pathsep.join((str(SITE_FOLDER), str(ROOT / "sdk"))),
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
        "MILLRACE_CHANNEL_URL": "http://127.0.0.1:4567/v1/channel",
        "MILLRACE_CHANNEL_SECRET": "s3cret",
        "MILLRACE_LAUNCH_ID": "launch-1",
    }


def test_a_module_with_the_published_sdk_gets_no_channel(tmp_path: Path) -> None:
    launch = {"FilePath": "a.py", "Runtime": "python3.11", "Sdk": "Published", "RequiredMb": 500}
    environment = launch_environment(module(tmp_path, LaunchSettings=launch), LAUNCH, MACROS, {"PYTHONPATH": "/x"})
    assert environment["PYTHONPATH"] == str(SITE_FOLDER)
    assert environment["MILLRACE_CHANNEL_SECRET"] == "s3cret"
    assert "MILLRACE_CHANNEL_URL" not in environment
    assert environment["CPAI_MODULE_REQUIRED_MB"] == "500"


def test_its_own_variables_are_upper_cased_expanded_and_left_out_when_empty(tmp_path: Path) -> None:
    variables = {
        "YOLOv5_Verbose": False,
        "Models": "%CURRENT_MODULE_PATH%/models",
        "Repo": "@owner/%CURRENT_MODULE_PATH%",
        "Empty": "",
        "cpai_module_parallelism": 7,
        "CPAI_MODULE_ID": "SomebodyElse",
    }
    environment = launch_environment(module(tmp_path, EnvironmentVariables=variables), LAUNCH, MACROS, {})
    assert environment["YOLOV5_VERBOSE"] == "False"
    assert environment["MODELS"] == str(Path("/m/Mine/models"))
    assert environment["REPO"] == "owner/%CURRENT_MODULE_PATH%"
    assert "EMPTY" not in environment
    assert environment["CPAI_MODULE_PARALLELISM"] == "7"
    assert environment["CPAI_MODULE_ID"] == "Mine"


def test_what_the_server_was_started_with_beats_the_modules_variables_and_its_secrets_stay(tmp_path: Path) -> None:
    inherited = {"MODEL": "mine", "MILLRACE_API_KEYS": "me=abc", "VIRTUAL_ENV": "/v", "CPAI_PORT": "1"}
    settings = module(tmp_path, EnvironmentVariables={"Model": "theirs"})
    environment = launch_environment(settings, LAUNCH, MACROS, inherited)
    assert environment["MODEL"] == "mine"
    assert environment["CPAI_PORT"] == "4567"
    assert "MILLRACE_API_KEYS" not in environment
    assert "VIRTUAL_ENV" not in environment


@pytest.mark.parametrize(("word", "expected"), [("Loud", "Loud"), ("info", "Info"), ("Shout", "Quiet")])
def test_words_that_the_published_sdk_would_choke_on_are_mended(tmp_path: Path, word: str, expected: str) -> None:
    launch = {"FilePath": "a.py", "Runtime": "python", "LogVerbosity": word}
    settings = module(tmp_path, LaunchSettings=launch, GpuOptions={"HalfPrecision": "Force", "InstallGPU": False})
    environment = launch_environment(settings, LAUNCH, MACROS, {})
    assert environment["CPAI_LOG_VERBOSITY"] == expected
    assert environment["CPAI_HALF_PRECISION"] == "force"
    assert environment["CPAI_MODULE_ENABLE_GPU"] == "False"


@pytest.mark.parametrize(
    ("runtime", "expected"),
    [("python3.11", (3, 11)), ("Python3.9", (3, 9)), ("python39", (3, 9)), ("python311", (3, 11)), ("python", None)],
)
def test_the_version_in_a_runtime(runtime: str, expected: tuple[int, int] | None) -> None:
    assert wanted_version(runtime) == expected


def test_an_unknown_runtime_is_an_error() -> None:
    with pytest.raises(NoInterpreterError, match="cobol"):
        wanted_version("cobol85")


def test_plain_python_is_the_servers_own() -> None:
    assert find_interpreter("python").version == OWN
    assert system_interpreter("python").path == sys.executable


def test_a_version_that_is_not_there_gives_the_nearest_and_a_note() -> None:
    found = find_interpreter("python3.99")
    assert found.version >= (3, 10)
    assert "3.99" in found.note
    assert found.label in found.note


def test_a_version_too_old_for_the_sdk_is_not_taken() -> None:
    found = find_interpreter("python3.7")
    assert found.version >= (3, 10)
    assert found.note


def test_no_environment_is_made_for_a_system_python_that_is_missing() -> None:
    with pytest.raises(NoInterpreterError, match=r"python3\.99"):
        system_interpreter("python3.99")


def test_the_command_is_the_interpreter_and_the_absolute_start_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    start = tmp_path / "sub" / "a.py"
    start.touch()
    settings = module(tmp_path, LaunchSettings={"FilePath": "sub\\a.py", "Runtime": "python3.11"})
    plan = launch_plan(settings, MACROS, Path("/env/bin/python"))
    assert plan.command == ["/env/bin/python", str(start)]
    assert plan.folder == tmp_path


def test_a_command_beats_the_runtime(tmp_path: Path) -> None:
    (tmp_path / "a.py").touch()
    launch = {"FilePath": "a.py", "Runtime": "python3.11", "Command": f"{sys.executable} -X dev"}
    plan = launch_plan(module(tmp_path, LaunchSettings=launch), MACROS, None)
    assert plan.command == [sys.executable, "-X", "dev", str(tmp_path / "a.py")]


@pytest.mark.parametrize(
    ("launch", "expected"),
    [
        ({"FilePath": "gone.py", "Runtime": "python"}, "gone.py"),
        ({"FilePath": "a.py", "Runtime": "cobol"}, "cobol"),
        ({"FilePath": "a.py", "Command": "no-such-program-at-all"}, "no-such-program-at-all"),
        ({"FilePath": "a.py", "Runtime": "execute"}, "chmod"),
    ],
)
def test_what_cannot_be_started_says_why(tmp_path: Path, launch: dict[str, str], expected: str) -> None:
    (tmp_path / "a.py").touch(mode=0o644)
    with pytest.raises(LaunchError, match=expected):
        launch_plan(module(tmp_path, LaunchSettings=launch), MACROS, None)
