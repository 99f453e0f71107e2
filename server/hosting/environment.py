"""The virtual environments of modules: planned from their files, made with uv, and left alone while nothing changes."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
from pathlib import Path

import msgspec

from ..config import ROOT, ServerSettings
from .file_look import may_pass, read_if_there
from .gpu import Accelerators, find_accelerators
from .install_steps import InstallError, InstallLog, Step
from .interpreter import OLDEST, Interpreter, NoInterpreterError, find_interpreter
from .module_settings import ModuleSettings
from .platform_info import PlatformInfo
from .requirements_file import (
    SDK_NAME,
    Requirements,
    choose_file,
    package_name,
    read_requirements,
    without_package,
)
from .uv_tool import Uv, find_uv, index_is_usable

SDK_REQUIREMENTS = ROOT / "sdk" / "requirements.txt"
_FORMAT = 1
_OLDEST_WITH_PUBLISHED_SDK = (3, 7)


class EnvironmentPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The environment a module needs. ``fingerprint`` changes whenever it has to be made anew."""

    module_id: str
    folder: Path
    shared: bool
    interpreter: Interpreter
    base_lines: list[str]
    requirements: Requirements
    source: str
    """The chosen requirements file; empty when the module has none."""

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def base_fingerprint(self) -> str:
        """What the environment itself depends on."""
        return _hash([_FORMAT, self.interpreter.path, self.interpreter.version, self.base_lines])

    @property
    def fingerprint(self) -> str:
        """What the module's packages in it depend on."""
        return _hash([self.base_fingerprint, msgspec.to_builtins(self.requirements)])


def plan_environment(settings: ServerSettings, module: ModuleSettings, machine: PlatformInfo) -> EnvironmentPlan | None:
    """Say which environment a module needs; ``None`` when it needs none of its own. Blocks.

    Raises ``InstallError`` when there is no Python for it or its requirements cannot be read, ``OSError`` when
    that may pass by itself.
    """
    if module.location == "system" or not module.is_python or module.launch_settings.command:
        return None
    oldest = _OLDEST_WITH_PUBLISHED_SDK if module.published_sdk else OLDEST
    try:
        interpreter = find_interpreter(module.launch_settings.runtime, oldest)
        path = choose_file(module.path, machine, _accelerators(module, machine), module.gpu_options.install_gpu)
        requirements = read_requirements(path) if path is not None else Requirements()
        sdk_lines = read_requirements(SDK_REQUIREMENTS).lines
    except (NoInterpreterError, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and may_pass(error):
            raise
        raise InstallError(f"The environment of {module.module_id} cannot be planned: {error}") from None
    shared = module.location == "shared"
    name = f"shared-python{interpreter.label}" if shared else module.module_id
    # Modules that share an environment must agree on its base, whichever SDK each of them uses.
    with_sdk = interpreter.version >= OLDEST if shared else not module.published_sdk
    return EnvironmentPlan(
        module_id=module.module_id,
        folder=environments_folder(settings) / name,
        shared=shared,
        interpreter=interpreter,
        base_lines=sdk_lines if with_sdk else [],
        requirements=_with_right_sdk(requirements, module),
        source=path.name if path is not None else "",
    )


def environments_folder(settings: ServerSettings) -> Path:
    """Return where the environments are."""
    unset = settings.environments_dir == Path()
    return settings.data_dir / "environments" if unset else settings.environments_dir


def is_current(plan: EnvironmentPlan) -> bool:
    """Whether the environment is there and complete, so that nothing has to be run. Blocks."""
    return plan.python.exists() and _read(_stamp(plan.folder, plan.module_id)) == plan.fingerprint


async def make_environment(plan: EnvironmentPlan, log: InstallLog) -> None:
    """Make the environment, whole or not at all: one that was there stays until the new one is complete.

    Raises ``InstallError``.
    """
    if plan.interpreter.note:
        log.say(plan.interpreter.note)
    for option in plan.requirements.skipped:
        log.say(f"{plan.source}: the option {option} means nothing here and is left out.")
    uv = await asyncio.to_thread(find_uv)
    if not plan.shared:
        await _make(plan, plan.requirements, uv, log)
        return
    if not await asyncio.to_thread(_base_is_current, plan):
        await _make(plan, Requirements(), uv, log)
    if plan.requirements.lines:
        await _install(plan, plan.python, plan.requirements, [], uv, log)
    await asyncio.to_thread(_write, _stamp(plan.folder, plan.module_id), plan.fingerprint)


async def _make(plan: EnvironmentPlan, requirements: Requirements, uv: Uv, log: InstallLog) -> None:
    partial = plan.folder.with_name(f".{plan.folder.name}.partial")
    await asyncio.to_thread(_remove, partial)
    log.say(f"Python {plan.interpreter.label} from {plan.interpreter.path}")
    await log.run(
        Step(
            title=f"Making the Python {plan.interpreter.label} environment",
            command=[*uv.command, "venv", "--relocatable", "--python", plan.interpreter.path, str(partial)],
            cwd=plan.folder.parent,
            environment=uv.environment,
            source=_source(plan),
        )
    )
    python = partial / plan.python.relative_to(plan.folder)
    if plan.base_lines or requirements.lines:
        await _install(plan, python, requirements, plan.base_lines, uv, log)
    if plan.shared:
        await asyncio.to_thread(_write, _stamp(partial, ""), plan.base_fingerprint)
    else:
        await asyncio.to_thread(_write, _stamp(partial, plan.module_id), plan.fingerprint)
    await asyncio.to_thread(_put_in_place, partial, plan.folder)


async def _install(
    plan: EnvironmentPlan, python: Path, requirements: Requirements, base_lines: list[str], uv: Uv, log: InstallLog
) -> None:
    listed = plan.folder.with_name(f".{plan.folder.name}.{plan.module_id}.requirements.txt")
    await asyncio.to_thread(_write, listed, "\n".join([*base_lines, *requirements.lines]) + "\n")
    from_cache = [*uv.command, "pip", "install", "--python", str(python), "-r", str(listed)]
    packages = [name for line in requirements.lines if (name := package_name(line))]
    named = ", ".join(packages[:4]) + (", …" if len(packages) > 4 else "")
    what = named or (f"the packages in {plan.source}" if requirements.lines else "what the module SDK needs")
    step = Step(
        title=f"Installing {what}",
        command=[*from_cache, "--offline"],
        cwd=plan.folder.parent,
        environment=uv.environment,
        source=_source(plan),
    )
    if (await log.attempt(step)).code == 0:
        # What uv has fetched or built before needs no network, and no second build of several minutes.
        return
    command = [*from_cache, *await _index_options(requirements, log)]
    step = msgspec.structs.replace(step, command=command)
    if requirements.prefer_binary:
        wheels_only = msgspec.structs.replace(step, command=[*command, "--only-binary", ":all:"])
        if (await log.attempt(wheels_only, announce=False)).code == 0:
            return
        log.say("Not everything is there as a prebuilt package: the rest is built, which can take 5 to 10 minutes.")
    await log.run(step, announce=False)


def _source(plan: EnvironmentPlan) -> str:
    return f"{plan.source} of {plan.module_id}" if plan.source else "the module SDK's requirements"


async def _index_options(requirements: Requirements, log: InstallLog) -> list[str]:
    options = ["--index-url", requirements.index] if requirements.index else []
    for url in requirements.extra_indexes:
        if await asyncio.to_thread(index_is_usable, url):
            options += ["--extra-index-url", url, "--index-strategy", "unsafe-best-match"]
        else:
            log.say(f"The package index {url} cannot be reached: going on without it.")
    return [*options, "--prerelease", "allow"] if requirements.pre_releases else options


def _accelerators(module: ModuleSettings, machine: PlatformInfo) -> Accelerators:
    """Look for a GPU only where a file for one is there: asking its driver takes a moment."""
    special = re.compile(r"requirements\..*(cuda|rocm|mps|gpu).*\.txt", re.IGNORECASE)
    if not module.gpu_options.install_gpu or not any(special.fullmatch(entry) for entry in os.listdir(module.folder)):
        return Accelerators()
    return find_accelerators(machine)


def _with_right_sdk(requirements: Requirements, module: ModuleSettings) -> Requirements:
    """Our SDK comes with PYTHONPATH; a module that wants the published one gets it even if it forgot to list it."""
    listed = any(package_name(line) == SDK_NAME for line in requirements.lines)
    if not module.published_sdk:
        requirements = without_package(requirements, SDK_NAME)
    elif not listed:
        requirements = msgspec.structs.replace(requirements, lines=[*requirements.lines, SDK_NAME])
    if any((module.path / script).is_file() for script in ("install.sh", "install.bat")):
        # Install scripts call "python -m pip".
        requirements = msgspec.structs.replace(requirements, lines=[*requirements.lines, "pip"])
    return requirements


def _base_is_current(plan: EnvironmentPlan) -> bool:
    return plan.python.exists() and _read(_stamp(plan.folder, "")) == plan.base_fingerprint


def _stamp(folder: Path, module_id: str) -> Path:
    return folder / (f"millrace-{module_id}.stamp" if module_id else "millrace.stamp")


def _hash(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()


def _read(path: Path) -> str:
    """What a stamp says; empty when there is none. Raises ``OSError``: a stamp that cannot be read is not gone."""
    return (read_if_there(path) or b"").decode("utf-8", "replace")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _remove(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        shutil.rmtree(folder)


def _put_in_place(partial: Path, folder: Path) -> None:
    old = folder.with_name(f".{folder.name}.old")
    _remove(old)
    if folder.exists():
        folder.replace(old)
    partial.replace(folder)
    shutil.rmtree(old, ignore_errors=True)
