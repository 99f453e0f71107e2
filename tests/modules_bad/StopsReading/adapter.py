"""Stops reading what it is sent when it is told to, and goes on beating."""

import asyncio
import socket
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_raw"))

import raw_channel  # type: ignore[import-not-found]

SMALL_BUFFER = 64 * 1024


async def answer(channel: Any, command: dict[str, Any]) -> None:
    if raw_channel.value(command, "read") == "no":
        # Otherwise the system lets the buffer grow, by many megabytes on a machine with much memory.
        receiver: socket.socket = channel.socket.get_extra_info("socket")
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        await asyncio.Event().wait()
    await channel.result(command["command_id"], 1, answer="read")


if __name__ == "__main__":
    raw_channel.run(answer)
