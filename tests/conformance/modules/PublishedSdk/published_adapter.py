"""A module as one writes it for the published SDK: one quick command, one long process polled through it."""

import time

from codeproject_ai_sdk import JSON, LogMethod, ModuleRunner, RequestData


class PublishedAdapter(ModuleRunner):
    def initialise(self) -> None:
        self.reply_text = ""
        self.cancelled = False

    async def process(self, data: RequestData) -> JSON:
        if data.command == "quick":
            size = len(data.get_file_bytes(0)) if data.files else 0
            return {"success": True, "echo": data.get_value("text", ""), "size": size}
        if data.command == "ask":
            return {"success": True, "asked": await self.call_api("published/quick", data={"text": "asked"})}
        self.reply_text = ""
        self.cancelled = False
        return self.long_process

    def long_process(self, data: RequestData) -> JSON:
        stop_reason = "completed"
        for number in range(1, data.get_int("to", 5) + 1):
            if self.cancelled:
                stop_reason = "cancelled"
                break
            self.reply_text += f"{data.get_value('name', '')}{number} "
            time.sleep(0.1)
        self.log(LogMethod.Server, {"message": "The slow one has ended", "loglevel": "information"})
        return {"success": True, "reply": self.reply_text, "stop_reason": stop_reason}

    def command_status(self) -> JSON:
        return {"success": True, "reply": self.reply_text}

    def cancel_command_task(self) -> None:
        self.cancelled = True
        self.force_shutdown = False


if __name__ == "__main__":
    PublishedAdapter().start_loop()
