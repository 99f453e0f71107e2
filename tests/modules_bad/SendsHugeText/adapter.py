"""Writes 10 MB of text at once."""

from collections.abc import Callable

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class SendsHugeText(ModuleRunner):
    def process(self, data: RequestData) -> Callable[[RequestData], JSON]:
        return self.write

    def write(self, data: RequestData) -> JSON:
        data.reply.write("x" * 10_000_000)
        return {"success": True}


if __name__ == "__main__":
    SendsHugeText().start_loop()
