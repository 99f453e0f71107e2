"""Stops reading what it is sent when it is told to, and goes on beating."""

import asyncio
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_raw"))

import raw_channel  # type: ignore[import-not-found]


async def answer(channel: Any, command: dict[str, Any]) -> None:
    if raw_channel.value(command, "read") == "no":
        await asyncio.Event().wait()
    await channel.result(command["command_id"], 1, answer="read")


if __name__ == "__main__":
    raw_channel.run(answer)
