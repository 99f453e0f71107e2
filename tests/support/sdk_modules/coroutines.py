"""A module written with ``async``; one of its commands blocks its event loop."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class Coroutines(ModuleRunner):
    async def initialise(self) -> None:
        await asyncio.sleep(0)
        self.loop = asyncio.get_running_loop()

    async def process(self, data: RequestData) -> Any:
        if data.command == "block":
            time.sleep(data.get_float("seconds", 1.0) or 0.0)  # noqa: ASYNC251  (blocking is what this command is for)
            return {"success": True}
        if data.command == "long":
            return self.long_process
        await asyncio.sleep(0.001)
        return {"success": True, "same_loop": asyncio.get_running_loop() is self.loop}

    async def long_process(self, data: RequestData) -> JSON:
        data.reply.write("waiting")
        await asyncio.sleep(3600)
        return {"success": True}

    async def cleanup(self) -> None:
        await asyncio.sleep(0)
        print("cleaned up", flush=True)


if __name__ == "__main__":
    Coroutines().start_loop()
