"""Real module environments, made with uv from small packages written on the spot."""

from __future__ import annotations

import asyncio
import os
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import psutil
import pytest

from server.config import ServerSettings
from server.hosting.install.install_command import install_modules
from server.hosting.install.install_steps import InstallError
from server.hosting.install.installer import Installer, InstallPlan
from server.hosting.settings.module_settings import ModuleSettings, typed_settings
from server.hosting.settings.platform_info import detect_platform
from server.hosting.settings.settings_file import read_module
from tests.support.hosting_modules import eventually, write_module
from tests.support.server_process import wait_until

MACHINE = detect_platform()
LOCAL = {"FilePath": "adapter.py", "Runtime": "python", "RuntimeLocation": "Local"}
pytestmark = pytest.mark.skipif(os.name == "nt", reason="the scripts are for bash")


WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


class Workshop:
    """A folder with modules, and an installer for them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = ServerSettings(data_dir=folder / "data", modules_dir=folder / "modules")
        self.machine = MACHINE
        self.installer = Installer(self.settings, self.machine)
        self.told: list[str] = []

    async def module(self, module_id: str = "Mine", requirements: str = "", **settings: Any) -> ModuleSettings:
        """Write a module with an environment of its own, and read it back."""
        return await asyncio.to_thread(self._module, module_id, requirements, settings)

    def _module(self, module_id: str, requirements: str, settings: dict[str, Any]) -> ModuleSettings:
        folder = write_module(self.settings.modules_dir, module_id, **{"LaunchSettings": LOCAL, **settings})
        if requirements:
            (folder / "requirements.txt").write_text(requirements)
        return typed_settings(read_module(folder, self.machine, None, {}), folder)

    async def install(self, module: ModuleSettings) -> InstallPlan:
        """Install it; what is told goes to ``told``, which is emptied before."""
        self.told = []
        return await self.installer.install(module, self.told.append)

    def log(self, module_id: str = "Mine") -> str:
        return self.installer.log_path(module_id).read_text()


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def wheel(folder: Path, name: str, version: str) -> Path:
    """Write the smallest wheel: one module that knows its version."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f"VERSION = '{version}'\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", WHEEL)
        archive.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


def say(python: Path | None, code: str) -> str:
    assert python is not None
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


async def test_an_environment_is_made_once_and_left_alone_after(workshop: Workshop) -> None:
    await asyncio.to_thread(wheel, workshop.folder, "tiny_thing", "1.0")
    module = await workshop.module(
        requirements=f"CodeProject-AI-SDK\n-f {workshop.folder}\ntiny-thing  # Installing it\n"
    )
    plan = await workshop.install(module)
    assert any("tiny-thing" in line for line in workshop.told)
    code = "import aiohttp, msgspec, tiny_thing; print(tiny_thing.VERSION)"
    assert await asyncio.to_thread(say, plan.python, code) == "1.0"
    absent = "import importlib.util as u; print(u.find_spec('codeproject_ai_sdk'))"
    assert await asyncio.to_thread(say, plan.python, absent) == "None"
    assert "Installed" in await asyncio.to_thread(workshop.log)
    await workshop.install(module)
    assert workshop.told == [], "nothing is run when nothing has changed"


async def test_changed_requirements_make_a_new_environment(workshop: Workshop) -> None:
    await asyncio.to_thread(wheel, workshop.folder, "tiny_thing", "1.0")
    await asyncio.to_thread(wheel, workshop.folder, "tiny_thing", "2.0")
    plan = await workshop.install(await workshop.module(requirements=f"-f {workshop.folder}\ntiny-thing==1.0\n"))
    assert await asyncio.to_thread(say, plan.python, "import tiny_thing; print(tiny_thing.VERSION)") == "1.0"
    plan = await workshop.install(await workshop.module(requirements=f"-f {workshop.folder}\ntiny-thing==2.0\n"))
    assert await asyncio.to_thread(say, plan.python, "import tiny_thing; print(tiny_thing.VERSION)") == "2.0"


async def test_a_failure_names_the_log_and_leaves_the_old_environment_in_place(workshop: Workshop) -> None:
    plan = await workshop.install(await workshop.module())
    broken = await workshop.module(requirements="./not-there.whl\n")
    with pytest.raises(InstallError) as caught:
        await workshop.install(broken)
    assert str(workshop.installer.log_path("Mine")) in str(caught.value)
    assert "not-there.whl" in str(caught.value)
    assert await asyncio.to_thread(say, plan.python, "import aiohttp; print('whole')") == "whole"
    assert not (await workshop.installer.plan(broken)).current


async def test_a_half_made_environment_is_made_anew(workshop: Workshop) -> None:
    module = await workshop.module()
    plan = await workshop.install(module)
    assert plan.environment is not None
    stamp = plan.environment.folder / "millrace-Mine.stamp"
    await asyncio.to_thread(stamp.unlink)
    assert not (await workshop.installer.plan(module)).current
    await workshop.install(module)
    assert (await workshop.installer.plan(module)).current


async def test_a_package_index_that_cannot_be_reached_is_left_out(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    lines = "--index-url http://127.0.0.1:9/main\n--extra-index-url http://127.0.0.1:9/more\ntiny-thing\n"
    with pytest.raises(InstallError, match=r"127\.0\.0\.1:9/main.*refused"):
        await workshop.install(await workshop.module(requirements=lines))
    assert any("http://127.0.0.1:9/more cannot be reached" in line for line in workshop.told)


async def test_a_package_that_does_not_exist_is_no_matter_of_the_network(workshop: Workshop) -> None:
    index = workshop.folder / "index"
    await asyncio.to_thread(index.mkdir)
    shared = {**LOCAL, "RuntimeLocation": "Shared"}  # there the SDK's own packages come before, from elsewhere
    lines = f"--index-url {index.as_uri()}\nnonesuch\n"
    module = await workshop.module(requirements=lines, LaunchSettings=shared)
    with pytest.raises(InstallError) as caught:
        await workshop.install(module)
    assert "There is no package nonesuch. Correct the name in requirements.txt of Mine." in str(caught.value)
    assert "network" not in str(caught.value)


SETUP = """
from setuptools import setup
setup(name="from-source", version="1.0", py_modules=["from_source"])
"""


async def test_what_is_not_there_as_a_wheel_is_built(workshop: Workshop) -> None:
    source = workshop.folder / "from-source"
    source.mkdir()
    (source / "setup.py").write_text(SETUP)
    (source / "from_source.py").write_text("VALUE = 5\n")
    module = await workshop.module(requirements=f"--prefer-binary\n{source}\n")
    plan = await workshop.install(module)
    assert any(line.startswith("Building from-source") for line in workshop.told)
    assert await asyncio.to_thread(say, plan.python, "import from_source; print(from_source.VALUE)") == "5"


SCRIPT = """
writeLine "module=$moduleId folder=$moduleDirPath gpu=$installGPU"
"$venvPythonCmdPath" -c "import pip; open('made-by-script', 'a').write('x')"
[ "$(versionCompare 1.9 1.10)" = "-1" ] || moduleInstallErrors="versions"
"""


async def test_an_install_script_runs_once_with_its_variables(workshop: Workshop) -> None:
    module = await workshop.module(GpuOptions={"InstallGPU": False})
    (module.path / "install.sh").write_text(SCRIPT)
    await workshop.install(module)
    assert f"module=Mine folder={module.path} gpu=false" in await asyncio.to_thread(workshop.log)
    assert (module.path / "made-by-script").read_text() == "x"
    await workshop.install(module)
    assert workshop.told == []
    (module.path / "install.sh").write_text(f"{SCRIPT}\n# changed")
    await workshop.install(module)
    assert (module.path / "made-by-script").read_text() == "xx"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("exit 7", "exit code 7"),
        ("return 3", "exit code 3"),
        ('moduleInstallErrors="the moon is missing"', "the moon is missing"),
        ('getFromServer "models/" "x.zip" "assets" "Getting models"', "Get the file yourself"),
    ],
)
async def test_an_install_script_that_fails_says_why(workshop: Workshop, script: str, expected: str) -> None:
    module = await workshop.module()
    (module.path / "install.sh").write_text(script)
    with pytest.raises(InstallError) as caught:
        await workshop.install(module)
    assert expected in str(caught.value)
    assert not (await workshop.installer.plan(module)).current


async def test_a_shared_environment_serves_several_modules(workshop: Workshop) -> None:
    await asyncio.to_thread(wheel, workshop.folder, "tiny_thing", "1.0")
    shared = {**LOCAL, "RuntimeLocation": "Shared"}
    plans = []
    for module_id in ("One", "Two"):
        lines = f"-f {workshop.folder}\ntiny-thing\n" if module_id == "Two" else ""
        module = await workshop.module(module_id, lines, LaunchSettings=shared)
        plans.append(await workshop.install(module))
        await workshop.install(module)
        assert workshop.told == []
    assert plans[0].python == plans[1].python
    assert await asyncio.to_thread(say, plans[0].python, "import tiny_thing, aiohttp; print(1)") == "1"


async def test_an_interrupted_installation_leaves_no_process(workshop: Workshop) -> None:
    module = await workshop.module()
    (module.path / "install.sh").write_text("sleep 600 & echo $! > sleeper.pid; wait")
    task = asyncio.create_task(workshop.install(module))
    note = module.path / "sleeper.pid"
    await eventually(lambda: any("install.sh" in line for line in workshop.told), 60)
    pid = await asyncio.to_thread(read_when_there, note)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(until_gone, pid)


def read_when_there(path: Path) -> int:
    return int(wait_until("the script runs", lambda: path.read_text() if path.exists() else ""))


def until_gone(pid: int) -> None:
    wait_until("it has ended", lambda: not psutil.pid_exists(pid))


async def test_two_installers_do_not_get_in_each_others_way(workshop: Workshop) -> None:
    module = await workshop.module()
    other = Workshop(workshop.folder)
    plans = await asyncio.gather(workshop.install(module), other.install(module))
    assert plans[0].python == plans[1].python
    made = [line for told in (workshop.told, other.told) for line in told if line.startswith("Making")]
    assert len(made) == 1


async def test_the_command_that_installs(workshop: Workshop) -> None:
    await workshop.module("Good")
    lines: list[str] = []
    assert await install_modules(workshop.settings, [], lines.append)
    assert lines[-1] == "Good: installed"
    assert await install_modules(workshop.settings, ["good"], lines.append)
    assert lines[-1] == "Good: ready"
    assert not await install_modules(workshop.settings, ["Missing"], lines.append)
    assert "no such module" in lines[-1]
    await workshop.module("Bad", requirements="./not-there.whl\n")
    assert not await install_modules(workshop.settings, [], lines.append)
    assert any(line.startswith("Bad: ") and "install-Bad.log" in line for line in lines)
    await workshop.module("Elsewhere", InstallOptions={"Platforms": ["nowhere"]})
    assert await install_modules(workshop.settings, ["Elsewhere"], lines.append)
    assert "left out" in lines[-1]
