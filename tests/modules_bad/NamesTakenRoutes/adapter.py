"""Names a route of another module, and one of the server."""

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class NamesTakenRoutes(ModuleRunner):
    def process(self, data: RequestData) -> JSON:
        return {"success": True}


if __name__ == "__main__":
    NamesTakenRoutes().start_loop()
