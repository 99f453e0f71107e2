"""The virtual environments of modules: which one a module needs, and whether it is there."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import msgspec

from ...config import ROOT, ServerSettings
from ...file_look import may_pass, read_if_there
from ..settings.module_settings import ModuleSettings
from ..settings.platform_info import PlatformInfo
from .gpu import Accelerators, find_accelerators
from .install_steps import InstallError
from .interpreter import OLDEST, Interpreter, NoInterpreterError, find_interpreter
from .proof import ProofPlan, proof_plan
from .requirements_file import SDK_NAME, Requirements, choose_file, package_name, read_requirements, without_package

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
    proof: ProofPlan | None = None
    """How it is found out whether it works here."""

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
        folder=settings.environments_folder / name,
        shared=shared,
        interpreter=interpreter,
        base_lines=sdk_lines if with_sdk else [],
        requirements=_with_right_sdk(requirements, module),
        source=path.name if path is not None else "",
        proof=proof_plan(module),
    )


def is_current(plan: EnvironmentPlan) -> bool:
    """Whether the environment is there and complete, so that nothing has to be run. Blocks."""
    return plan.python.exists() and _read(stamp_path(plan.folder, plan.module_id)) == plan.fingerprint


def base_is_current(plan: EnvironmentPlan) -> bool:
    """Whether a shared environment is there, whatever else is in it. Blocks."""
    return plan.python.exists() and _read(stamp_path(plan.folder, "")) == plan.base_fingerprint


def stamp_path(folder: Path, module_id: str) -> Path:
    """Return the file that says what an environment has for a module; without one, what it is itself."""
    return folder / (f"millrace-{module_id}.stamp" if module_id else "millrace.stamp")


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


def _hash(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()


def _read(path: Path) -> str:
    """What a stamp says; empty when there is none. Raises ``OSError``: a stamp that cannot be read is not gone."""
    return (read_if_there(path) or b"").decode("utf-8", "replace")
