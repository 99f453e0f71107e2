"""Small modules that a browser test drops into a server: with a page, without one, and one that cannot start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_ADAPTER = """
import time

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class Adapter(ModuleRunner):
    def process(self, data: RequestData) -> JSON:
        if data.command == "count":
            return self.count
        if data.files:
            sizes = [len(data.get_file_bytes(index) or b"") for index in range(len(data.files))]
            return {"success": True, "sizes": sizes}
        return {"success": True, "reply": data.get_value("text", "")}

    def count(self, data: RequestData) -> JSON:
        step = 0
        while not data.reply.cancelled:
            step += 1
            data.reply.write(f"{step} ")
            time.sleep(0.05)
        return {"success": True, "reply": data.reply.text}


if __name__ == "__main__":
    Adapter().start_loop()
"""

_BROKEN = 'raise RuntimeError("this module cannot <b>start</b>")\n'

# Both names would clash if two such pages shared one document.
_PAGE = """
<!-- START EXPLORER MARKUP -->
<form method="post" action=""><input id="text" aria-label="Text" value="from _MID_">
<input type="submit" id="send" class="btn btn-primary" value="Send" onclick="sendText(text)"></form>
<script>top.attacked = true;</script>
<!-- END EXPLORER MARKUP -->
<style>
/* START EXPLORER STYLE */
#text { font-weight: 600; }
/* END EXPLORER STYLE */
</style>
<script>
// START EXPLORER SCRIPT
let chat = "_MID_", ends = "</script>";
async function sendText(field) {
  const data = await submitRequest("_ROUTE_", "", null, [["text", field.value]]);
  if (data) setResultsHtml(`<p>${chat} ${ends.length}: ${data.reply}</p>`);
}
// END EXPLORER SCRIPT
</script>
"""


def add_module(modules: Path, module_id: str, *, page: bool = False, broken: bool = False) -> Path:
    """Drops the module `module_id` into the folder `modules`: routes `<id>/echo` (quick) and `<id>/count` (endless)."""
    folder = modules / module_id
    staged = modules.parent / f"staged-{module_id}"
    staged.mkdir()
    (staged / "adapter.py").write_text(_BROKEN if broken else _ADAPTER, encoding="utf-8")
    if page:
        text = _PAGE.replace("_ROUTE_", f"{module_id.lower()}/echo")
        (staged / "explore.html").write_text(text, encoding="utf-8")
    (staged / "modulesettings.json").write_text(json.dumps(_settings(module_id)), encoding="utf-8")
    return staged.rename(folder)  # all at once, as a finished copy would appear


def _settings(module_id: str) -> dict[str, Any]:
    release = {"ModuleVersion": "1.2.3", "ServerVersionRange": ["2.0.0", ""], "ReleaseDate": "2026-01-01"}
    settings = {
        "Name": f"{module_id} module",
        "Version": "1.2.3",
        "PublishingInfo": {"Category": "Demo Modules", "Description": f"What {module_id} does."},
        "LaunchSettings": {
            "AutoStart": True,
            "FilePath": "adapter.py",
            "Runtime": "python",
            "RuntimeLocation": "System",
            "PostStartPauseSecs": 0,
            "Parallelism": 2,
        },
        "GpuOptions": {"InstallGPU": False, "EnableGPU": False},
        "InstallOptions": {"Platforms": ["all"], "ModuleReleases": [release]},
        "RouteMaps": [_route(module_id, "echo", LongRunning=False), _route(module_id, "count", LongRunning=True)],
    }
    return {"Modules": {module_id: settings}}


def _route(module_id: str, command: str, **more: Any) -> dict[str, Any]:
    inputs = [{"Name": "text", "Type": "Text", "Description": "Comes back.", "DefaultValue": "hello"}]
    return {
        "Name": command.capitalize(),
        "Route": f"{module_id.lower()}/{command}",
        "Method": "POST",
        "Command": command,
        "Inputs": inputs,
        **more,
    }
