"""Answers every command twice, and the second time otherwise."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_raw"))

import raw_channel  # type: ignore[import-not-found]


async def answer(channel: Any, command: dict[str, Any]) -> None:
    command_id = command["command_id"]
    await channel.result(command_id, 1, answer="first")
    await channel.result(command_id, 2, answer="second")


if __name__ == "__main__":
    raw_channel.run(answer)
