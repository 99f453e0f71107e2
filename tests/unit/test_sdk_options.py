"""What a module reads from its environment, and from modulesettings.json when it is started by hand."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from codeproject_ai_sdk import module_options
from codeproject_ai_sdk.channel_options import ChannelOptions
from codeproject_ai_sdk.module_logging import LogVerbosity
from codeproject_ai_sdk.settings_file import read_module_settings

SETTINGS = """\ufeff// A comment
{
  "Modules": {
    "MyModule": { /* another
                     one */
      "Name": "My // Module, }",
      "LaunchSettings": { "Queue": "my_queue", },
    },
    "Ignored": {},
  }
}
"""


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    for name in (
        *("CPAI_MODULE_ID", "CPAI_MODULE_NAME", "CPAI_MODULE_QUEUENAME", "CPAI_PORT", "CPAI_MODULE_PARALLELISM"),
        *("CPAI_MODULE_ENABLE_GPU", "CPAI_MODULE_SUPPORT_GPU", "CPAI_LOG_VERBOSITY", "CPAI_HALF_PRECISION"),
        *("CPAI_APPROOTPATH", "CPAI_MODULE_REQUIRED_MB", "CPAI_MODULE_SERVER_LAUNCHED", "CPAI_ACCEL_DEVICE_NAME"),
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CPAI_MODULE_PATH", str(tmp_path))
    yield monkeypatch
    monkeypatch.undo()
    importlib.reload(module_options)


def read() -> type[module_options.ModuleOptions]:
    importlib.reload(module_options)
    return module_options.ModuleOptions


def test_the_environment_is_read(clean_environment: pytest.MonkeyPatch) -> None:
    for name, value in {
        "CPAI_MODULE_ID": "A",
        "CPAI_MODULE_NAME": "A Module",
        "CPAI_MODULE_QUEUENAME": "a_queue",
        "CPAI_PORT": "1234",
        "CPAI_MODULE_PARALLELISM": "3",
        "CPAI_MODULE_ENABLE_GPU": "False",
        "CPAI_LOG_VERBOSITY": "Loud",
        "CPAI_HALF_PRECISION": "Force",
        "CPAI_MODULE_REQUIRED_MB": "100",
        "CPAI_MODULE_SERVER_LAUNCHED": "true",
    }.items():
        clean_environment.setenv(name, value)
    options = read()
    assert (options.module_id, options.module_name, options.queue_name) == ("A", "A Module", "a_queue")
    assert (options.port, options.base_api_url) == (1234, "http://localhost:1234/v1/")
    assert (options.parallelism, options.enable_GPU, options.half_precision) == (3, False, "force")
    assert options.log_verbosity.value == LogVerbosity.Loud.value
    assert (options.required_MB, options.launched_by_server) == (100, True)


def test_nonsense_in_the_environment_is_no_reason_to_fail(clean_environment: pytest.MonkeyPatch) -> None:
    for name in ("CPAI_PORT", "CPAI_MODULE_PARALLELISM", "CPAI_MODULE_REQUIRED_MB", "CPAI_LOG_VERBOSITY"):
        clean_environment.setenv(name, "nonsense")
    options = read()
    assert (options.port, options.required_MB, options.half_precision) == (32168, 0, "enable")
    assert options.parallelism >= 1


def test_without_an_environment_the_settings_file_is_read(
    clean_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "modulesettings.json").write_text(SETTINGS, encoding="utf-8")
    options = read()
    assert (options.module_id, options.module_name) == ("MyModule", "My // Module, }")
    assert options.queue_name == "my_queue"


def test_without_any_settings_the_folder_names_the_module(
    clean_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    options = read()
    assert options.module_id == options.module_name == tmp_path.name
    assert options.queue_name == f"{tmp_path.name.lower()}_queue"


def test_a_default_counts_for_an_empty_variable_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("FULL", "x")
    get = module_options.ModuleOptions.getEnvVariable
    assert [get("EMPTY", "d"), get("FULL", "d"), get("NO_SUCH_NAME", "d"), get("EMPTY")] == ["d", "x", "d", ""]


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "{}", '{"Modules": {}}', '{"Modules": 1}'])
def test_a_settings_file_without_a_module_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "modulesettings.json").write_text(text)
    assert read_module_settings(tmp_path) == ("", {})


def test_the_channels_options(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "SECRET"):
        monkeypatch.delenv(f"MILLRACE_CHANNEL_{name}", raising=False)
    for name in ("MILLRACE_LAUNCH_ID", "MILLRACE_ORPHAN_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    assert ChannelOptions.from_environment("M") is None
    monkeypatch.setenv("MILLRACE_CHANNEL_URL", "http://127.0.0.1:1/v1/channel")
    monkeypatch.setenv("MILLRACE_CHANNEL_SECRET", "s")
    options = ChannelOptions.from_environment("M")
    assert options == ChannelOptions("http://127.0.0.1:1/v1/channel", "s", "", "M", 60.0)
    monkeypatch.setenv("MILLRACE_ORPHAN_SECONDS", "1.5")
    shorter = ChannelOptions.from_environment("M")
    assert shorter is not None
    assert shorter.orphan_seconds == 1.5
