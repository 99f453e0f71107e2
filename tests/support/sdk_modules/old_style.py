"""A module of the old style: ``command_status()`` and ``cancel_command_task()``, no ``data.reply``."""

from __future__ import annotations

import time
from typing import Any

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class OldStyle(ModuleRunner):
    def initialise(self) -> None:
        self.reply_text = ""
        self.step = 0
        self.stop = False
        self.polite = False
        self.run = 0

    def process(self, data: RequestData) -> Any:
        return self.long_process

    def long_process(self, data: RequestData) -> JSON:
        self.run += 1
        run, count = self.run, data.get_int("count", 5)
        self.reply_text, self.step, self.stop = "", 0, False
        self.polite = data.get_bool("polite", False) or False
        # A thread that was given up must not write into the reply of the command after it.
        while self.step < count and not self.stop and run == self.run:
            self.step += 1
            self.reply_text += f"w{self.step} "
            time.sleep(0.05)
        reason = "cancelled" if self.stop else "completed"
        return {"success": True, "reply": self.reply_text, "stop_reason": reason, "polite": self.polite}

    def command_status(self) -> JSON:
        return {"success": True, "reply": self.reply_text, "step": self.step}

    def cancel_command_task(self) -> None:
        if self.polite:
            self.stop = True
            self.force_shutdown = False


if __name__ == "__main__":
    OldStyle().start_loop()
