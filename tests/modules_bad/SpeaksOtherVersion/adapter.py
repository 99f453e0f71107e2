"""Speaks a version of the channel that this server does not know."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_raw"))

import raw_channel  # type: ignore[import-not-found]


async def answer(channel: Any, command: dict[str, Any]) -> None:
    await channel.result(command["command_id"], 1)


if __name__ == "__main__":
    raw_channel.run(answer, version=99)
