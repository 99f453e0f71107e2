"""Lacks a bracket."""

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class HasSyntaxError(ModuleRunner):
    def process(self, data: RequestData -> JSON:
        return {"success": True}


if __name__ == "__main__":
    HasSyntaxError().start_loop()
