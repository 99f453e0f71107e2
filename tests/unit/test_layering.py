"""Who may import whom in ``server/``: no circle of files, and no arrow upward between the rooms."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = {
    "api": {"http", "commands", "hosting", "hosting/settings", "server"},
    "cli": {"links", "http", "brokers", "commands", "hosting", "hosting/install", "hosting/settings", "server"},
    "links": {"http", "commands", "server"},
    "http": {"commands", "server"},
    "commands": {"server"},
    "brokers": {"commands", "server"},
    "hosting": {"commands", "hosting/settings", "hosting/process", "hosting/install", "server"},
    "hosting/install": {"hosting/settings", "hosting/process", "commands", "server"},
    "hosting/process": {"hosting/settings", "commands", "server"},
    "hosting/settings": {"commands", "server"},
}
"""What each room may import beside itself; ``server`` are the plain files in the top folder."""
COMPOSITION = {"server/app.py", "server/__main__.py"}
"""They put everything together and may import everything."""


def room_of(file: str) -> str:
    parts = file.split("/")[1:-1]
    if not parts:
        return "server"
    return "/".join(parts[:2]) if parts[0] == "hosting" else parts[0]


def imports_of(path: Path) -> Iterator[str]:
    """The files of the server that this one imports, from the root of the repository."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = Path(*package[: len(package) - node.level + 1], *(node.module or "").split("."))
            for name in node.names:
                for file in (base / f"{name.name}.py", base.with_suffix(".py"), base / "__init__.py"):
                    if (ROOT / file).is_file():
                        yield file.as_posix()
                        break


GRAPH = {path.relative_to(ROOT).as_posix(): set(imports_of(path)) for path in sorted((ROOT / "server").rglob("*.py"))}


def test_no_files_import_each_other_in_a_circle() -> None:
    TopologicalSorter(GRAPH).prepare()  # raises CycleError and names the files


def test_no_room_imports_what_is_above_it() -> None:
    upward = [
        f"{file} -> {target}"
        for file, targets in GRAPH.items()
        if file not in COMPOSITION and room_of(file) != "server"
        for target in targets
        if room_of(target) not in {room_of(file), *ALLOWED[room_of(file)]}
    ]
    assert upward == []


def test_every_room_is_known() -> None:
    assert {room_of(file) for file in GRAPH} == {*ALLOWED, "server"}
