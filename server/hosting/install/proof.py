"""Whether what was installed works on this machine: the module's own proof, run once, and what it has proven."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from ...config import ROOT
from ...file_look import read_if_there, stat_if_there
from ...set_aside import DAMAGED_JSON
from ..process.uv_tool import clean_environment
from ..settings.module_settings import ModuleSettings
from .install_steps import InstallLog, Outcome, Step
from .processor import processor_fingerprint
from .requirements_file import package_name

_LIBRARIES = {".so", ".dylib", ".dll", ".pyd"}


class ProofPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What proves a module's environment. ``builds`` prints the ways to install ``package``, if there are several."""

    module_id: str
    package: str
    program: Path
    builds: Path | None
    seconds: float
    install_seconds: float
    with_sdk: bool

    @property
    def subject(self) -> str:
        """What is proven, in words."""
        return self.package or self.module_id


class Basis(msgspec.Struct, frozen=True):
    """What a proof holds for: when one of these is another, it says nothing any more."""

    processor: str
    package: str
    place: str
    program: str


class Note(msgspec.Struct, frozen=True):
    """What was proven: which build, with which variables in the environment of its process, and what the proof said."""

    build: str
    variables: dict[str, str]
    said: str
    basis: Basis


def proof_plan(module: ModuleSettings) -> ProofPlan | None:
    """Return what proves a module; ``None`` when it has no proof."""
    proof = module.install_options.proof
    if not proof.file_path:
        return None
    return ProofPlan(
        module_id=module.module_id,
        package=package_name(proof.package),
        program=module.path / proof.file_path,
        builds=module.path / proof.builds_file_path if proof.builds_file_path else None,
        seconds=proof.timeout_secs,
        install_seconds=proof.install_timeout_secs,
        with_sdk=not module.published_sdk,
    )


def why_unproven(plan: ProofPlan, environment: Path, note: Note | None) -> str:
    """Return why an environment has to be proven before it is used; empty when ``note`` says it has been. Blocks."""
    if note is None:
        return "it has not been proven yet"
    now, then = basis_of(plan, environment, environment), note.basis
    if now.processor != then.processor:
        return "the processor is another one"
    if now.package != then.package:
        return f"{plan.subject} has changed"
    if now.place != then.place:
        return "the environment is in another place"
    return "" if now == then else "the proof has changed"


def read_note(plan: ProofPlan, environment: Path) -> Note | None:
    """Return what was proven of an environment. Blocks. Raises ``OSError`` when nobody can tell."""
    try:
        return msgspec.json.decode(read_if_there(_path(plan, environment)) or b"", type=Note)
    except DAMAGED_JSON:
        return None


def write_note(plan: ProofPlan, environment: Path, note: Note) -> None:
    """Note what was proven. Blocks."""
    _path(plan, environment).write_bytes(msgspec.json.format(msgspec.json.encode(note)))


def basis_of(plan: ProofPlan, environment: Path, place: Path) -> Basis:
    """Return what a proof of this environment holds for; ``place`` is where it is going to be. Blocks."""
    program = hashlib.sha256(read_if_there(plan.program) or b"").hexdigest()
    return Basis(processor_fingerprint(), _package_fingerprint(plan.package, environment), str(place), program)


async def run_proof(plan: ProofPlan, python: Path, variables: dict[str, str], log: InstallLog) -> Outcome:
    """Run the proof with an environment's Python and say how it ended."""
    environment = {**clean_environment(os.environ), **variables, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    if plan.with_sdk:
        environment["PYTHONPATH"] = str(ROOT / "sdk")
    return await log.attempt(
        Step(
            title=f"Proving that {plan.subject} works here",
            command=[str(python), str(plan.program)],
            cwd=plan.program.parent,
            environment=environment,
            seconds=plan.seconds,
        )
    )


def what_failed(outcome: Outcome) -> str:
    """Return in words how a proof has failed."""
    if outcome.overdue:
        return "its proof did not end in time"
    if outcome.code < 0:
        return f"its proof was ended by {outcome.how}"
    return f"its proof failed: {outcome.cause or outcome.how}".removesuffix(".")


def last_line(outcome: Outcome) -> str:
    """Return the last line that a step has printed."""
    return next((line.strip() for line in reversed(outcome.output) if line.strip()), "")


def _path(plan: ProofPlan, environment: Path) -> Path:
    return environment / f"millrace-{plan.module_id}.proof.json"


def _package_fingerprint(package: str, environment: Path) -> str:
    """Change when the package is installed anew, or one of its libraries is exchanged."""
    digest = hashlib.sha256()
    for packages in (*sorted(environment.glob("lib/python3*/site-packages")), environment / "Lib" / "site-packages"):
        for record in sorted(packages.glob("*.dist-info/RECORD")):
            if package_name(record.parent.name.partition("-")[0]) != package:
                continue
            content = read_if_there(record) or b""
            digest.update(content)
            names = (line.split(",", 1)[0] for line in content.decode("utf-8", "replace").splitlines())
            for name in sorted(name for name in names if Path(name).suffix in _LIBRARIES):
                digest.update(_size_and_time(packages / name))
    return digest.hexdigest()


def _size_and_time(path: Path) -> bytes:
    status = stat_if_there(path)
    return f"{status.st_size} {status.st_mtime_ns}".encode() if status is not None else b"missing"
