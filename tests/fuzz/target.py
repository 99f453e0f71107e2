"""The server that is fuzzed, in folders of its own: with a healthy module, and with two that only seem to be there."""

from __future__ import annotations

import json
import re
import shutil
import urllib.error
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.support.chaos_server import TALKER
from tests.support.server_process import ServerProcess, wait_until

PUPPET = Path(__file__).parent / "modules" / "Puppet"
KEYS = {"alices-own-key-0123456789": "alice", "the-key-of-root-0123456789": "root"}
_DIE = re.compile(r",\s*\{[^}]*talker/die[^}]*\}")


@dataclass(frozen=True)
class Sizes:
    """What the server takes: ``memory`` bytes, ``descriptors``, ``disk`` bytes of its data folder."""

    memory: int
    descriptors: int
    disk: int


class Target:
    """One server. With ``keys`` it asks for API keys. Every method blocks."""

    def __init__(self, folder: Path, keys: bool = False) -> None:
        self.keys = KEYS if keys else {}
        self.folder = folder
        modules = folder / "modules"
        shutil.copytree(PUPPET, modules / "Puppet")
        _seem_to_poll(shutil.copytree(PUPPET, modules / "Poller") / "modulesettings.json")
        shutil.copytree(TALKER, modules / "Talker")
        settings = modules / "Talker" / "modulesettings.json"
        settings.write_text(_DIE.sub("", settings.read_text()))  # what dies when it is asked to is no finding
        self.server = ServerProcess(folder, modules, 0, **self._environment())
        self._seen = 0

    def start(self) -> None:
        """Start it, and wait until its module answers."""
        self.server.start()
        wait_until("the module answers", self._echoes)

    def call(self, path: str, **values: str) -> Any:
        """The JSON of an answer: of a POST where there are values, else of a GET."""
        headers = {"X-API-Key": list(self.keys)[-1]} if self.keys else {}
        data = json.dumps(values).encode() if values else None
        if data is not None:
            headers["Content-Type"] = "application/json"
        return json.loads(self.server.call(path, data, headers)[1])

    def new_lines(self) -> list[str]:
        """What the server has printed since this was asked last."""
        lines = self.server.output[self._seen :]
        self._seen += len(lines)
        return lines

    def healthy(self) -> str:
        """Why the server is not healthy; empty when it is."""
        assert self.server.process is not None
        code = self.server.process.poll()
        if code is not None:
            return f"the server ended with {code}"
        try:
            status, _, _ = self.server.call("/healthz")
        except (OSError, urllib.error.URLError) as error:
            return f"the server does not answer: {error}"
        return "" if status == 200 else f"/healthz says {status}"

    def module_answers(self) -> bool:
        """Whether the healthy module does its work."""
        wait_until("the module answers", self._echoes)
        return True

    def forgets_uploads(self) -> bool:
        """Whether nothing is left of what was uploaded, now that its commands have ended."""
        uploads = self.folder / "data" / "uploads"
        wait_until(
            "nothing is left of what was uploaded", lambda: not [one for one in uploads.rglob("*") if one.is_file()]
        )
        return True

    def sizes(self) -> Sizes:
        """What the server takes now."""
        assert self.server.process is not None
        process = psutil.Process(self.server.process.pid)
        files = [path for path in (self.folder / "data").rglob("*") if path.is_file() and "logs" not in path.parts]
        return Sizes(process.memory_info().rss, process.num_fds(), sum(_size(path) for path in files))

    def seeming(self, module_id: str) -> dict[str, str]:
        """The environment that the process of a module has which only seems to be there."""
        path = self.server.modules / module_id / "environment.json"
        wait_until("the process tells", path.exists)
        return dict(json.loads(path.read_text()))

    def start_anew(self, module_id: str) -> None:
        """Start the process of a module anew, and wait until it has told its environment."""
        told = self.server.modules / module_id / "environment.json"
        told.unlink(missing_ok=True)
        self.call(f"/v1/settings/{module_id}", name="Restart", value="true")
        wait_until("the new process tells", told.exists)

    def _echoes(self) -> bool:
        return bool(self.call("/v1/talker/echo", a="b").get("success"))

    def _environment(self) -> dict[str, str]:
        environment = {
            "MILLRACE_RESPONSE_TIMEOUT": "2",
            "MILLRACE_QUEUE_TIMEOUT": "5",
            "MILLRACE_REPLY_RETENTION": "2",
            "MILLRACE_RESULT_RETENTION": "4",
            "MILLRACE_MAX_BODY_BYTES": str(2 * 1024 * 1024),
            "MILLRACE_MAX_MESSAGE_BYTES": str(256 * 1024),
            "MILLRACE_DRAIN": "0",
            "MILLRACE_MODULE_DRAIN": "1",
        }
        if self.keys:
            environment["MILLRACE_API_KEYS"] = ",".join(f"{owner}={key}" for key, owner in self.keys.items())
            environment["MILLRACE_ADMINISTRATORS"] = "root"
        return environment


def _seem_to_poll(settings: Path) -> None:
    """Make the copy of a module another one, on the published SDK."""
    text = settings.read_text().replace("puppet/", "poller/").replace("puppet", "poller").replace("Puppet", "Poller")
    text = text.replace('"FilePath": "poller.py"', '"FilePath": "puppet.py", "Sdk": "Published"')
    settings.write_text(text)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # it was just deleted
        return 0
