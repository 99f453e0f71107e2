from __future__ import annotations

import pytest

from server.hosting.settings.platform_info import PlatformInfo, device_name, distribution_id

LINUX = PlatformInfo(os="linux", architecture="x86_64", os_name="ubuntu")
ARM = PlatformInfo(os="linux", architecture="arm64", os_name="debian")
PI = PlatformInfo(os="linux", architecture="arm64", os_name="debian", device="raspberrypi")


@pytest.mark.parametrize(
    ("machine", "platforms", "expected"),
    [
        (LINUX, ["all"], True),
        (LINUX, ["Linux"], True),
        (LINUX, ["windows", "linux-arm64"], False),
        (LINUX, [], True),
        (ARM, ["linux"], False),
        (ARM, ["linux-arm64"], True),
        (LINUX, ["all", "!linux"], False),
        (LINUX, ["all", "!raspberrypi"], True),
        (PI, ["all", "!RaspberryPi"], False),
        (PI, ["linux-arm64"], False),
        (LINUX, ["!windows"], True),
    ],
)
def test_the_platforms_of_a_module(machine: PlatformInfo, platforms: list[str], expected: bool) -> None:
    assert machine.accepts(platforms) is expected


def test_names() -> None:
    assert [machine.name for machine in (LINUX, ARM, PI)] == ["linux", "linux-arm64", "raspberrypi"]
    assert LINUX.architecture_names == ("x64", "x86_64")
    assert ARM.architecture_names == ("arm64",)


def test_the_distribution() -> None:
    assert distribution_id('NAME="Debian GNU/Linux"\nID=debian\nID_LIKE=x\n') == "debian"
    assert distribution_id('ID="opensuse-leap"') == "opensuse-leap"
    assert distribution_id("") == "linux"


def test_the_device() -> None:
    assert device_name("Raspberry Pi 5 Model B Rev 1.0\x00") == "raspberrypi"
    assert device_name("NVIDIA Jetson Orin Nano") == "jetson"
    assert device_name("QEMU Virtual Machine") == ""
