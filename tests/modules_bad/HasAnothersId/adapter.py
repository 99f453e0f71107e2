"""Has the id of another module."""

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class HasAnothersId(ModuleRunner):
    def process(self, data: RequestData) -> JSON:
        return {"success": True}


if __name__ == "__main__":
    HasAnothersId().start_loop()
