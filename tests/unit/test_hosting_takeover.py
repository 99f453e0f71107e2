"""A module process that outlived its server is known again, also by a later version of the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from server.hosting.process.launch_plan import LaunchPlan
from server.hosting.process.recipe_fingerprint import recipe_fingerprint
from server.hosting.settings.module_settings import ModuleSettings, typed_settings
from server.hosting.settings.settings_file import RawSettings

NOTED = "743a43b60e46787b4470888b2e311033374050d59f12e0c166d2f8af110077fc"
"""Of the settings below, by the first version that took processes over. A new setting must not change it: see
``_ADDED_SETTINGS`` in ``hosting/process/recipe_fingerprint.py``."""
PLAN = LaunchPlan(["/python", "-u", "adapter.py"], Path("/modules/M"))


def settings(**more: Any) -> ModuleSettings:
    launch = {"FilePath": "adapter.py", "Runtime": "python3.11", "Parallelism": 2, **more}
    inputs = [{"Name": "text", "Type": "Text"}]
    route = {"Name": "R", "Route": "text/r", "Command": "r", "LongRunning": True, "Inputs": inputs}
    values = {
        "Name": "M",
        "Version": "1.0.0",
        "PublishingInfo": {"Category": "Demo"},
        "LaunchSettings": launch,
        "EnvironmentVariables": {"A": "1"},
        "RouteMaps": [route],
    }
    return typed_settings(RawSettings("M", values, []), Path("/modules/M"))


def test_the_fingerprint_is_that_of_earlier_versions() -> None:
    assert recipe_fingerprint(settings(), PLAN) == NOTED


def test_another_setting_is_another_fingerprint() -> None:
    assert recipe_fingerprint(settings(Parallelism=3), PLAN) != NOTED
    assert recipe_fingerprint(settings(RestartOnChange=True), PLAN) != NOTED
