"""Making the environments of modules with uv, each build of a package tried until one has proven that it works here."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import msgspec

from ..process.uv_tool import Uv, find_uv, index_is_usable
from .builds import ONLY, Build, find_builds
from .environment import EnvironmentPlan, base_is_current, stamp_path
from .install_steps import InstallError, InstallLog, Outcome, Step
from .proof import Note, ProofPlan, basis_of, last_line, read_note, run_proof, what_failed, write_note
from .requirements_file import Requirements, package_name


class _FailedError(Exception):
    """A build cannot be installed, or does not work here; the text says why, in one line."""


async def make_environment(plan: EnvironmentPlan, log: InstallLog) -> None:
    """Make the environment, whole or not at all: one that was there stays until the new one is complete.

    Raises ``InstallError``.
    """
    if plan.interpreter.note:
        log.say(plan.interpreter.note)
    for option in plan.requirements.skipped:
        log.say(f"{plan.source}: the option {option} means nothing here and is left out.")
    uv = await asyncio.to_thread(find_uv)
    if plan.shared:
        await _fill_shared(plan, uv, log)
    elif plan.proof is None:
        await _make(plan, plan.requirements, uv, log)
        await asyncio.to_thread(_put_in_place, _partial(plan), plan.folder)
    else:
        await _climb(plan, plan.proof, uv, log)


async def prove_environment(plan: EnvironmentPlan, proof: ProofPlan, log: InstallLog, doubt: str) -> None:
    """Prove an environment that is there; when it does not work, make one with another build of the package.

    ``doubt`` is why it is proven. Raises ``InstallError``.
    """
    note = await asyncio.to_thread(read_note, proof, plan.folder)
    build = Build(name=note.build, variables=note.variables) if note is not None else ONLY
    log.say(f"{proof.subject} has to prove itself: {doubt}.")
    try:
        await _prove(plan, proof, plan.folder, build, log)
    except _FailedError as problem:
        log.say(f"{proof.subject}, {build.name}: {problem}. Next: another build.")
    else:
        return
    if plan.shared:
        raise InstallError(f"{proof.subject} does not work on this machine. The log is {log.path}.")
    now = await asyncio.to_thread(basis_of, proof, plan.folder, plan.folder)
    same_machine = note is not None and note.basis.processor == now.processor
    await _climb(plan, proof, await asyncio.to_thread(find_uv), log, after=build.name if same_machine else "")


async def _climb(plan: EnvironmentPlan, proof: ProofPlan, uv: Uv, log: InstallLog, after: str = "") -> None:
    """Take the first build that proves itself; ``after``: only one that comes after this one."""
    try:
        await asyncio.wait_for(_try_builds(plan, proof, uv, log, after), proof.install_seconds)
    except asyncio.TimeoutError:
        raise InstallError(
            f"No build of {proof.subject} has proven itself within {proof.install_seconds:g} s. The log is {log.path}."
        ) from None


async def _try_builds(plan: EnvironmentPlan, proof: ProofPlan, uv: Uv, log: InstallLog, after: str) -> None:
    builds = await find_builds(proof, plan.interpreter.path, log)
    names = [build.name for build in builds]
    builds = builds[names.index(after) + 1 :] if after in names else builds
    problems = []
    for index, build in enumerate(builds):
        try:
            await _make(plan, plan.requirements, uv, log, build)
            await _prove(plan, proof, _partial(plan), build, log)
        except _FailedError as problem:
            problems.append(f"{build.name}: {problem}")
            following = f" Next: {builds[index + 1].name}." if index + 1 < len(builds) else ""
            log.say(f"{proof.subject}, {problems[-1]}.{following}")
            continue
        log.say(f"{proof.subject}, {build.name}: works here.")
        await asyncio.to_thread(_put_in_place, _partial(plan), plan.folder)
        return
    told = "; ".join(problems) or f"there is none after {after}"
    raise InstallError(f"No build of {proof.subject} works here: {told}. The log is {log.path}.")


async def _prove(plan: EnvironmentPlan, proof: ProofPlan, folder: Path, build: Build, log: InstallLog) -> None:
    """Run the proof in ``folder``, and note there that it has succeeded. Raises ``_FailedError``."""
    outcome = await run_proof(proof, _python_in(plan, folder), build.variables, log)
    if outcome.code != 0 or outcome.overdue:
        raise _FailedError(what_failed(outcome))
    basis = await asyncio.to_thread(basis_of, proof, folder, plan.folder)
    note = Note(build.name, build.variables, last_line(outcome), basis)
    await asyncio.to_thread(write_note, proof, folder, note)


async def _fill_shared(plan: EnvironmentPlan, uv: Uv, log: InstallLog) -> None:
    """Add what the module needs to the environment that it shares with others."""
    if not await asyncio.to_thread(base_is_current, plan):
        await _make(plan, Requirements(), uv, log)
        await asyncio.to_thread(_put_in_place, _partial(plan), plan.folder)
    if plan.requirements.lines:
        await _install(plan, plan.python, plan.requirements, [], uv, log)
    if plan.proof is not None:
        try:
            await _prove(plan, plan.proof, plan.folder, ONLY, log)
        except _FailedError as problem:
            raise InstallError(f"{plan.proof.subject}: {problem}. The log is {log.path}.") from None
    await asyncio.to_thread(_write, stamp_path(plan.folder, plan.module_id), plan.fingerprint)


async def _make(
    plan: EnvironmentPlan, requirements: Requirements, uv: Uv, log: InstallLog, build: Build | None = None
) -> None:
    """Make the environment beside its place, complete with its stamp."""
    partial = _partial(plan)
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
    if plan.base_lines or requirements.lines:
        await _install(plan, _python_in(plan, partial), requirements, plan.base_lines, uv, log, build)
    name, fingerprint = ("", plan.base_fingerprint) if plan.shared else (plan.module_id, plan.fingerprint)
    await asyncio.to_thread(_write, stamp_path(partial, name), fingerprint)


async def _install(
    plan: EnvironmentPlan,
    python: Path,
    requirements: Requirements,
    base_lines: list[str],
    uv: Uv,
    log: InstallLog,
    build: Build | None = None,
) -> None:
    """Install with uv. Raises ``InstallError``, or ``_FailedError`` when it is one build of several."""
    listed = plan.folder.with_name(f".{plan.folder.name}.{plan.module_id}.requirements.txt")
    await asyncio.to_thread(_write, listed, "\n".join([*base_lines, *requirements.lines]) + "\n")
    options = build.options(plan.proof.package) if build is not None and plan.proof is not None else []
    from_cache = [*uv.command, "pip", "install", "--python", str(python), "-r", str(listed), *options]
    packages = [name for line in requirements.lines if (name := package_name(line))]
    named = ", ".join(packages[:4]) + (", …" if len(packages) > 4 else "")
    what = named or (f"the packages in {plan.source}" if requirements.lines else "what the module SDK needs")
    step = Step(
        title=f"Installing {what}" + (f" ({build.name})" if build is not None else ""),
        command=from_cache,
        cwd=plan.folder.parent,
        environment=uv.environment,
        source=_source(plan),
    )
    prefers_wheels = requirements.prefer_binary and (build is None or build.origin == "any")
    outcome = await _try_sources(step, requirements, prefers_wheels, log)
    if outcome.code == 0:
        return
    if build is not None:
        raise _FailedError(f"it cannot be installed ({outcome.cause.removesuffix('.') or outcome.how})")
    raise log.failure(step, outcome)


async def _try_sources(step: Step, requirements: Requirements, prefers_wheels: bool, log: InstallLog) -> Outcome:
    """Install from the cache, else from the indexes; there, where wheels are preferred, at first only those."""
    # What uv has fetched or built before needs no network, and no second build of several minutes.
    outcome = await log.attempt(msgspec.structs.replace(step, command=[*step.command, "--offline"]))
    if outcome.code == 0:
        return outcome
    command = [*step.command, *await _index_options(requirements, log)]
    step = msgspec.structs.replace(step, command=command)
    if prefers_wheels:
        wheels_only = msgspec.structs.replace(step, command=[*command, "--only-binary", ":all:"])
        outcome = await log.attempt(wheels_only, announce=False)
        if outcome.code == 0:
            return outcome
        log.say("Not everything is there as a prebuilt package: the rest is built, which can take 5 to 10 minutes.")
    return await log.attempt(step, announce=False)


async def _index_options(requirements: Requirements, log: InstallLog) -> list[str]:
    options = ["--index-url", requirements.index] if requirements.index else []
    for url in requirements.extra_indexes:
        if await asyncio.to_thread(index_is_usable, url):
            options += ["--extra-index-url", url, "--index-strategy", "unsafe-best-match"]
        else:
            log.say(f"The package index {url} cannot be reached: going on without it.")
    return [*options, "--prerelease", "allow"] if requirements.pre_releases else options


def _source(plan: EnvironmentPlan) -> str:
    return f"{plan.source} of {plan.module_id}" if plan.source else "the module SDK's requirements"


def _partial(plan: EnvironmentPlan) -> Path:
    return plan.folder.with_name(f".{plan.folder.name}.partial")


def _python_in(plan: EnvironmentPlan, folder: Path) -> Path:
    return folder / plan.python.relative_to(plan.folder)


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
