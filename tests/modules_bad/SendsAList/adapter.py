"""Answers with a JSON list, where an object is expected."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_raw"))

import raw_channel  # type: ignore[import-not-found]


async def answer(channel: Any, command: dict[str, Any]) -> None:
    await channel.send("result", command_id=command["command_id"], n=1, success=True, output=[1, 2])


if __name__ == "__main__":
    raw_channel.run(answer)
