"""Damaged data folders: whatever is wrong with a row or a file, the server starts and still has what is whole."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import uuid
import zlib
from pathlib import Path
from typing import Any

import diskcache
import psutil

from tests.support.chaos_server import TALKER
from tests.support.server_process import ROOT, ServerProcess, wait_until

from .chance import Chance
from .findings import fault_of, troubles_in
from .wire import Answer

COMMANDS = 40
"""Commands that are there to be damaged."""
_KEPT = {"MILLRACE_REPLY_RETENTION": "864000", "MILLRACE_RESULT_RETENTION": "864000", "MILLRACE_DRAIN": "0"}


class Damaged:
    """Each input is a seed: it decides what is done to a copy of a data folder that a killed server left."""

    name = "records"
    senders = 1

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._witness = ""
        self._text = ""
        self._keys = b""
        self.damages = 0
        """How many rows and files were damaged so far."""

    def make(self, chance: Chance) -> bytes:
        return b"%d" % chance.getrandbits(60)

    async def send(self, sender: int, data: bytes) -> str:
        return await asyncio.to_thread(self._try, Chance(data.decode()))

    async def close(self) -> None:
        """There is nothing to let go of."""

    def prepare(self) -> None:
        """Make the folder: one whole reply, one that was running, and many that are to be damaged. Blocks."""
        modules = self._folder / "with modules"
        shutil.copytree(TALKER, modules / "Talker")
        server = ServerProcess(self._folder / "whole", modules, 0, **_KEPT)
        with server:
            server.wait_ready("Talker")
            self._witness = server.post("/v1/talker/count", to=5)["commandId"]
            self._text = server.wait_ended("Talker", self._witness)["reply"]
            victim = server.post("/v1/talker/count", to=1000, pause=0.01)["commandId"]
            wait_until("it runs", lambda: server.poll("Talker", victim).get("reply"))
            server.post("/v1/settings/Talker", name="AutoStart", value="true")
            wait_until("it runs again", lambda: server.module("Talker").get("state") in ("Ready", "Busy"))
            victim = server.post("/v1/talker/count", to=1000, pause=0.01)["commandId"]
            wait_until("it runs", lambda: server.poll("Talker", victim).get("reply"))
            _kill_all(server)
        with diskcache.Cache(str(self._records("whole")), disk=diskcache.JSONDisk) as cache:
            for _ in range(COMMANDS):
                _clone(cache, victim)
        (self._folder / "no modules").mkdir()
        self._keys = _key_file(self._folder / "keys")

    def _records(self, name: str) -> Path:
        return self._folder / name / "data" / "records"

    def _try(self, chance: Chance) -> str:
        tried = self._folder / "tried"
        shutil.rmtree(tried, ignore_errors=True)
        shutil.copytree(self._folder / "whole", tried)
        rows = _row_faults(chance, self._records("tried"), self._witness)
        files, whole = _file_faults(chance, tried / "data")
        self.damages += rows + files
        keyed = chance.once_in(5)
        if keyed:
            (tried / "data" / "keys.json").write_bytes(chance.damaged(self._keys))
            self.damages += 1
        server = ServerProcess(tried, self._folder / "no modules", 0, **_KEPT)
        try:
            with server:
                fault = "" if keyed else self._look(server, whole)
                server.kill()
        except AssertionError as error:
            return f"it does not start: {' '.join(troubles_in(server.output)) or str(error)[-300:]}"
        return fault or " ".join(troubles_in(server.output))

    def _look(self, server: ServerProcess, whole: bool) -> str:
        """Why a server on such a folder is not as it should be."""
        for command_id in self._ids(server):
            for path in (f"/v1/commands/{command_id}", f"/v1/commands/{command_id}/events?after=0"):
                status, body, _ = server.call(path)
                if fault := fault_of(f"GET {path}".replace(command_id, "{id}").encode(), Answer(status, b"", body)):
                    return fault
        if not whole:
            return ""
        status, body, _ = server.call(f"/v1/commands/{self._witness}")
        if status != 200 or json.loads(body)["text"] != self._text:
            return f"what was whole is not there any more ({status})"
        return ""

    def _ids(self, server: ServerProcess) -> list[str]:
        status, body, _ = server.call("/v1/commands?brief=1&limit=100")
        return [one["id"] for one in json.loads(body)["commands"]] if status == 200 else []


def _key_file(data: Path) -> bytes:
    """What a file with two keys holds."""
    for name in ("alice", "root"):
        command = [sys.executable, "-m", "server", "--data-dir", str(data), "keys", "add", name, "--administrator"]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return (data / "keys.json").read_bytes()


def _kill_all(server: ServerProcess) -> None:
    assert server.process is not None
    children = psutil.Process(server.process.pid).children(recursive=True)
    server.kill()
    for child in children:
        child.kill()
    psutil.wait_procs(children, 10)


def _clone(cache: Any, command_id: str) -> None:
    """Give one more command the rows of this one."""
    new = str(uuid.uuid4())
    for key in [str(key) for key in cache.iterkeys() if command_id in str(key)]:
        value = cache[key]
        if key.startswith("command:"):
            value = {**value, "command_id": new}
        cache.set(key.replace(command_id, new), value)


def _row_faults(chance: Chance, records: Path, witness: str) -> int:
    """Damage some rows, in what they say or in their bytes; return how many."""
    with diskcache.Cache(str(records), disk=diskcache.JSONDisk) as cache:
        keys = [str(key) for key in cache.iterkeys() if witness not in str(key)]
        chosen = chance.sample(keys, min(len(keys), chance.choice((0, 5, 30, 60))))
        for key in chosen:
            if chance.once_in(8):
                cache.delete(key)
            elif chance.once_in(8):
                cache.set(chance.word().encode("utf-8", "replace").decode() + key, cache[key])
            else:
                cache.set(key, _changed(chance, cache[key]))
    spoiled = [key for key in chosen if chance.once_in(6)]
    with sqlite3.connect(records / "cache.db") as database:
        for key in spoiled:
            stored = zlib.compress(json.dumps(key).encode(), 1)
            odd = chance.choice((chance.bytes_of(100), None, 5, "text", 1.5))
            database.execute("UPDATE Cache SET value = ? WHERE key = ?", (odd, stored))
    database.close()
    return len(chosen)


def _changed(chance: Chance, value: Any) -> Any:
    """The same value with another one somewhere inside."""
    if isinstance(value, dict) and value and not chance.once_in(6):
        name = chance.choice(list(value))
        if chance.once_in(8):
            return {key: kept for key, kept in value.items() if key != name}
        return {**value, name: _changed(chance, value[name])}
    if isinstance(value, list) and value and not chance.once_in(6):
        at = chance.randrange(len(value))
        return [*value[:at], _changed(chance, value[at]), *value[at + chance.randrange(2) :]]
    return chance.value(2)


def _file_faults(chance: Chance, data: Path) -> tuple[int, bool]:
    """Damage up to three files; return how many, and whether the witness's database was not among them."""
    files = [path for path in sorted(data.rglob("*")) if path.is_file() and "logs" not in path.parts]
    chosen = chance.sample(files, chance.choice((0, 0, 1, 1, 3)))
    for path in chosen:
        content = path.read_bytes()
        damaged = chance.damaged(content) if not chance.once_in(4) else chance.bytes_of(9000)
        if path.parent.name == "launched" and _names_another(content, damaged):
            continue  # whose process that would be is not ours to find out
        path.write_bytes(damaged)
        os.utime(path)
    return len(chosen), not any(path.parent.name == "records" or "records" in path.parts for path in chosen)


def _names_another(before: bytes, after: bytes) -> bool:
    """Whether a note on processes names one that it did not name before."""
    return not set(re.findall(rb"-?\d[\d.eE+-]*", after)) <= set(re.findall(rb"-?\d[\d.eE+-]*", before))
