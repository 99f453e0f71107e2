"""A module whose commands answer at once, each in its own way."""

from __future__ import annotations

import time
from typing import Any

from codeproject_ai_sdk import JSON, LogMethod, ModuleRunner, RequestData


class Quick(ModuleRunner):
    def process(self, data: RequestData) -> Any:
        return getattr(self, f"do_{data.command}")(data)

    def do_echo(self, data: RequestData) -> JSON:
        files = [(data.get_file_bytes(index) or b"").hex()[:64] for index in range(len(data.files))]
        sizes = [len(data.get_file_bytes(index) or b"") for index in range(len(data.files))]
        return {
            "success": True,
            "text": data.get_value("text"),
            "segments": data.segments,
            "files": files,
            "sizes": sizes,
        }

    def do_fail(self, data: RequestData) -> JSON:
        return {"success": False, "error": "No face found in image"}

    def do_raise(self, data: RequestData) -> JSON:
        raise ValueError("a bad value")

    def do_exit(self, data: RequestData) -> JSON:
        raise SystemExit(3)

    def do_nothing(self, data: RequestData) -> None:
        return None

    def do_list(self, data: RequestData) -> list[int]:
        return [1, 2]

    def do_without_success(self, data: RequestData) -> JSON:
        return {"count": 1}

    def do_unserialisable(self, data: RequestData) -> JSON:
        return {"success": True, "thing": object()}

    def do_log(self, data: RequestData) -> JSON:
        self.log(LogMethod.Info | LogMethod.Server, {"message": "hello log", "loglevel": "info", "label": "x"})
        return {"success": True}

    def do_sleep(self, data: RequestData) -> JSON:
        end = time.monotonic() + (data.get_float("seconds", 1.0) or 0.0)
        while time.monotonic() < end and not data.reply.cancelled:
            time.sleep(0.01)
        return {"success": True, "cancelled": data.reply.cancelled}

    def module_status(self) -> JSON:
        return {"models": 2}

    def cleanup(self) -> None:
        print("cleaned up", flush=True)


if __name__ == "__main__":
    Quick().start_loop()
