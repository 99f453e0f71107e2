"""Is written, but never told to serve."""

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class ForgetsStartLoop(ModuleRunner):
    def process(self, data: RequestData) -> JSON:
        return {"success": True}
