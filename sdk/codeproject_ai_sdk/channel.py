"""The module's end of the channel: one WebSocket to the server, kept up as long as the server is there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future

import aiohttp
import msgspec

from . import protocol
from .channel_options import ChannelOptions
from .common import JSON
from .conversation import Conversation
from .io_thread import LoopThread
from .mailbox import Mailbox
from .module_logging import print_safely
from .outbox import Outbox
from .protocol import Ack, Cancel, Hello, Quit, Ready, Refused, Resume, Started, Welcome
from .reply import Reply
from .request_data import RequestData
from .transport import Handler
from .version import __version__

CONNECT_SECONDS = 5.0
PING_SECONDS = 15.0
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 1.0
MAX_OBSTACLE = 4096
MAX_STATUS = 1024 * 1024
"""Bytes; a longer status is not sent."""
EXIT_FAILED = 1
EXIT_REFUSED = 2

_BROKEN = (aiohttp.ClientError, OSError, asyncio.TimeoutError, msgspec.DecodeError)


class Channel:
    """A transport (see ``transport.py``) over one WebSocket, on a thread of its own."""

    keeps_results = False
    marks_unfinished = True

    def __init__(self, options: ChannelOptions, parallelism: Callable[[], tuple[int, int]]) -> None:
        """``parallelism`` returns how many quick and how many long commands may run at once."""
        self._options = options
        self._parallelism = parallelism
        self._thread = LoopThread("millrace-channel", fast=True)
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._mailbox = Mailbox(lambda: self._thread.call(self._news.set))
        self._outboxes: dict[str, Outbox] = {}
        self._ready: Ready | None = None
        self._connected = False
        self._most = protocol.MAX_MESSAGE
        self._closing = threading.Event()

    def open(self, handler: Handler) -> None:
        """Start to connect."""

        def ended(future: Future[None]) -> None:
            # Nobody waits for this future, and a module that has lost its voice must not stay.
            if not future.cancelled() and (error := future.exception()) is not None:
                handler.leave("The channel failed: " + "".join(traceback.format_exception(error)), EXIT_FAILED)

        self._thread.submit(self._run(handler)).add_done_callback(ended)

    def ready(self, parallelism: int, long_parallelism: int, obstacle: str = "", passing: bool = False) -> None:
        """The module is initialised: commands may come, and whether it can do its work."""
        self._ready = Ready(parallelism, long_parallelism, obstacle[:MAX_OBSTACLE], passing)
        self._mailbox.post(self._ready)

    def started(self, command_id: str, command: str, device: str) -> None:
        """A command has turned out to be a long one."""
        outbox = self._outboxes.get(command_id)
        if outbox is not None:
            outbox.started_on = device
            self._mailbox.post(Started(command_id, device))

    @property
    def longest_answer(self) -> int:
        """Bytes of an answer that the server takes."""
        return self._most - protocol.ENVELOPE

    def finish(self, command_id: str, answer: JSON, encoded: bytes, unfinished: bool) -> None:
        """Send a command's complete answer."""
        outbox = self._outboxes.get(command_id)
        if outbox is not None:
            outbox.result(bool(answer.get("success")), encoded, unfinished)

    def status(self, encoded: bytes) -> None:
        """Send the module's status; dropped while there is no connection, and when it is far too long."""
        if self._connected and len(encoded) <= MAX_STATUS:
            self._mailbox.status(protocol.Status(msgspec.Raw(encoded)))

    def log(self, entry: protocol.Log) -> bool:
        """Send a log entry; kept while there is no connection, False when too many wait."""
        return self._mailbox.log(entry)

    def close(self, seconds: float) -> None:
        """Send what still waits, for at most that long, and end the connection; show the logs that nobody took."""
        self._closing.set()
        with contextlib.suppress(Exception):
            self._thread.submit(self._drain(seconds)).result(seconds + 0.1)
        self._thread.stop(0.2)
        for entry in self._mailbox.unsent_logs():
            print_safely(sys.stderr, f"{entry.category}: {entry.entry}")

    async def _drain(self, seconds: float) -> None:
        if self._connected:
            self._idle.clear()
            self._news.set()
            await asyncio.wait_for(self._idle.wait(), seconds)

    async def _run(self, handler: Handler) -> None:
        async with aiohttp.ClientSession() as session:
            last_contact = time.monotonic()
            pause = FIRST_PAUSE
            while not self._closing.is_set():
                if await self._try_once(session, handler):
                    last_contact, pause = time.monotonic(), FIRST_PAUSE
                if time.monotonic() - last_contact > self._options.orphan_seconds:
                    handler.leave(f"No server for {self._options.orphan_seconds:g} s", 0)
                    return
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _try_once(self, session: aiohttp.ClientSession, handler: Handler) -> bool:
        """Connect and talk until the connection ends. True when the server had welcomed this module."""
        try:
            socket = await asyncio.wait_for(self._connect(session), CONNECT_SECONDS)
        except _BROKEN:
            return False
        conversation = Conversation(socket, self._mailbox, self._news, self._idle.set)
        welcomed = False
        try:
            welcomed = self._welcomed(await conversation.greet(self._hello()), handler)
            if welcomed:
                await conversation.talk(lambda data: self._accept(data, handler), lambda m: self._obey(m, handler))
        except _BROKEN as error:
            handler.trouble(f"The channel broke: {type(error).__name__}: {error}")
        finally:
            self._connected = False
            self._idle.set()
            with contextlib.suppress(Exception):
                await asyncio.wait_for(socket.close(), 1.0)
        return welcomed

    async def _connect(self, session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse[bool]:
        # Uploads may be large. The WebSocket's own pings notice a host that has vanished without a word.
        return await session.ws_connect(self._options.url, max_msg_size=0, heartbeat=PING_SECONDS)

    def _hello(self) -> Hello:
        parallelism, long_parallelism = self._parallelism()
        return Hello(
            version=protocol.VERSION,
            module_id=self._options.module_id,
            launch_id=self._options.launch_id,
            secret=self._options.secret,
            pid=os.getpid(),
            sdk=__version__,
            parallelism=parallelism,
            long_parallelism=long_parallelism,
            resumes=[Resume(outbox.command_id, outbox.last) for outbox in self._outboxes.values()],
            marks_unfinished=True,
        )

    def _welcomed(self, answer: Welcome | Refused | None, handler: Handler) -> bool:
        if isinstance(answer, Refused):
            self._closing.set()
            handler.leave(f"The server refused this module: {answer.reason}", EXIT_REFUSED)
        if not isinstance(answer, Welcome):
            return False
        self._most = answer.most
        self._mailbox.restart()
        self._resume(answer, handler)
        if self._ready is not None:
            self._mailbox.post(self._ready)
        self._connected = True
        handler.welcomed()
        return True

    def _resume(self, welcome: Welcome, handler: Handler) -> None:
        """Send again what the server lacks; stop what it does not know any more."""
        known = {resume.command_id: resume.last for resume in welcome.known}
        for command_id, outbox in list(self._outboxes.items()):
            if command_id not in known:
                del self._outboxes[command_id]
                outbox.abandon()
                handler.drop(command_id)
                continue
            if outbox.started_on is not None:
                self._mailbox.post(Started(command_id, outbox.started_on))
            outbox.resend_after(known[command_id])
            self._forget_if_done(outbox)

    def _accept(self, data: RequestData, handler: Handler) -> None:
        if data.command_id in self._outboxes:
            handler.trouble(f"Command {data.command_id} came twice")
            return
        outbox = Outbox(data.command_id, self._mailbox.mark, most=self._most)
        self._outboxes[data.command_id] = outbox
        data.reply = Reply(outbox)
        handler.command(data)

    def _obey(self, message: protocol.ToModule, handler: Handler) -> None:
        match message:
            case Cancel(command_id=command_id):
                handler.cancel(command_id)
            case Ack(command_id=command_id, n=n):
                outbox = self._outboxes.get(command_id)
                if outbox is not None:
                    outbox.acknowledge(n)
                    self._forget_if_done(outbox)
            case Quit():
                handler.leave("The server asked this module to quit", 0)
            case _:
                pass

    def _forget_if_done(self, outbox: Outbox) -> None:
        if outbox.done:
            self._outboxes.pop(outbox.command_id, None)
