"""Connects, but cannot get ready."""

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class RaisesInInitialise(ModuleRunner):
    def initialise(self) -> None:
        raise RuntimeError("the model file is not there")

    def process(self, data: RequestData) -> JSON:
        return {"success": True}


if __name__ == "__main__":
    RaisesInInitialise().start_loop()
