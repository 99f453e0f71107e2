"""The lock: exactly which packages, by version and hash, make up the server's environment.

``python -m installer.lock`` resolves pyproject.toml anew and writes the lock and the bill of materials that belongs to
it. The lock names no index, so whichever one a machine is set up with serves the files; the hashes say whether it
served the right ones.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from . import sbom
from .layout import Layout

NAME = "requirements.lock"
ROOT = Path(__file__).resolve().parent.parent
RENEW = "python -m installer.lock"
_ENTRY = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)(?: ; (?P<marker>[^\\\n]+?))?(?: \\)?$")
_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")
_VIA = re.compile(r"^    # (?:via |  )(\S+)")


@dataclass
class Locked:
    """One version of one package. ``marker``: where it is the one; ``wanted_by``: whose dependency it is."""

    name: str
    version: str
    marker: str
    hashes: list[str] = field(default_factory=list)
    wanted_by: list[str] = field(default_factory=list)


def path_in(layout: Layout) -> Path:
    """Where the lock is."""
    return layout.root / NAME


def read(text: str) -> list[Locked]:
    """The entries of a lock, in its order."""
    entries: list[Locked] = []
    for line in text.splitlines():
        if found := _ENTRY.match(line):
            entries.append(Locked(found["name"], found["version"], found["marker"] or ""))
        elif entries:
            entries[-1].hashes += _HASH.findall(line)
            entries[-1].wanted_by += _VIA.findall(line)
    return entries


def lines_of(text: str, package: str) -> str:
    """What a lock says of one package, as a lock of its own; empty when it says nothing."""
    found = re.search(rf"^{re.escape(package)}==(?:.*\n)(?:    .*\n)*", text, re.MULTILINE)
    return found[0] if found else ""


def was_tampered(printed: str) -> bool:
    """Whether uv or pip refused a file because it is not the one that was locked."""
    return bool(re.search(r"Hash mismatch|DO NOT MATCH THE HASHES", printed))


def renew(layout: Layout) -> int:
    """Write the lock and the bill of materials anew; returns uv's exit code."""
    command: list[str | Path] = [layout.tool("uv"), "pip", "compile", "--quiet", "--universal", "--upgrade"]
    command += ["--python-version", "3.10", "--generate-hashes", "--no-emit-index-url", "--no-emit-find-links"]
    command += ["--custom-compile-command", RENEW, "pyproject.toml", "--output-file", NAME]
    code = subprocess.run(command, cwd=layout.root, check=False).returncode
    if code == 0:
        entries = read(path_in(layout).read_text("utf-8"))
        (layout.root / sbom.NAME).write_text(sbom.text_of(entries), "utf-8")
    return code


if __name__ == "__main__":
    sys.exit(renew(Layout.of(ROOT)))
