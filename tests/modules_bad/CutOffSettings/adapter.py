"""Its settings file ends in the middle."""

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class CutOffSettings(ModuleRunner):
    def process(self, data: RequestData) -> JSON:
        return {"success": True}


if __name__ == "__main__":
    CutOffSettings().start_loop()
