"""The queue protocol over HTTP, for a module that runs under another server or is started by hand.

Several loops poll the module's queue; each answers the request it got before it polls again, so that no request
waits inside a busy module. Polls and cancels of long commands come as requests too.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable
from concurrent.futures import Future
from dataclasses import dataclass

import aiohttp

from .answers import Answers
from .common import JSON
from .io_thread import LoopThread
from .protocol import Log
from .request_data import RequestData
from .transport import Handler

POLL_SECONDS = 15.0
SEND_SECONDS = 10.0
LOG_SECONDS = 2.0
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 5.0
IDLE_PAUSE = 0.25
"""Seconds to wait after an empty answer that came at once, as from a server that does not know the queue."""
ATTEMPTS = 3
MAX_LOGS = 1024

_ERRORS = (aiohttp.ClientError, OSError, asyncio.TimeoutError)


@dataclass(frozen=True)
class QueueOptions:
    """Where the server is (with ``/v1/`` at the end) and what this module is called there."""

    base_url: str
    queue: str
    module_id: str
    module_name: str


class QueueClient:
    """A transport (see ``transport.py``) over long polls, on a thread of its own."""

    keeps_results = True
    marks_unfinished = False
    longest_answer = 100 * 1024 * 1024

    def __init__(self, options: QueueOptions) -> None:
        self._options = options
        self._thread = LoopThread("millrace-queue")
        self._pending: dict[str, asyncio.Future[bytes]] = {}
        self._logs: deque[Log] = deque()
        self._log_ready = asyncio.Event()
        self._server_logs = True
        self._closing = False
        self._polling = False
        self._all_sent = asyncio.Event()
        self._session: aiohttp.ClientSession | None = None
        self._status_in_flight = False
        self._handler: Handler | None = None

    def open(self, handler: Handler) -> None:
        """Start. There is no greeting in this protocol, so the module may initialise at once."""
        self._handler = handler
        self._thread.submit(self._begin(handler)).add_done_callback(self._ended)

    def ready(self, parallelism: int, long_parallelism: int, obstacle: str = "", passing: bool = False) -> None:
        """The module is initialised: poll, with as many loops as quick commands may run at once.

        This protocol has no words for an obstacle; the module's answers tell of it.
        """
        polling, self._polling = self._polling, True
        for _ in range(0 if polling else parallelism):
            self._thread.submit(self._poll()).add_done_callback(self._ended)

    def started(self, command_id: str, command: str, device: str) -> None:
        """Answer the request with the note that its command runs in the background."""
        answers = Answers(self._options.module_id, self._options.module_name, lambda: device)
        _, encoded = answers.encode(answers.started(command, command_id), command, command_id)
        self._thread.call(self._resolve, command_id, encoded)

    def finish(self, command_id: str, answer: JSON, encoded: bytes, unfinished: bool) -> None:
        """Answer the request; a long command's request was answered at its start."""
        self._thread.call(self._resolve, command_id, encoded)

    def status(self, encoded: bytes) -> None:
        """Send the module's status, unless the last one is still on its way."""
        if not self._status_in_flight and not self._closing:
            self._status_in_flight = True
            self._thread.submit(self._send_status(encoded))

    def log(self, entry: Log) -> bool:
        """Send a log entry; False when too many wait or the server did not take the last one."""
        if len(self._logs) >= MAX_LOGS:
            return False
        taken = self._server_logs
        self._logs.append(entry)
        self._thread.call(self._log_ready.set)
        return taken

    def close(self, seconds: float) -> None:
        """Send what still waits, for at most that long, and stop."""
        self._closing = True
        with contextlib.suppress(Exception):
            self._thread.submit(self._drain(seconds)).result(seconds + 0.1)
        self._thread.stop(0.2)

    async def _begin(self, handler: Handler) -> None:
        async with aiohttp.ClientSession() as session:
            self._session = session
            handler.welcomed()
            await self._send_logs(session)

    def _ended(self, future: Future[None]) -> None:
        if not future.cancelled() and (error := future.exception()) is not None and self._handler is not None:
            self._handler.leave(f"The queue client failed: {type(error).__name__}: {error}", 1)

    async def _poll(self) -> None:
        session, handler = self._session, self._handler
        if session is None or handler is None:
            return
        pause = FIRST_PAUSE
        while not self._closing:
            began = time.monotonic()
            try:
                data = await self._take(session)
                pause = FIRST_PAUSE
            except asyncio.TimeoutError:
                continue
            except (*_ERRORS, ValueError):
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            if data is not None:
                await self._serve(session, handler, data)
            elif time.monotonic() - began < IDLE_PAUSE:
                await asyncio.sleep(IDLE_PAUSE)

    async def _take(self, session: aiohttp.ClientSession) -> RequestData | None:
        url = f"{self._options.base_url}queue/{self._options.queue}"
        timeout = aiohttp.ClientTimeout(total=POLL_SECONDS)
        params = {"moduleId": self._options.module_id}
        async with session.get(url, params=params, timeout=timeout, raise_for_status=True) as response:
            text = await response.text()
        if not text.strip() or text.strip() == "null":
            return None
        data = RequestData(text)
        return data if data.request_id else None

    async def _serve(self, session: aiohttp.ClientSession, handler: Handler, data: RequestData) -> None:
        if data.command.lower() == "quit":
            # On a shared queue it may be meant for another module, which cannot be reached from here.
            if str(data.get_value("moduleId", "")).lower() == self._options.module_id.lower():
                handler.leave("The server asked this module to quit", 0)
            return
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._pending[data.request_id] = answer
        handler.command(data)
        try:
            await self._send_answer(session, data.request_id, await answer)
        finally:
            self._pending.pop(data.request_id, None)
            self._check_all_sent()

    async def _send_answer(self, session: aiohttp.ClientSession, request_id: str, encoded: bytes) -> None:
        url = f"{self._options.base_url}queue/{request_id}"
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(FIRST_PAUSE)
            sent = session.post(
                url,
                params={"moduleId": self._options.module_id},
                data=encoded,
                headers={"Content-Type": "application/json"},
                timeout=aiohttp.ClientTimeout(total=SEND_SECONDS),
            )
            if await _status_code(sent) is not None:
                return

    async def _send_status(self, encoded: bytes) -> None:
        try:
            if self._session is not None:
                url = f"{self._options.base_url}queue/updatemodulestatus/{self._options.module_id}"
                timeout = aiohttp.ClientTimeout(total=SEND_SECONDS)
                await _status_code(self._session.post(url, data={"statusData": encoded.decode()}, timeout=timeout))
        finally:
            self._status_in_flight = False

    async def _send_logs(self, session: aiohttp.ClientSession) -> None:
        timeout = aiohttp.ClientTimeout(total=LOG_SECONDS)
        while True:
            await self._log_ready.wait()
            self._log_ready.clear()
            while self._logs:
                entry = self._logs[0]
                form = {
                    "entry": entry.entry,
                    "category": entry.category,
                    "label": entry.label,
                    "log_level": entry.level,
                }
                url = f"{self._options.base_url}log/"
                self._server_logs = await _status_code(session.post(url, data=form, timeout=timeout)) == 200
                self._logs.popleft()
                self._check_all_sent()

    async def _drain(self, seconds: float) -> None:
        self._check_all_sent()
        await asyncio.wait_for(self._all_sent.wait(), seconds)

    def _check_all_sent(self) -> None:
        if self._closing and not self._logs and not self._pending:
            self._all_sent.set()

    def _resolve(self, command_id: str, encoded: bytes) -> None:
        answer = self._pending.get(command_id)
        if answer is not None and not answer.done():
            answer.set_result(encoded)


async def _status_code(
    request: Awaitable[aiohttp.ClientResponse],
) -> int | None:
    """Return the HTTP status of an answer whose body does not matter; None when none came."""
    try:
        response = await request
        async with response:
            await response.read()
        return response.status
    except _ERRORS:
        return None
