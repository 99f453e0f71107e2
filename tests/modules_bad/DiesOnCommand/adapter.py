"""Is ready, and dies on every command as if a native library had crashed."""

import os

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class DiesOnCommand(ModuleRunner):
    def process(self, data: RequestData) -> JSON:
        os._exit(7)


if __name__ == "__main__":
    DiesOnCommand().start_loop()
