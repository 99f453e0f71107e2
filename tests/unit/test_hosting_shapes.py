from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from server.hosting.catalogue import module_config, module_description, wire_time
from server.hosting.settings.explore_page import ExplorePage, cut_page, read_page
from server.hosting.settings.module_settings import ModuleSettings, typed_settings
from server.hosting.settings.settings_file import RawSettings
from server.hosting.state import Standing, State, compatible_word

PAGE = """<html><style>
/* START EXPLORER STYLE */ #_MID_box { color: red } /* END EXPLORER STYLE */
</style><body>
<!-- START EXPLORER MARKUP --><div id="_MID_box">a</div><!-- END EXPLORER MARKUP --> between
<!-- START EXPLORER MARKUP --><b>b</b>
<!-- END EXPLORER MARKUP -->
<script>// START EXPLORER SCRIPT
let _MID_x = 1;
// END EXPLORER SCRIPT</script>"""


def module(**changes: Any) -> ModuleSettings:
    values = {
        "Name": "Mine",
        "Version": "1.2.3",
        "PublishingInfo": {"Category": "Generative AI", "IconURL": "i"},
        "LaunchSettings": {"FilePath": "a.py", "Runtime": "python3.11", "LogVerbosity": "Loud"},
        "EnvironmentVariables": {"YOLOv5_x": True},
        "RouteMaps": [{"Route": "a/b", "Command": "c", "Inputs": [{"Name": "n", "DefaultValue": 4}]}],
        "UIElements": {"Menus": [{"Label": "L", "Options": [{"Label": "l", "Setting": "s", "Value": True}]}]},
        **changes,
    }
    return typed_settings(RawSettings("Mine-1.0", values, [Path("modulesettings.json")]), Path("/m/Mine"))


def test_a_page_is_cut_from_the_first_start_to_the_last_end() -> None:
    page = cut_page(PAGE, "Mine-1.0_x")
    assert page.html.startswith('<div id="Mine10x_box">')
    assert page.html.endswith("<b>b</b>")
    assert page.css == "#Mine10x_box { color: red }"
    assert page.script == "let Mine10x_x = 1;"


def test_missing_parts_and_missing_pages_are_empty(tmp_path: Path) -> None:
    assert cut_page("<!-- START EXPLORER MARKUP --> never ends", "X") == ExplorePage()
    assert read_page(tmp_path, "X") == ExplorePage()


def test_the_configuration_of_a_module_on_the_wire() -> None:
    wire = msgspec.to_builtins(module_config(module(), ExplorePage("h", "c", "s")))
    assert wire["moduleId"] == "Mine-1.0"
    assert wire["publishingInfo"]["category"] == "Generative AI"
    assert wire["publishingInfo"]["iconURL"] == "i"
    launch = wire["launchSettings"]
    assert launch["queue"] == "mine-1.0_queue"
    assert (launch["logVerbosity"], launch["runtimeLocation"], launch["autoStart"]) == (3, 1, None)
    assert wire["gpuOptions"]["installGPU"] is True
    assert wire["uiElements"]["explorerUI"] == {"html": "h", "css": "c", "script": "s"}
    assert wire["uiElements"]["menus"][0]["options"][0] == {"label": "l", "setting": "s", "value": "True"}
    assert wire["environmentVariables"] == {"YOLOv5_x": "True"}
    route = wire["routeMaps"][0]
    assert (route["route"], route["command"], route["method"], route["meshEnabled"]) == ("a/b", "c", "POST", True)
    assert route["inputs"][0]["defaultValue"] == "4"
    assert "Mine" in wire["settingsSummary"]


def test_an_installed_module_on_the_wire() -> None:
    releases = [{"ModuleVersion": "1.2.3", "ServerVersionRange": ["2.8.0", ""]}]
    wire = msgspec.to_builtins(module_description(module(InstallOptions={"ModuleReleases": releases})))
    assert wire["status"] == "Installed"
    assert wire["currentlyInstalled"] == "1.2.3"
    assert wire["latestCompatibleRelease"]["serverVersionRange"] == ["2.8.0", ""]


def test_times() -> None:
    assert wire_time(0) is None
    assert wire_time(1.5) == "1970-01-01T00:00:01.500Z"


@pytest.mark.parametrize(
    ("states", "auto_start", "compatible", "expected"),
    [
        ([State.STOPPED], True, False, "NotAvailable"),
        ([State.STOPPED], False, True, "NoAutoStart"),
        ([State.INSTALLING], True, True, "NotStarted"),
        ([State.STARTING], True, True, "Starting"),
        ([State.STARTING, State.READY], True, True, "Started"),
        ([State.STARTING, State.BACKOFF], True, True, "Restarting"),
        ([State.STARTING, State.BACKOFF, State.STARTING], True, True, "Restarting"),
        ([State.STARTING, State.FAILED], True, True, "FailedStart"),
        ([State.STARTING, State.READY, State.FAILED], True, True, "Crashed"),
        ([State.STARTING, State.STOPPING], True, True, "Stopping"),
        ([State.STARTING, State.STOPPED], True, True, "Stopped"),
    ],
)
async def test_states_in_compatible_words(
    states: list[State], auto_start: bool, compatible: bool, expected: str
) -> None:
    seen: list[tuple[State, str]] = []

    async def changed(state: State, reason: str) -> None:
        seen.append((state, reason))

    standing = Standing(changed)
    for state in states:
        await standing.change(state, "why")
    assert [state for state, _ in seen] == states
    assert standing.reason == "why"
    assert compatible_word(standing, auto_start=auto_start, compatible=compatible) == expected
