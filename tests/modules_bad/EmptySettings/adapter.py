"""Its settings file is empty."""

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class EmptySettings(ModuleRunner):
    def process(self, data: RequestData) -> JSON:
        return {"success": True}


if __name__ == "__main__":
    EmptySettings().start_loop()
