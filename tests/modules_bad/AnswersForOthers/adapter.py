"""Answers a command that it was never given, before its own."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_raw"))

import raw_channel  # type: ignore[import-not-found]


async def answer(channel: Any, command: dict[str, Any]) -> None:
    foreign = raw_channel.value(command, "foreign")
    await channel.started(foreign)
    await channel.text(foreign, 1, "not yours")
    await channel.result(foreign, 2, answer="not yours")
    await channel.result(command["command_id"], 1, answer="mine")


if __name__ == "__main__":
    raw_channel.run(answer)
