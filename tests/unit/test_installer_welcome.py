"""What is said to somebody whose server has just started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from installer.http_client import HttpClient
from installer.layout import Layout
from installer.module_states import ModuleStates
from installer.settings import ServerSettings
from installer.welcome import Welcome
from tests.support.installing import captured
from tests.support.scripted_http import answering


def test_a_server_whose_key_nobody_but_its_owner_has_is_left_to_them(tmp_path: Path) -> None:
    asked = []

    def answer(path: str, _fields: dict[str, str]) -> dict[str, Any]:
        asked.append(path)
        return {"success": True, "keyNeeded": True} if path == "/v1/whoami" else {"success": False, "code": 401}

    progress, out = captured(tmp_path)
    with answering(answer) as url:
        host, _, port = url.rpartition("//")[2].partition(":")
        settings = ServerSettings(host, int(port), tmp_path, "", tmp_path / "environments", "")
        states = ModuleStates(HttpClient(url), progress, lambda _seconds: True)
        Welcome(Layout(tmp_path, tmp_path), progress, settings, states).say()
    assert asked == ["/v1/module/list/status", "/v1/whoami"]
    assert "It asks for an API key. Log in on that page" in out.getvalue()
    assert "Authorization: Bearer KEY" in out.getvalue()
