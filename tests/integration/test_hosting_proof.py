"""What was installed has to prove itself: ladders of builds, walked with the real uv and small packages."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from server.app import App
from server.config import ServerSettings
from server.hosting.install import environment, processor
from server.hosting.install.install_steps import InstallError
from server.hosting.install.installer import Installer, InstallPlan
from server.hosting.install.proof import read_note
from server.hosting.install.selftest_command import selftest
from server.hosting.settings.module_settings import ModuleSettings, typed_settings
from server.hosting.settings.platform_info import detect_platform
from server.hosting.settings.settings_file import read_module
from tests.support.hosting_modules import reach, running_app, status_of
from tests.support.standin_builds import StandIn, source

pytestmark = pytest.mark.skipif(os.name == "nt", reason="processes do not end by signals there")

SIGNALS = ("SIGSEGV", "SIGILL", "SIGFPE", "SIGABRT", "SIGBUS")
WHEEL = {"name": "a prebuilt wheel", "origin": "wheel"}


class Yard:
    """A stand-in package, a module that needs it, and an installer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.package = StandIn(folder)
        self.settings = ServerSettings(data_dir=folder / "data", modules_dir=folder / "modules")
        self.machine = detect_platform()
        self.told: list[str] = []

    def module(self, builds: list[dict[str, Any]] | None, **proof: Any) -> ModuleSettings:
        folder = self.package.write_module(self.settings.modules_dir, builds, **proof)
        return typed_settings(read_module(folder, self.machine, None, {}), folder)

    @property
    def installer(self) -> Installer:
        """A new one, as after a restart of the server."""
        return Installer(self.settings, self.machine)

    async def install(self, module: ModuleSettings) -> InstallPlan:
        self.told = []
        return await self.installer.install(module, self.told.append)

    async def built(self) -> list[str]:
        """What was built so far, in order; what failed offline is built once more."""
        return await asyncio.to_thread(self.package.built)

    async def proofs(self) -> list[str]:
        """What was installed at each run of the proof so far."""
        return await asyncio.to_thread(self.package.proofs)

    def said(self, *parts: str) -> bool:
        """Whether one line told all of this."""
        return any(all(part in line for part in parts) for line in self.told)


@pytest.fixture
def yard_with_sdk(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


@pytest.fixture
def yard(yard_with_sdk: Yard, monkeypatch: pytest.MonkeyPatch) -> Yard:
    """Here the module is only installed: without what the SDK needs its environment is made in half the time."""
    nothing = yard_with_sdk.folder / "nothing.txt"
    nothing.write_text("")
    monkeypatch.setattr(environment, "SDK_REQUIREMENTS", nothing)
    return yard_with_sdk


async def note_of(plan: InstallPlan) -> tuple[str, dict[str, str], str]:
    assert plan.environment is not None
    assert plan.environment.proof is not None
    note = await asyncio.to_thread(read_note, plan.environment.proof, plan.environment.folder)
    assert note is not None
    return note.build, note.variables, note.said


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_the_whole_ladder_is_climbed_and_every_step_is_said(yard: Yard) -> None:
    builds = [WHEEL, *(source(name) for name in SIGNALS), source("no-compiler"), source("lies"), source("works")]
    plan = await yard.install(await asyncio.to_thread(yard.module, builds))
    assert list(dict.fromkeys(await yard.built())) == [*SIGNALS, "no-compiler", "lies", "works"]
    assert await yard.proofs() == [*SIGNALS, "lies", "works"]
    for name, following in zip(SIGNALS, (*SIGNALS[1:], "no-compiler"), strict=True):
        assert yard.said(f"the one that {name}", f"({name})", f"Next: the one that {following}.")
    assert yard.said("a prebuilt wheel: it cannot be installed", "Next: the one that SIGSEGV.")
    assert yard.said("the one that lies", "wrong by 1.5", "Next: the one that works.")
    assert yard.said("the one that works: works here")
    assert await note_of(plan) == ("the one that works", {}, "all is well")
    assert plan.current


async def test_a_proof_that_hangs_takes_the_next_build(yard: Yard) -> None:
    module = await asyncio.to_thread(yard.module, [source("hangs"), source("works")], TimeoutSecs=1)
    plan = await yard.install(module)
    assert yard.said("the one that hangs: its proof did not end in time", "Next: the one that works.")
    assert (await note_of(plan))[0] == "the one that works"


async def test_the_whole_is_bounded_in_time(yard: Yard) -> None:
    builds = [source("hangs"), source("works")]
    module = await asyncio.to_thread(yard.module, builds, TimeoutSecs=100, InstallTimeoutSecs=2)
    with pytest.raises(InstallError, match="has proven itself within 2 s"):
        await yard.install(module)


async def test_when_nothing_works_each_build_is_named_with_its_reason(yard: Yard) -> None:
    module = await asyncio.to_thread(yard.module, [WHEEL, source("SIGILL"), source("lies")])
    with pytest.raises(InstallError) as caught:
        await yard.install(module)
    for part in ("a prebuilt wheel: it cannot", "(SIGILL)", "wrong by 1.5", str(yard.installer.log_path("Mine"))):
        assert part in str(caught.value)
    assert not (await yard.installer.plan(module)).installed


async def test_a_build_that_works_with_a_variable_is_noted_with_it(yard: Yard) -> None:
    safe = source("needs-variable", name="the careful one", variables={"STAND_IN_SAFE": "yes"})
    plan = await yard.install(await asyncio.to_thread(yard.module, [source("needs-variable"), safe]))
    assert (await note_of(plan))[:2] == ("the careful one", {"STAND_IN_SAFE": "yes"})
    assert plan.variables == {"STAND_IN_SAFE": "yes"}
    assert await yard.built() == ["needs-variable"], "the same settings are the same build"


async def test_what_was_built_before_is_taken_for_itself_only(yard: Yard) -> None:
    await yard.install(await asyncio.to_thread(yard.module, [source("works")]))
    other = await yard.install(await asyncio.to_thread(yard.module, [source("SIGSEGV"), source("works")]))
    assert other.current
    assert await yard.built() == ["works"], "an environment that is there and proven stays"
    yard.settings = ServerSettings(data_dir=yard.folder / "other", modules_dir=yard.settings.modules_dir)
    await yard.install(await asyncio.to_thread(yard.module, [source("SIGSEGV"), source("works")]))
    assert await yard.built() == ["works", "SIGSEGV"]
    assert await yard.proofs() == ["works", "SIGSEGV", "works"]


async def test_a_build_for_this_processor_is_no_other_processors(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    native = source("works", configSettings=["does=works", "for=%PROCESSOR%"])
    module = await asyncio.to_thread(yard.module, [native])
    await yard.install(module)
    for number in (1, 2):
        yard.settings = ServerSettings(data_dir=yard.folder / f"d{number}", modules_dir=yard.settings.modules_dir)
        await yard.install(module)
    assert await yard.built() == ["works"], "once for this processor"
    await use_processor(yard, monkeypatch, "model name : another\n")
    yard.settings = ServerSettings(data_dir=yard.folder / "d3", modules_dir=yard.settings.modules_dir)
    await yard.install(module)
    assert await yard.built() == ["works", "works"]


async def use_processor(yard: Yard, monkeypatch: pytest.MonkeyPatch, cpuinfo: str) -> None:
    path = yard.folder / "cpuinfo"
    await asyncio.to_thread(path.write_text, cpuinfo)
    monkeypatch.setattr(processor, "_CPUINFO", path)


async def test_another_processor_repeats_the_proof_and_a_wrong_build_is_replaced(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = await asyncio.to_thread(
        yard.module, [source("works"), source("works", configSettings=["does=works", "b=2"])]
    )
    await yard.install(module)
    await use_processor(yard, monkeypatch, "model name : another\n")
    plan = await yard.installer.plan(module)
    assert (plan.installed, plan.unproven) == (True, "the processor is another one")
    await yard.install(module)
    assert yard.said("has to prove itself: the processor is another one")
    assert ((await yard.proofs()), (await yard.built())) == (["works"] * 2, ["works"]), "proven again, not built again"
    assert (await yard.installer.plan(module)).current


async def test_an_exchanged_library_repeats_the_proof(yard: Yard) -> None:
    module = await asyncio.to_thread(yard.module, [source("works")])
    plan = await yard.install(module)
    assert plan.environment is not None
    record = next(plan.environment.folder.glob("lib/python3*/site-packages/millrace_stand_in-1.0.dist-info/RECORD"))
    content = await asyncio.to_thread(record.read_text)
    await asyncio.to_thread(record.unlink)  # it may be one file with uv's cache
    await asyncio.to_thread(record.write_text, f"{content}\nmore.so,,\n")
    assert (await yard.installer.plan(module)).unproven == "millrace-stand-in has changed"
    await yard.install(module)
    assert len(await yard.proofs()) == 2


async def test_another_place_repeats_the_proof(yard: Yard) -> None:
    module = await asyncio.to_thread(yard.module, [source("works")])
    await yard.install(module)
    await asyncio.to_thread((yard.folder / "data").rename, yard.folder / "moved")
    yard.settings = ServerSettings(data_dir=yard.folder / "moved", modules_dir=yard.settings.modules_dir)
    assert (await yard.installer.plan(module)).unproven == "the environment is in another place"
    await yard.install(module)
    assert (len(await yard.proofs()), (await yard.built())) == (2, ["works"])


async def test_an_environment_from_before_there_were_proofs_is_proven_and_kept(yard: Yard) -> None:
    module = await asyncio.to_thread(yard.module, [source("works")])
    plan = await yard.install(module)
    assert plan.environment is not None
    await asyncio.to_thread((plan.environment.folder / "millrace-Mine.proof.json").unlink)
    plan = await yard.install(module)
    assert yard.said("it has not been proven yet")
    assert await yard.built() == ["works"]
    assert (await note_of(plan))[0] == "as its requirements say"


async def test_what_does_not_work_any_more_is_replaced_by_a_later_build(yard: Yard) -> None:
    second = source("works", name="the second", configSettings=["does=works", "b=2"])
    third = source("works", name="the third", configSettings=["does=works", "b=3"])
    module = await asyncio.to_thread(yard.module, [source("works"), second, third])
    await yard.install(module)
    proofs = len(await yard.proofs())
    await asyncio.to_thread(yard.package.broken.write_text, "SIGILL")
    with pytest.raises(InstallError, match=r"the second.*SIGILL.*the third.*SIGILL"):
        await yard.installer.prove(module, yard.told.append, "it died")
    assert len(await yard.proofs()) == proofs + 3, "what is installed, and the two after it"
    await asyncio.to_thread(yard.package.broken.unlink)
    plan = await yard.install(module)
    assert plan.current, "what is there still is whole"


async def test_a_module_without_a_ladder_is_only_proven(yard: Yard) -> None:
    module = await asyncio.to_thread(yard.module, None)
    with pytest.raises(InstallError, match=r"No build of millrace-stand-in works here.*wrong by 1\.5"):
        await yard.install(module)


async def test_a_proof_without_a_package_speaks_of_its_module(yard: Yard) -> None:
    module = await asyncio.to_thread(yard.module, None, Package="")
    with pytest.raises(InstallError, match=rf"No build of {module.module_id} works here: .*wrong by 1\.5"):
        await yard.install(module)


async def test_builds_that_cannot_be_read_are_said(yard: Yard) -> None:
    module = await asyncio.to_thread(yard.module, [])
    await asyncio.to_thread((module.path / "builds.py").write_text, "print('no json')")
    with pytest.raises(InstallError, match="No build of millrace-stand-in works here"):
        await yard.install(module)
    assert yard.said("builds.py names no builds")


DIES = """
import os, signal

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData

NOTE = {note!r}


class Dies(ModuleRunner):
    def process(self, data: RequestData) -> JSON:
        if not os.path.exists(NOTE):
            open(NOTE, "w").close()
            signal.raise_signal(signal.{signal})
        return {{"success": True, "safe": os.environ.get("SAFE", "")}}


if __name__ == "__main__":
    Dies().start_loop()
"""


@pytest.mark.parametrize("name", SIGNALS)
async def test_a_module_that_dies_by_a_signal_is_proven_anew(yard_with_sdk: Yard, name: str) -> None:
    code = DIES.format(note=str(yard_with_sdk.folder / "died"), signal=name)
    await asyncio.to_thread(
        yard_with_sdk.package.write_module, yard_with_sdk.settings.modules_dir, [source("works")], code
    )
    async with running_app(yard_with_sdk.folder) as app:
        await reach(app, "Mine", "Ready")
        assert len(await yard_with_sdk.proofs()) == 1
        answer = await ask(app)  # delivered again to the next process
        assert answer["success"] is True, answer
        assert len(await yard_with_sdk.proofs()) == 2
        status = status_of(app, "Mine")
        assert status is not None
        assert "has to prove itself" in status.install_summary
        assert name in status.install_summary


async def test_what_fails_its_second_proof_is_replaced_before_the_module_starts_again(yard_with_sdk: Yard) -> None:
    code = DIES.format(note=str(yard_with_sdk.folder / "died"), signal="SIGSEGV")
    careful = source("works", name="the careful one", configSettings=["does=works", "b=2"], variables={"SAFE": "yes"})
    builds = [source("works"), careful]
    folder = await asyncio.to_thread(
        yard_with_sdk.package.write_module, yard_with_sdk.settings.modules_dir, builds, code
    )
    prove = folder / "prove.py"
    async with running_app(yard_with_sdk.folder) as app:
        await reach(app, "Mine", "Ready")
        text = await asyncio.to_thread(prove.read_text)
        await asyncio.to_thread(prove.write_text, f"import os\nif os.environ.get('SAFE') != 'yes': os.abort()\n{text}")
        answer = await ask(app)
        assert answer["success"] is True, answer
        status = status_of(app, "Mine")
        assert status is not None
        assert "the one that works: its proof was ended by signal 6 (SIGABRT). Next: another build." in (
            status.install_summary
        )
        assert (await ask(app))["safe"] == "yes"


SAYS_WHETHER_SAFE = """
import os

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class Careful(ModuleRunner):
    def process(self, data: RequestData) -> JSON:
        return {"success": True}

    def selftest(self) -> JSON:
        return {"success": os.environ.get("SAFE") == "yes"}


if __name__ == "__main__":
    Careful().start_loop()
"""


async def test_what_a_build_wants_in_the_environment_is_there_in_the_self_test(yard_with_sdk: Yard) -> None:
    builds = [source("works", variables={"SAFE": "yes"})]
    settings = yard_with_sdk.settings
    await asyncio.to_thread(yard_with_sdk.package.write_module, settings.modules_dir, builds, SAYS_WHETHER_SAFE)
    assert await selftest(settings, "Mine", yard_with_sdk.told.append), yard_with_sdk.told


async def test_whatever_goes_wrong_before_the_next_start_is_the_reason_of_its_state(yard_with_sdk: Yard) -> None:
    died = str(yard_with_sdk.folder / "died")
    code = DIES.format(note=died, signal="SIGSEGV")
    impossible = source("works", name="impossible", configSettings=["does=works", "b=2"], variables={"SAFE": "\0"})
    builds = [source("works"), impossible]
    folder = await asyncio.to_thread(
        yard_with_sdk.package.write_module, yard_with_sdk.settings.modules_dir, builds, code
    )
    prove = await asyncio.to_thread((folder / "prove.py").read_text)
    doubt = f"import os\nif os.path.exists({died!r}): raise SystemExit(1)\n"
    await asyncio.to_thread((folder / "prove.py").write_text, doubt + prove)
    async with running_app(yard_with_sdk.folder) as app:
        await reach(app, "Mine", "Ready")
        asked = asyncio.create_task(ask(app))
        status = await reach(app, "Mine", "Failed", seconds=60.0)
        assert "preparing its next start failed: ValueError" in str(status.state_reason)
        assert (await asked)["success"] is False


async def ask(app: App) -> dict[str, Any]:
    address = f"http://127.0.0.1:{app.host._port}/v1/test/mine"
    async with aiohttp.ClientSession() as session, session.post(address, data={"a": "b"}) as answer:
        body: dict[str, Any] = await answer.json()
        return body
