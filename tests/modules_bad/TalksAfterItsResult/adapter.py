"""Goes on sending text after its result."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_raw"))

import raw_channel  # type: ignore[import-not-found]


async def answer(channel: Any, command: dict[str, Any]) -> None:
    command_id = command["command_id"]
    await channel.started(command_id)
    await channel.text(command_id, 1, "all ")
    await channel.result(command_id, 2, reply="all ")
    await channel.text(command_id, 3, "and more")


if __name__ == "__main__":
    raw_channel.run(answer)
