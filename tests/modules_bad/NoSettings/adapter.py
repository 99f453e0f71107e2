"""Has no settings file at all."""

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class NoSettings(ModuleRunner):
    def process(self, data: RequestData) -> JSON:
        return {"success": True}


if __name__ == "__main__":
    NoSettings().start_loop()
