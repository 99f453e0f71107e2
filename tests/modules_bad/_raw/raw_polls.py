"""The module's end of the HTTP long poll, without any SDK. For the modules beside this folder."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

BASE = f"http://127.0.0.1:{os.environ.get('CPAI_PORT', '32168')}/v1/queue"

Answer = Callable[[dict[str, Any]], None]
"""Called with every request: ``reqid``, ``reqtype``, ``payload``."""


def run(answer: Answer) -> None:
    """Poll for ever. Probes of the server are answered rightly."""
    while True:
        try:
            request = poll()
        except OSError:
            time.sleep(0.5)
            continue
        if request is None:
            continue
        if request["reqtype"].lower() == "quit":
            return
        if request["reqtype"] == "get_command_status":
            post(request["reqid"], success=True, command="get_command_status", commandStatus="unknown")
        else:
            answer(request)


def poll() -> dict[str, Any] | None:
    """Ask for a request."""
    url = f"{BASE}/{os.environ['CPAI_MODULE_QUEUENAME']}?moduleId={os.environ['CPAI_MODULE_ID']}"
    with urllib.request.urlopen(url, timeout=15) as answered:
        body = answered.read()
        return json.loads(body) if body else None


def post(request_id: str, **output: Any) -> int:
    """Answer a request; return the HTTP status."""
    body = json.dumps({"success": True, **output}).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{BASE}/{request_id}", body), timeout=15) as answered:
            return int(answered.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def value(request: dict[str, Any], name: str) -> str:
    """Return a value of the request; empty when it is not there."""
    return next((str(item["value"][0]) for item in request["payload"]["values"] if item["key"] == name), "")
