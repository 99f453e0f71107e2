"""One connection of the channel, from the hello to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from aiohttp import ClientWebSocketResponse, WSMsgType

from . import protocol
from .inbox import Inbox
from .mailbox import Mailbox
from .request_data import RequestData

WELCOME_SECONDS = 10.0
HEARTBEAT_SECONDS = 5.0


class Conversation:
    """Sends what is in the mailbox and passes on what comes, until the connection ends."""

    def __init__(
        self, socket: ClientWebSocketResponse[bool], mailbox: Mailbox, news: asyncio.Event, idle: Callable[[], None]
    ) -> None:
        """``news`` is set when the mailbox has something; ``idle`` is called when everything has been sent."""
        self._socket = socket
        self._mailbox = mailbox
        self._news = news
        self._idle = idle

    async def greet(self, hello: protocol.Hello) -> protocol.Welcome | protocol.Refused | None:
        """Say hello and return the answer; None when the connection ended instead.

        Raises DecodeError for any other answer, TimeoutError for none.
        """
        await self._send(hello)
        frame = await asyncio.wait_for(self._socket.receive(), WELCOME_SECONDS)
        if frame.type is not WSMsgType.TEXT:
            return None
        message = protocol.decode_to_module(frame.data)
        if not isinstance(message, protocol.Welcome | protocol.Refused):
            raise msgspec.DecodeError(f"the first message is {type(message).__name__}, not a welcome")
        return message

    async def talk(self, accept: Callable[[RequestData], None], obey: Callable[[protocol.ToModule], None]) -> None:
        """Send and receive until the connection ends. ``accept`` takes commands, ``obey`` all other messages."""
        tasks = [
            asyncio.ensure_future(self._receive(accept, obey)),
            asyncio.ensure_future(self._send_all()),
            asyncio.ensure_future(self._beat()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            endings = await asyncio.gather(*tasks, return_exceptions=True)
        for ending in endings:
            if isinstance(ending, Exception):
                raise ending

    async def _beat(self) -> None:
        while True:
            self._mailbox.post(protocol.Heartbeat())
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _send_all(self) -> None:
        while True:
            self._news.clear()
            for frame in protocol.frames(self._mailbox.take()):
                await self._socket.send_frame(frame, WSMsgType.TEXT)
            if self._mailbox.empty:
                self._idle()
            await self._news.wait()

    async def _receive(self, accept: Callable[[RequestData], None], obey: Callable[[protocol.ToModule], None]) -> None:
        inbox = Inbox()
        async for frame in self._socket:
            if frame.type is WSMsgType.BINARY:
                data = inbox.file(frame.data)
                if data is not None:
                    accept(data)
            elif frame.type is WSMsgType.TEXT:
                for line in frame.data.split("\n"):
                    message = protocol.decode_to_module(line)
                    if not isinstance(message, protocol.Command):
                        obey(message)
                    elif (data := inbox.command(message)) is not None:
                        accept(data)
            else:
                return

    async def _send(self, message: protocol.ToServer) -> None:
        await self._socket.send_frame(protocol.encode(message), WSMsgType.TEXT)
