from __future__ import annotations

from pathlib import Path

import pytest

from server.hosting.install.gpu import Accelerators, cuda_version
from server.hosting.install.requirements_file import (
    candidates,
    choose_file,
    package_name,
    read_requirements,
    without_package,
)
from server.hosting.settings.platform_info import PlatformInfo

LINUX = PlatformInfo(os="linux", architecture="x86_64", os_name="ubuntu")
MAC = PlatformInfo(os="macos", architecture="arm64", os_name="macos")
PI = PlatformInfo(os="linux", architecture="arm64", os_name="debian", device="raspberrypi")
NOTHING = Accelerators()
CUDA = Accelerators(cuda=(12, 2))


def test_the_order_with_cuda() -> None:
    names = list(candidates(LINUX, CUDA, install_gpu=True))
    ours = [name for name in names if "x64" not in name]
    assert ours == [
        *("linux.x86_64.cuda12_2", "linux.x86_64.cuda12", "linux.x86_64.cuda"),
        *("linux.cuda12_2", "linux.cuda12", "linux.cuda", "cuda12_2", "cuda12", "cuda"),
        *("linux.x86_64.gpu", "linux.gpu", "gpu", "linux.x86_64", "linux", ""),
    ]


@pytest.mark.parametrize(
    ("machine", "found", "install_gpu", "files", "chosen"),
    [
        (LINUX, NOTHING, True, ["", "linux", "cuda12"], "linux"),
        (LINUX, NOTHING, True, ["", "cuda12", "gpu"], ""),
        (LINUX, CUDA, True, ["", "cuda12", "gpu", "linux"], "cuda12"),
        (LINUX, CUDA, True, ["", "gpu", "linux"], "gpu"),
        (LINUX, CUDA, True, ["", "cuda11", "linux"], "linux"),
        (LINUX, CUDA, False, ["", "cuda12", "gpu"], ""),
        (LINUX, Accelerators(rocm=True), True, ["", "rocm", "linux.rocm"], "linux.rocm"),
        (MAC, Accelerators(mps=True), True, ["", "macos.arm64", "mps"], "mps"),
        (MAC, NOTHING, True, ["", "macos.arm64"], "macos.arm64"),
        (PI, NOTHING, True, ["", "linux.arm64", "raspberrypi"], "raspberrypi"),
        (PI, NOTHING, False, ["", "linux.arm64", "raspberrypi"], "linux.arm64"),
        (LINUX, NOTHING, True, ["windows"], None),
    ],
)
def test_the_choice(
    tmp_path: Path,
    machine: PlatformInfo,
    found: Accelerators,
    install_gpu: bool,
    files: list[str],
    chosen: str | None,
) -> None:
    for name in files:
        (tmp_path / (f"requirements.{name}.txt" if name else "requirements.txt")).touch()
    path = choose_file(tmp_path, machine, found, install_gpu)
    expected = None if chosen is None else f"requirements.{chosen}.txt" if chosen else "requirements.txt"
    assert (path.name if path else None) == expected


def test_what_a_file_says(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(
        "# A heading\n--prefer-binary\n--extra-index-url https://a.example/whl\n--extra-index-url=https://b.example\n"
        "numpy>=1.26   # Installing NumPy\n\n-r more.txt\n--trusted-host x\nCodeProject-AI-SDK\n./wheels/own.whl\n"
        "-f wheels\n"
    )
    (tmp_path / "more.txt").write_text("-r requirements.txt\nPillow<13\n--index-url https://i.example/simple\n--pre\n")
    found = read_requirements(tmp_path / "requirements.txt")
    assert found.lines == [
        *("numpy>=1.26", "Pillow<13", "CodeProject-AI-SDK"),
        *(str(tmp_path / "wheels" / "own.whl"), f"-f {tmp_path / 'wheels'}"),
    ]
    assert found.purposes == {"numpy": "Installing NumPy"}
    assert found.extra_indexes == ["https://a.example/whl", "https://b.example"]
    assert found.index == "https://i.example/simple"
    assert found.prefer_binary
    assert found.pre_releases
    assert found.skipped == ["--trusted-host x"]
    assert without_package(found, "codeproject-ai-sdk").lines == [line for line in found.lines if "SDK" not in line]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("CodeProject_AI.SDK>=0.1", "codeproject-ai-sdk"),
        ("torch==2.0 ; python_version<'3.12'", "torch"),
        ("x @ https://e.example/x.whl", "x"),
        ("-f wheels", ""),
    ],
)
def test_names_of_packages(line: str, name: str) -> None:
    assert package_name(line) == name


def test_the_cuda_version_is_the_lower_of_toolkit_and_driver() -> None:
    toolkit, driver = "Cuda compilation tools, release 13.0, V13.0.88", "| CUDA Version: 12.4     |"
    assert cuda_version(toolkit, driver) == (12, 4)
    assert cuda_version("", driver) == (12, 4)
    assert cuda_version(toolkit, "") == (13, 0)
    assert cuda_version("", "") is None
