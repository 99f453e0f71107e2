"""Reading and changing the settings of modules: what a dashboard does when somebody picks another model."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from aiohttp import web

from ...config import ServerSettings
from ...hosting.catalogue import wire_settings, wire_variables
from ...hosting.host import ModuleHost
from ...hosting.settings.setting_names import AUTO_START, RESTART
from ...hosting.settings.user_settings import SettingError
from ...http.audience import Audience, declare
from ...http.envelope import error, ok
from ...http.request_body import BodyReader

_PREFIXES = ("/v1/settings", "/v1/server/settings")


class ModuleSettingsRoutes:
    """The routes under ``/v1/settings`` and ``/v1/server/settings``."""

    def __init__(self, host: ModuleHost, settings: ServerSettings, bodies: BodyReader) -> None:
        self._host = host
        self._settings = settings
        self._bodies = bodies

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        for prefix in _PREFIXES:
            declare(app, "GET", f"{prefix}/{{module_id}}", self._read, Audience.OWNER)
            declare(app, "POST", f"{prefix}/{{module_id}}", self._change_one, Audience.ADMINISTRATOR)
            declare(app, "POST", prefix, self._change_many, Audience.ADMINISTRATOR)

    async def _read(self, request: web.Request) -> web.Response:
        module_id = request.match_info["module_id"]
        module = self._host.settings_of(module_id)
        if module is None:
            return error(f"No module found with ID {module_id}")
        return ok(settings=wire_settings(module), environmentVariables=wire_variables(module))

    async def _change_one(self, request: web.Request) -> web.Response:
        """Change one setting of a module: ``name`` and ``value``."""
        async with self._bodies.read(request) as received:
            given = {item.key.lower(): item.value[0] for item in reversed(received.payload.values) if item.value}
        if not given.get("name") or "value" not in given:
            return error("Send the fields 'name' and 'value'.", status=400, code=400)
        return await self._change({request.match_info["module_id"]: {given["name"]: given["value"]}})

    async def _change_many(self, request: web.Request) -> web.Response:
        """Change several settings at once: JSON such as ``{"LlamaChat": {"Parallelism": "2"}}``."""
        async with self._bodies.read(request) as received:
            given = {item.key: item.value[0] for item in received.payload.values if item.value}
        if not given:
            return error("No settings provided")
        try:
            changes = {module_id: _decode(text) for module_id, text in given.items()}
        except msgspec.DecodeError:
            text = 'Send JSON such as {"LlamaChat": {"Parallelism": "2"}}: module id, name, value.'
            return error(text, status=400, code=400)
        return await self._change(changes)

    async def _change(self, changes: dict[str, dict[str, str]]) -> web.Response:
        for module_id in changes:
            if self._host.settings_of(module_id) is None:
                return error(f"No module with ID {module_id} found")
        try:
            notes = await self._host.change_settings(changes)
        except SettingError as refused:
            return error(str(refused), code=400)
        happens = [self._what_happens(module_id, values) for module_id, values in changes.items()]
        return ok(message=" ".join([*happens, *notes]))

    def _what_happens(self, module_id: str, values: Mapping[str, str]) -> str:
        """Say what a change leads to. A module that does not run, or is to stop, takes nothing up now."""
        names = {name.lower() for name in values}
        saved = "Saved; " if names - {RESTART} else ""
        if not self._settings.launch_modules:
            return f"{saved}{module_id} is not started by this server: start it anew by hand."
        module, obstacle = self._host.settings_of(module_id), self._host.obstacle(module_id)
        if module is not None and not module.auto_start and names & AUTO_START:
            return f"{saved}{module_id} is being stopped."
        if obstacle:
            later = ", and takes it up when it is started" if saved else ""
            return f"{saved}{module_id} is stopped{later}: {obstacle}."
        if names & AUTO_START:
            return f"{saved}{module_id} is being started."
        return f"{saved}{module_id} takes it up by starting anew." if saved else f"{module_id} is started anew."


def _decode(text: str) -> dict[str, str]:
    """Read one module's settings; numbers and booleans become the texts that the file would have."""
    values = msgspec.json.decode(text, type=dict[str, str | int | float | bool])
    return {name: str(value) for name, value in values.items()}
