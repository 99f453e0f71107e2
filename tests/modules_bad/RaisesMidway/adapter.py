"""A long process that raises after it has written some text."""

from collections.abc import Callable

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class RaisesMidway(ModuleRunner):
    def process(self, data: RequestData) -> Callable[[RequestData], JSON]:
        return self.write if data.get_value("well", "") else self.write_and_raise

    def write(self, data: RequestData) -> JSON:
        data.reply.write("all of it")
        return {"success": True}

    def write_and_raise(self, data: RequestData) -> JSON:
        data.reply.write("half of ")
        raise RuntimeError("the model has lost its thread")


if __name__ == "__main__":
    RaisesMidway().start_loop()
