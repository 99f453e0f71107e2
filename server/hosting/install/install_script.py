"""A module's own install script: when it has to run, and the variables it may use."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sys
from pathlib import Path

import msgspec

from ...config import ROOT, ServerSettings
from ...file_look import is_file, read_if_there
from ..process.launch_environment import scalar_text
from ..process.uv_tool import find_uv
from ..settings.module_settings import ModuleSettings
from ..settings.platform_info import PlatformInfo
from .gpu import Accelerators, find_accelerators
from .install_steps import InstallError, InstallLog, Step

_PRELUDE = Path(__file__).with_name("install_prelude.sh")
_COLOURS = ("primary", "mute", "info", "success", "warn", "error")
_ADVICE = "Look into the log, mend what it names, then start the module again."


class InstallScript(msgspec.Struct, frozen=True, kw_only=True):
    """The script of a module. ``python`` is its environment's interpreter, ``fingerprint`` changes with the script.

    ``note`` is the file that remembers that it has run.
    """

    path: Path
    argument: str
    python: Path
    fingerprint: str
    note: Path


def find_scripts(
    module: ModuleSettings, python: Path, environment_fingerprint: str, notes: Path
) -> list[InstallScript]:
    """Return the scripts that installing a module runs on this system, in order. Blocks."""
    suffix = "bat" if os.name == "nt" else "sh"
    scripts = []
    for name, argument in (("install", "install"), ("post_install", "post-install")):
        path = module.path / f"{name}.{suffix}"
        if is_file(path):
            content = path.read_bytes() + environment_fingerprint.encode() + str(python).encode()
            fingerprint = hashlib.sha256(content).hexdigest()
            note = notes / f"millrace-{module.module_id}.{name}.stamp"
            scripts.append(
                InstallScript(path=path, argument=argument, python=python, fingerprint=fingerprint, note=note)
            )
    return scripts


def is_done(script: InstallScript) -> bool:
    """Whether exactly this script has run, in exactly this environment. Blocks. Raises ``OSError``."""
    return read_if_there(script.note) == script.fingerprint.encode()


def note_done(script: InstallScript) -> None:
    """Remember that the script has run. Blocks."""
    script.note.parent.mkdir(parents=True, exist_ok=True)
    script.note.write_text(script.fingerprint, encoding="utf-8")


async def run_script(
    script: InstallScript, settings: ServerSettings, module: ModuleSettings, machine: PlatformInfo, log: InstallLog
) -> None:
    """Run a script in the module's folder. Raises ``InstallError``."""
    await log.run(await asyncio.to_thread(_step, script, settings, module, machine))


def _step(script: InstallScript, settings: ServerSettings, module: ModuleSettings, machine: PlatformInfo) -> Step:
    if script.path.suffix == ".bat":
        command = ["cmd", "/c", str(script.path), script.argument]
    elif (bash := shutil.which("bash")) is not None:
        command = [bash, str(_PRELUDE)]
    else:
        raise InstallError(f"{script.path.name} of {module.module_id} needs bash, which is not installed here.")
    uv = find_uv()
    variables = script_variables(script, settings, module, machine)
    variables["uvCommand"] = uv.command[0] if len(uv.command) == 1 else "uv"
    return Step(
        title=f"Running {script.path.name} of {module.module_id}",
        command=command,
        cwd=module.path,
        environment={**uv.environment, **variables},
        advice=_ADVICE,
    )


def script_variables(
    script: InstallScript, settings: ServerSettings, module: ModuleSettings, machine: PlatformInfo
) -> dict[str, str]:
    """Return the documented variables of an install script as text; booleans are ``true`` and ``false``. Blocks."""
    found = find_accelerators(machine) if module.gpu_options.install_gpu else Accelerators()
    environments = settings.environments_folder
    version = module.launch_settings.runtime.lower().removeprefix("python")
    variables = {
        "installScriptPath": script.path,
        "installScriptArgument": script.argument,
        "serverPythonCmdPath": sys.executable,
        "os": machine.os,
        "os_name": machine.os_name,
        "architecture": machine.architecture,
        "platform": machine.name,
        "systemName": machine.device or machine.os,
        "edgeDevice": machine.device,
        "rootDirPath": ROOT,
        "appRootDirPath": ROOT,
        "runtimesDirPath": environments,
        "modulesDirPath": settings.modules_dir,
        "downloadDirPath": settings.data_dir / "downloads",
        "downloadModuleAssetsDirPath": settings.data_dir / "downloads" / "modules",
        "utilsScriptsDirPath": _PRELUDE.parent,
        "moduleId": module.module_id,
        "moduleName": module.name,
        "moduleVersion": module.version,
        "moduleDirName": module.path.name,
        "moduleDirPath": module.path,
        "runtime": module.launch_settings.runtime,
        "runtimeLocation": module.launch_settings.runtime_location,
        "pythonVersion": version,
        "pythonName": f"python{version.replace('.', '')}",
        "virtualEnvDirPath": script.python.parent.parent,
        "venvPythonCmdPath": script.python,
        "packagesDirPath": _packages(script.python, version),
        "verbosity": module.launch_settings.log_verbosity.lower(),
        **_gpu_variables(module, found),
        "forceOverwrite": False,
        "inDocker": machine.in_docker,
        "wgetFlags": "-q",
        **{f"color_{name}": "" for name in _COLOURS},
    }
    return {name: _text(value) for name, value in variables.items()}


def _gpu_variables(module: ModuleSettings, found: Accelerators) -> dict[str, object]:
    major, minor = found.cuda or ("", "")
    return {
        "installGPU": module.gpu_options.install_gpu,
        "hasCUDA": found.cuda is not None,
        "cuda_version": f"{major}.{minor}" if found.cuda else "",
        "cuda_major_version": str(major),
        "cuda_major_minor": f"{major}_{minor}" if found.cuda else "",
        "hasROCm": found.rocm,
        "hasMPS": found.mps,
    }


def _packages(python: Path, version: str) -> Path:
    environment = python.parent.parent
    if os.name == "nt":
        return environment / "Lib" / "site-packages"
    found = sorted(environment.glob("lib/python3*/site-packages"))
    return found[0] if found else environment / "lib" / f"python{version}" / "site-packages"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return scalar_text(value) if isinstance(value, str | int | float) else str(value)
