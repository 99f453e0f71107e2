"""Chats for the browser tests: what a page asks the server about them, and a module whose replies are known."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Request, Response

from tests.support.browser_explorer import MODULE, Explorer
from tests.support.server_process import ROOT

EVENTS = "**/v1/commands/*/events*"
"""The addresses of streams, for Page.route."""
PAGE_STORE = f"millrace-page/{MODULE}"
"""Where the explorer keeps what LlamaChat's page stores."""
_EVENTS_OF = re.compile(r"/v1/commands/([^/]+)/events")

_COUNTER = """
import json
import re
import time

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class Counter(ModuleRunner):
    def process(self, data: RequestData) -> JSON:
        said = json.loads(data.get_value("history") or "[]")
        if (data.get_value("prompt") or "").startswith("full") and len(said) > 1:
            return {"success": False, "error": "That is too much.", "error_code": "context_length_exceeded"}
        return self.count

    def count(self, data: RequestData) -> JSON:
        names = ("history", "max_tokens", "temperature", "system_prompt")
        answer = {"success": True, "stop_reason": "completed", "sent": {name: data.get_value(name) for name in names}}
        thought, _, prompt = (data.get_value("prompt") or "1").rpartition("|")
        how, number = re.fullmatch(r"(.*?) ?(\\d*)", prompt, re.DOTALL).groups()
        for length in range(1, len(thought) + 1):
            answer["reasoning"] = thought[:length]
            data.reply.update(reasoning=thought[:length])
            if length == 1 and thought.endswith("?"):
                while not data.reply.cancelled:
                    time.sleep(0.03)
        for number in range(1, int(number or 1) + 1):
            if data.reply.cancelled:
                return {**answer, "reply": data.reply.text, "stop_reason": "cancelled"}
            data.reply.write(f"{number}\\n" if how == "tall" else f"{number} ")
            time.sleep(0.03)
        if how == "fail":
            return {**answer, "success": False, "error": "It broke."}
        if how == "cut":
            answer.update(stop_reason="length", usage={"completion_tokens": number})
        return {**answer, "reply": data.reply.text}


if __name__ == "__main__":
    Counter().start_loop()
"""


def is_chat(response: Response) -> bool:
    return response.url.split("?")[0].endswith("/v1/text/chat")


def asked(explorer: Explorer, prompt: str) -> str:
    """Sends `prompt`; returns the id of its command."""
    with explorer.page.expect_response(is_chat) as answer:
        explorer.send(prompt)
    command_id: str = answer.value.json()["commandId"]
    return command_id


def record_of(explorer: Explorer, command_id: str) -> dict[str, Any]:
    """What the server itself tells about a command."""
    answer = explorer.page.request.post(
        f"{explorer.url}/v1/{MODULE}/get_command_status", form={"commandId": command_id, "moduleId": MODULE}
    )
    body: dict[str, Any] = answer.json()
    return body


@dataclass
class Traffic:
    """The command ids that a page follows by a stream, and those it polls, once for each request."""

    streams: list[str] = field(default_factory=list)
    polls: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, page: Page) -> Traffic:
        """What `page` asks from now on."""
        traffic = cls()
        page.on("request", traffic._note)
        return traffic

    def _note(self, request: Request) -> None:
        if found := _EVENTS_OF.search(request.url):
            self.streams.append(found[1])
        elif request.url.endswith("/get_command_status"):
            found = re.search(r'name="commandId"\s+(\S+)', request.post_data or "")
            self.polls.append(found[1] if found else "")


def kept_for_page(**entries: str) -> str:
    """What stands at ``PAGE_STORE`` when LlamaChat's page has stored these, named without its prefix."""
    return json.dumps({f"{MODULE}_{name}": value for name, value in entries.items()})


def counted(to: int) -> str:
    """The whole reply of the counting module to the prompt `to`, as it is shown."""
    return " ".join(str(number) for number in range(1, to + 1))


def add_counting_chat(modules: Path) -> None:
    """Adds LlamaChat's own page, over a module that counts up to the number in the prompt, one chat at a time.

    What stands before a "|" in the prompt it thinks first; when that ends with "?", it thinks until it is stopped.
    A word before the number: "tall" gives each number a line, "fail" ends with an error, "cut" as if that many tokens
    were the most, and "full" refuses a history of more than one turn. Its result tells in ``sent`` what it was sent.
    """
    folder = modules / MODULE
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "modules" / MODULE / "explore.html", folder)
    (folder / "adapter.py").write_text(_COUNTER, encoding="utf-8")
    (folder / "modulesettings.json").write_text(json.dumps({"Modules": {MODULE: _SETTINGS}}), encoding="utf-8")


_SETTINGS = {
    "Name": MODULE,
    "Version": "1.0.0",
    "PublishingInfo": {"Category": "Generative AI", "Description": "Counts."},
    "LaunchSettings": {
        "AutoStart": True,
        "FilePath": "adapter.py",
        "Runtime": "python",
        "RuntimeLocation": "System",
        "PostStartPauseSecs": 0,
        "Parallelism": 1,
    },
    "GpuOptions": {"InstallGPU": False, "EnableGPU": False},
    "InstallOptions": {
        "Platforms": ["all"],
        "ModuleReleases": [{"ModuleVersion": "1.0.0", "ServerVersionRange": ["2.0.0", ""]}],
    },
    "RouteMaps": [
        {"Name": "Chat", "Route": "text/chat", "Method": "POST", "Command": "prompt", "LongRunning": True},
    ],
}
