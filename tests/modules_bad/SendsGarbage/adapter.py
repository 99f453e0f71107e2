"""Sends a message that is no message when a command comes, once, and answers after that."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_raw"))

import raw_channel  # type: ignore[import-not-found]


async def answer(channel: Any, command: dict[str, Any]) -> None:
    if not TOLD.exists():
        TOLD.touch()
        await channel.socket.send_str('{"type": "surprise"')
    await channel.result(command["command_id"], 1, answer="sorry")


TOLD = Path(__file__).with_name("told")


if __name__ == "__main__":
    raw_channel.run(answer)
