"""The documents as a reader uses them: their examples, and their commands, typed into a shell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import NamedTuple

from tests.support.server_process import ROOT, ServerProcess

ADDRESS = "http://127.0.0.1:32168"
_MEMBER = re.compile(r'"(\w+)":("[^"]*"|true|false|\d+)?')
_PROGRAMS = ("bash ", "curl ", "python", ".venv/", "/tmp/", "docker ", "git ", "pip ")


class Typed(NamedTuple):
    """A command of a document, and what the document shows as its answer."""

    document: str
    command: str
    shown: str = ""


def documents() -> list[str]:
    """Every document, by its path in the repository."""
    folders = [
        "",
        "docs",
        "docs/adr",
        "sdk",
        "training",
        "benchmarks",
        "tests",
        "tests/modules_bad",
        "modules/LlamaChat",
    ]
    return [
        str(path.relative_to(ROOT).as_posix()) for folder in folders for path in sorted((ROOT / folder).glob("*.md"))
    ]


def text_of(document: str) -> str:
    """What is in a document."""
    return (ROOT / document).read_text("utf-8")


def blocks(document: str, language: str) -> list[str]:
    """The fenced blocks of one language; ``""`` are those that name none."""
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(document), re.MULTILINE | re.DOTALL)


def languages(document: str) -> set[str]:
    """The languages of its fenced blocks."""
    found = re.findall(r"^```(\w*)\n.*?^```", text_of(document), re.MULTILINE | re.DOTALL)
    return set(found)


def commands(document: str) -> list[Typed]:
    """Every command in the fenced blocks of a document, in order."""
    typed = []
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text_of(document), re.MULTILINE | re.DOTALL):
        if language == "console":
            shown = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
            typed += [Typed(document, command, answer) for command, answer in shown]
        elif language in ("", "bash", "sh"):
            lines = block.replace("\\\n", " ").splitlines()
            typed += [Typed(document, line) for line in lines if line.startswith(_PROGRAMS)]
    return typed


def type_in(command: str, server: ServerProcess) -> str:
    """Run a command as a shell does, in the repository's folder, against this server; return what it prints."""
    command = command.replace(ADDRESS, server.url).replace("curl ", "curl -sS --max-time 60 ", 1)
    command = re.sub(r"^(\.venv/bin/)?python3?(?= )", lambda _: sys.executable, command)
    if "new_instance.py" in command:
        command += f" --modules-dir {server.modules}"
    folders = {"MILLRACE_MODULES_DIR": str(server.modules), "MILLRACE_DATA_DIR": str(server.folder / "data")}
    shared = {"MILLRACE_ENVIRONMENTS_DIR": str(ROOT / "data" / "environments")}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env={**os.environ, **folders, **shared},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def missing(shown: str, answer: str) -> list[str]:
    """What the document shows and the answer lacks; where the document leaves something out, only names count."""
    lacking = [line for line in shown.splitlines() if line.startswith("event: ") and line not in answer]
    for name, value in _MEMBER.findall(shown):
        wanted = f'"{name}":' + ("" if "…" in value else value)
        if wanted not in answer.replace('": ', '":'):
            lacking.append(wanted)
    if not shown.startswith(("{", "event")):
        lacking += [shown] if shown.split("…")[0] not in answer else []
    return lacking
