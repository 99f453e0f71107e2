"""A module that calls its server."""

from __future__ import annotations

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class Calling(ModuleRunner):
    async def process(self, data: RequestData) -> JSON:
        files = {"image": ("a.bin", b"bytes", "application/octet-stream")}
        return {
            "success": True,
            "echo": await self.call_api("custom/echo", files=files, data={"min_confidence": 0.4}),
            "missing": await self.call_api("no/such/route"),
        }


if __name__ == "__main__":
    Calling().start_loop()
