"""Sends bytes where only text is allowed, whenever a command comes."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_raw"))

import raw_channel  # type: ignore[import-not-found]


async def answer(channel: Any, command: dict[str, Any]) -> None:
    await channel.socket.send_bytes(bytes(range(256)))


if __name__ == "__main__":
    raw_channel.run(answer)
