"""A module whose long process writes numbered words into its reply."""

from __future__ import annotations

import threading
import time
from typing import Any

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class Long(ModuleRunner):
    def initialise(self) -> None:
        self.closing = threading.Event()

    def process(self, data: RequestData) -> Any:
        if data.command == "none":
            return lambda data: None
        if data.command == "broken":
            return self.broken_process
        if data.command == "odd":
            self.inference_device = "GPU \ud83d"
            return self.odd_process
        if data.command == "deaf":
            return self.deaf_process
        if data.command == "until cleanup":
            return self.until_cleanup_process
        return self.long_process

    def long_process(self, data: RequestData) -> JSON:
        """Write ``count`` words, the first without waiting, one every ``pause`` seconds."""
        name = data.get_value("name", "w")
        count = data.get_int("count", 5) or 0
        pause = data.get_float("pause", 0.01) or 0.0
        for step in range(1, count + 1):
            if data.reply.cancelled:
                return {"success": True, "reply": data.reply.text, "stop_reason": "cancelled"}
            data.reply.write(f"{name}{step} ")
            if step % 5 == 0:
                data.reply.update(step=step)
            if pause:
                time.sleep(pause)
        return {"success": True, "reply": data.reply.text, "stop_reason": "completed"}

    def deaf_process(self, data: RequestData) -> JSON:
        data.reply.write("begun ")
        time.sleep(data.get_float("pause", 0.01) or 0.0)
        data.reply.write("ended ")
        return {"success": True}

    def until_cleanup_process(self, data: RequestData) -> JSON:
        data.reply.write("begun ")
        self.closing.wait()
        return {"success": True, "reply": data.reply.text}

    def odd_process(self, data: RequestData) -> JSON:
        data.reply.update(**{"na\ud83dme": 1})
        return {"success": True}

    def broken_process(self, data: RequestData) -> JSON:
        data.reply.write("so far ")
        raise RuntimeError("the model fell over")

    def cleanup(self) -> None:
        self.closing.set()
        while self.long_running_command_id and self.last_long_running_output is None:
            time.sleep(0.01)  # until its answer is on the way


if __name__ == "__main__":
    Long().start_loop()
