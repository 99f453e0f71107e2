"""The lock, the bill of materials and pyproject.toml say the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

from installer import environment, lock, sbom
from installer.layout import Layout
from installer.progress import StepFailedError
from tests.support.installing import ROOT, captured, layout_in, program

LOCK = ROOT / lock.NAME
ENTRIES = lock.read(LOCK.read_text("utf-8"))
MACHINES = [
    {"sys_platform": system, "python_full_version": f"{python}.4", "python_version": python}
    for system in ("linux", "darwin", "win32")
    for python in ("3.10", "3.11", "3.12", "3.13", "3.14")
]


def wanted() -> list[Requirement]:
    """What pyproject.toml asks for; Python 3.10 has nothing that reads TOML."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    found = re.search(r"^dependencies = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert found
    return [Requirement(json.loads(line.strip().rstrip(","))) for line in found[1].splitlines()]


def on(machine: dict[str, str]) -> dict[str, lock.Locked]:
    """What is installed on such a machine."""
    here = [one for one in ENTRIES if not one.marker or Marker(one.marker).evaluate(dict(machine))]
    assert len({one.name for one in here}) == len(here), "two versions of one package"
    return {one.name: one for one in here}


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: "-".join(machine.values()))
def test_what_pyproject_asks_for_is_locked_on_every_machine(machine: dict[str, str]) -> None:
    found = on(machine)
    for requirement in wanted():
        if requirement.marker is None or requirement.marker.evaluate(dict(machine)):
            assert found[requirement.name].version in requirement.specifier, f"run {lock.RENEW}"


def test_every_package_is_there_for_a_reason_and_has_hashes() -> None:
    asked = {requirement.name for requirement in wanted()}
    direct = {one.name for one in ENTRIES if "millrace" in one.wanted_by}
    assert direct == asked, f"run {lock.RENEW}"
    for entry in ENTRIES:
        assert entry.hashes, entry.name
        assert set(entry.wanted_by) <= {"millrace", *(one.name for one in ENTRIES)}, entry.name
        assert entry.wanted_by, entry.name


def test_the_lock_names_no_place() -> None:
    """Whoever installs may have another index."""
    text = LOCK.read_text("utf-8")
    assert "://" not in text
    assert "file:" not in text
    assert not re.search(r"^-", text, re.MULTILINE)


def test_the_bill_of_materials_is_of_this_lock() -> None:
    assert (ROOT / sbom.NAME).read_text("utf-8") == sbom.text_of(ENTRIES), f"run {lock.RENEW}"


def test_the_bill_of_materials_names_everything_and_what_needs_it() -> None:
    bill = json.loads(sbom.text_of(ENTRIES))
    assert {(one["name"], one["version"]) for one in bill["components"]} == {(e.name, e.version) for e in ENTRIES}
    references = {one["bom-ref"] for one in bill["components"]}
    assert len(references) == len(ENTRIES)
    needs = {one["ref"]: one["dependsOn"] for one in bill["dependencies"]}
    assert needs.keys() == {"millrace", *references}
    assert {one for needed in needs.values() for one in needed} == references


def test_this_environment_is_what_the_lock_says_if_it_says_so_itself() -> None:
    stamp = Layout.of(ROOT).environment / environment.STAMP
    if not stamp.exists() or not json.loads(stamp.read_text()).get("locked"):
        pytest.skip("not made by the installer from the lock")
    from importlib.metadata import version

    for one in ENTRIES:
        if not one.marker or Marker(one.marker).evaluate():
            assert version(one.name) == one.version


def test_one_package_can_be_taken_out() -> None:
    text = lock.lines_of(LOCK.read_text("utf-8"), "uv")
    (uv,) = lock.read(text)
    assert (uv.name, uv.wanted_by) == ("uv", ["millrace"])
    assert uv in ENTRIES
    assert lock.lines_of(text, "u") == ""


def standin(layout: Layout, folder: Path, locked: str) -> Path:
    """An environment that works and a uv that notes what it is asked; what it does with the lock is given."""
    program(layout.python, "exit 0")
    (layout.root / "pyproject.toml").write_text('[project]\nname = "x"\n')
    (layout.root / lock.NAME).write_text("one==1.0 \\\n    --hash=sha256:" + "0" * 64 + "\n")
    asked = folder / "asked"
    program(layout.tool("uv"), f'echo "$@" >> {asked}\ncase "$*" in *requirements.lock*) {locked};; esac')
    return asked


def stamped(layout: Layout) -> bool:
    return bool(json.loads((layout.environment / environment.STAMP).read_text())["locked"])


def test_the_locked_versions_are_installed_and_nothing_else(tmp_path: Path) -> None:
    layout = layout_in(tmp_path)
    asked = standin(layout, tmp_path, "exit 0")
    progress, _ = captured(tmp_path)
    assert environment.ensure(layout, progress, Path("no-such-python"))
    first, second = asked.read_text().splitlines()
    assert "--require-hashes" in first
    assert "--no-deps --editable ." in second
    assert stamped(layout)
    assert not environment.ensure(layout, progress, Path("no-such-python"))


def test_where_they_cannot_be_had_others_that_fit_are_taken_and_it_is_said(tmp_path: Path) -> None:
    layout = layout_in(tmp_path)
    asked = standin(layout, tmp_path, "echo 'there are no wheels with a matching platform tag'; exit 1")
    progress, out = captured(tmp_path)
    assert environment.ensure(layout, progress, Path("no-such-python"))
    assert asked.read_text().splitlines()[1].endswith(f"--python {layout.python} --editable .")
    assert "The locked versions cannot be installed here" in out.getvalue()
    assert not stamped(layout)


def test_a_file_that_is_not_the_locked_one_ends_it(tmp_path: Path) -> None:
    layout = layout_in(tmp_path)
    asked = standin(layout, tmp_path, "echo 'Hash mismatch for `one==1.0`'; exit 1")
    progress, _ = captured(tmp_path)
    with pytest.raises(StepFailedError, match="not the one that was locked"):
        environment.ensure(layout, progress, Path("no-such-python"))
    assert len(asked.read_text().splitlines()) == 1
    assert not environment.is_complete(layout)


def test_a_changed_lock_makes_the_environment_incomplete(tmp_path: Path) -> None:
    layout = layout_in(tmp_path)
    standin(layout, tmp_path, "exit 0")
    progress, _ = captured(tmp_path)
    environment.ensure(layout, progress, Path("no-such-python"))
    assert environment.is_complete(layout)
    (tmp_path / lock.NAME).write_text("one==1.1\n")
    assert not environment.is_complete(layout)
