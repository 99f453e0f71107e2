"""A module for tests: echoes at once, counts slowly, dies when told to."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class Talker(ModuleRunner):
    def process(self, data: RequestData) -> JSON | Callable[[RequestData], JSON]:
        if data.command == "die":
            os._exit(7)
        if data.command == "echo":
            return self.echo(data)
        if data.get_int("to", 1) < 1:
            return {"success": False, "error": "'to' must be 1 or more"}
        return self.count

    def echo(self, data: RequestData) -> dict[str, Any]:
        sizes = [len(data.get_file_bytes(index) or b"") for index in range(len(data.files))]
        values = {item["key"]: item["value"][0] for item in data.value_list if item["value"]}
        return {"success": True, "values": values, "sizes": sizes, "pid": os.getpid(), "segments": data.segments}

    def count(self, data: RequestData) -> dict[str, Any]:
        name, last = data.get_value("name", ""), data.get_int("to", 5)
        for number in range(1, last + 1):
            if data.reply.cancelled:
                return {"success": True, "reply": data.reply.text, "stop_reason": "cancelled"}
            data.reply.write(f"{name}{number} ")
            data.reply.update(step=number)
            print(f"dbg: {name}{number}")  # modules print, also after the server that read it has died
            time.sleep(data.get_float("pause", 0.05))
        return {"success": True, "reply": data.reply.text, "stop_reason": "completed"}


if __name__ == "__main__":
    Talker().start_loop()
