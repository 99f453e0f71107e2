"""Leaves numbers out: what it sent under them is lost."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_raw"))

import raw_channel  # type: ignore[import-not-found]


async def answer(channel: Any, command: dict[str, Any]) -> None:
    command_id = command["command_id"]
    await channel.started(command_id)
    await channel.text(command_id, 1, "one ", "two ")
    await channel.text(command_id, 5, "five ")
    await channel.result(command_id, 6, reply="one two three four five ")


if __name__ == "__main__":
    raw_channel.run(answer)
