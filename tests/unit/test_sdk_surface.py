"""The names that modules import and override, in both flavours."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import codeproject_ai_sdk
import pytest
from codeproject_ai_sdk import (
    ModuleRunner,
    RequestData,
    SystemInfo,
    check_installed_packages,
    dump_tensors,
    get_folder_size,
    shorten,
    timedelta_format,
)
from codeproject_ai_sdk.utils.environment_check import check_requirements, requirements_filepath

SDK = Path(codeproject_ai_sdk.__file__).parents[1]

FLAT = """
from common import JSON, timedelta_format, get_folder_size, shorten, dump_tensors
from request_data import RequestData
from module_runner import ModuleRunner
from module_options import ModuleOptions
from module_logging import LogMethod, LogVerbosity
from system_info import SystemInfo
from utils.image_utils import rotate_image, compute_skew, deskew
from utils.environment_check import check_requirements
import codeproject_ai_sdk
assert ModuleRunner is codeproject_ai_sdk.ModuleRunner
assert RequestData is codeproject_ai_sdk.RequestData
"""

ATTRIBUTES = """
system_info module_id module_name module_path queue_name base_api_url port server_root_path
python_dir python_pkgs_dir log_verbosity launched_by_server selftest_check_pkgs required_MB
accel_device_name parallelism enable_GPU inference_device inference_library can_use_GPU
half_precision force_shutdown long_running_command_task long_running_command_id
last_long_running_output _performing_self_test _successful_inferences _failed_inferences
_total_inference_time_ms _logger _cancelled initialise initialize process module_status status
command_status cancel_command_task update_statistics selftest cleanup start_loop log log_async
report_error report_error_async call_api start_timer end_timer get_requirements_filepath
check_packages
"""


def test_flat_imports_are_the_same_things() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FLAT], env={"PYTHONPATH": str(SDK)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_heavy_libraries_are_not_imported_with_the_sdk() -> None:
    script = (
        "import sys, codeproject_ai_sdk\nprint(sorted({'PIL', 'numpy', 'cv2', 'torch', 'requests'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(SDK)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ATTRIBUTES.split())
def test_a_runner_has(name: str) -> None:
    assert hasattr(ModuleRunner(), name)


def test_the_defaults_do_nothing_and_do_not_fail() -> None:
    runner = ModuleRunner()
    assert runner.process(RequestData()) is None
    assert runner.status() == runner.module_status() == runner.command_status() == {}
    assert runner.selftest() == {"success": True}
    assert runner.cancel_command_task() is None
    assert runner.force_shutdown is True


def test_statistics_count_what_was_answered() -> None:
    runner = ModuleRunner()
    runner.update_statistics({"success": True, "inferenceMs": 30})
    runner.update_statistics({"success": True, "inferenceMs": "not a number"})
    runner.update_statistics({"success": False})
    assert (runner._successful_inferences, runner._failed_inferences) == (2, 1)
    assert runner._total_inference_time_ms == 30


def test_timers_and_errors_are_logged(capsys: pytest.CaptureFixture[str]) -> None:
    runner = ModuleRunner()
    runner.module_name = "A Module"
    runner.end_timer(runner.start_timer("Loading"), command="load")
    try:
        raise ValueError("bad")
    except ValueError as error:
        runner.report_error(error, "/path/to/a.py")
    runner.report_error(None, "a.py", "just text")
    shown = capsys.readouterr()
    assert shown.out.startswith("A Module: load: Loading took 0ms")
    assert "(a.py) [ValueError]: Traceback" in shown.err
    assert "A Module: (a.py): just text" in shown.err


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(days=1, hours=2, minutes=3, seconds=4), "1 days, 2 hrs, 3 mins, 4 secs"),
        (timedelta(hours=25), "1 days, 1 hrs"),
        (timedelta(milliseconds=5), "0 secs"),
    ],
)
def test_timedelta_format(duration: timedelta, text: str) -> None:
    assert timedelta_format(duration) == text


def test_shorten() -> None:
    assert [shorten("abcdefghij", length) for length in (20, 10, 7, 4, 2, 0)] == [
        *("abcdefghij", "abcdefghij", "ab...ij", "a...", "ab", "")
    ]


def test_get_folder_size(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"123")
    (tmp_path / "c").write_bytes(b"45")
    assert get_folder_size(tmp_path) == 5
    assert get_folder_size(tmp_path / "missing") == 0


def test_dump_tensors_without_torch(capsys: pytest.CaptureFixture[str]) -> None:
    dump_tensors()
    assert "not loaded" in capsys.readouterr().out


def test_missing_packages_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("--prefer-binary\nmsgspec>=0.1  # here\n\nno-such-package-here==1\nhttps://x/y.whl\n")
    assert check_installed_packages(path) == ["no-such-package-here"]
    assert check_requirements(str(path)) is False
    assert "no-such-package-here" in capsys.readouterr().out


def test_the_most_particular_requirements_file_is_chosen(tmp_path: Path) -> None:
    system = SystemInfo()
    assert requirements_filepath(str(tmp_path), system, False) is None
    names = ["requirements.txt", f"requirements.{system.os.lower()}.txt"]
    names.append(f"requirements.{system.os.lower()}.{system.cpu_arch}.txt")
    for name in names:
        (tmp_path / name).touch()
        assert requirements_filepath(str(tmp_path), system, False) == str(tmp_path / name)
    (tmp_path / "requirements.gpu.txt").touch()
    assert requirements_filepath(str(tmp_path), system, False) == str(tmp_path / names[-1])
    assert requirements_filepath(str(tmp_path), system, True) == str(tmp_path / "requirements.gpu.txt")


def test_system_info_answers_everything() -> None:
    system = SystemInfo()
    assert system.os in ("Linux", "macOS", "Windows")
    assert system.cpu_arch
    major, minor = system.getCudaVersion
    assert (major is None) == (minor is None)
    for name in dir(SystemInfo):
        if name.startswith("has"):
            assert getattr(system, name) in (True, False)
