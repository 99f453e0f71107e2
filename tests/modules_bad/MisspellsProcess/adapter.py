"""Its one method has a letter too few."""

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class MisspellsProcess(ModuleRunner):
    def proces(self, data: RequestData) -> JSON:
        return {"success": True}


if __name__ == "__main__":
    MisspellsProcess().start_loop()
