"""Closes the connection whenever a command with the text ``bad`` comes, and connects again."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_raw"))

import raw_channel  # type: ignore[import-not-found]


async def answer(channel: Any, command: dict[str, Any]) -> None:
    if raw_channel.value(command, "text") == "bad":
        await channel.socket.close()
    else:
        await channel.result(command["command_id"], 1, answer="good")


if __name__ == "__main__":
    raw_channel.run(answer)
