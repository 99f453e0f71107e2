"""The server's end of the channel: one WebSocket per module process, in the messages of the SDK's ``protocol``."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

import msgspec
from aiohttp import WSMessage, WSMsgType, web
from codeproject_ai_sdk import protocol

from ..commands.broker import Claim
from ..commands.command import Command, Reason
from ..commands.control import CANCEL, QUIT
from ..commands.dispatcher import Dispatcher
from ..commands.errors import StorageError
from ..commands.reply_buffer import EventKind, NewEvent
from ..commands.workers import Worker, WorkerRegistry
from ..http.bad_request import BadRequestError, shortened
from ..log_book import LogBook
from .by_hand import ByHand
from .frame_gate import FrameGate, LeftOut, gate_before
from .module_identity import MAX_TOLD

CLAIM_SECONDS = 60.0
ACK_SECONDS = 0.05
PING_SECONDS = 10.0
UNREAD_SECONDS = 20.0
"""A module that does not read what it is sent for this long could not be told to stop anything either."""
MAX_CLAIMS = 64
"""Commands sent together at most."""
_SLACK = 1024
_TYPE = re.compile(rb'"type" ?: ?"([a-z]{1,20})"')
_COMMAND_ID = re.compile(rb'"command_id" ?: ?"([^"]{1,64})"')
_NUMBER = re.compile(rb'"n" ?: ?(\d{1,15})\b')
_HARMLESS = {b"status", b"log"}
"""Messages that may be missing."""


class ChannelLimits(msgspec.Struct, frozen=True, kw_only=True):
    """``hello``: bytes of the first message; ``seconds``: until it has to be there.

    ``waiting``: connections of one address that have not proved themselves yet; ``message``: bytes of a later message.
    """

    hello: int = 256 * 1024
    seconds: float = 10.0
    waiting: int = 64
    message: int = 64 * 1024 * 1024


class Channel:
    """Accepts the connections of module processes."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        workers: WorkerRegistry,
        log: LogBook,
        by_hand: ByHand,
        limits: ChannelLimits | None = None,
    ) -> None:
        self._dispatcher = dispatcher
        self._workers = workers
        self._log = log
        self._by_hand = by_hand
        self._limits = limits or ChannelLimits()
        self._open: dict[str, ChannelConnection] = {}
        self._waiting: Counter[str] = Counter()
        self._told: set[str] = set()

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one connection until it closes."""
        limits = self._limits
        if not all(value.isascii() for value in request.headers.values()):
            raise BadRequestError("The headers of a connection of the channel must be ASCII.")  # aiohttp fails at them
        socket = web.WebSocketResponse(heartbeat=PING_SECONDS, max_msg_size=limits.message + _SLACK, compress=False)
        with self._one_more_waits(request.remote or ""):
            await socket.prepare(request)
            gate = gate_before(request, limits.hello)
            hello = await self._hello(socket)
            worker = None if hello is None else await self._admitted(socket, hello)
        if hello is None or worker is None:
            return socket
        gate.open(limits.message)
        connection = ChannelConnection(socket, gate, worker, self._dispatcher, self._workers, self._log)
        earlier, self._open[worker.worker_id] = self._open.get(worker.worker_id), connection
        if earlier is not None:
            await earlier.close()
        try:
            await connection.run(hello)
        finally:
            connection.closed.set()
            if self._open.get(worker.worker_id) is connection:
                del self._open[worker.worker_id]
        return socket

    @contextlib.contextmanager
    def _one_more_waits(self, address: str) -> Iterator[None]:
        """Count those of an address that have not proved themselves. Raises ``BadRequestError`` when they are many."""
        if self._waiting[address] >= self._limits.waiting:
            text = "Too many connections of this address have not said who they are (max_waiting_channels)."
            raise BadRequestError(text, 429)
        self._waiting[address] += 1
        try:
            yield
        finally:
            self._waiting[address] -= 1
            self._waiting += Counter()  # without those that are zero

    async def _hello(self, socket: web.WebSocketResponse) -> protocol.Hello | None:
        try:
            first = protocol.decode_to_server(await asyncio.wait_for(socket.receive_str(), self._limits.seconds))
        except (TypeError, asyncio.TimeoutError, msgspec.DecodeError, RecursionError):
            first = None
        if not isinstance(first, protocol.Hello):
            await self._refuse(socket, "The first message must be a hello, soon and short.")
            return None
        return first

    async def _admitted(self, socket: web.WebSocketResponse, hello: protocol.Hello) -> Worker | None:
        """Return the worker that says this hello; ``None`` when it has been refused."""
        if self._workers.get(hello.launch_id) is None:
            await self._by_hand.look()
        worker = self._workers.authenticate(hello.launch_id, hello.module_id, hello.secret)
        if worker is None:
            self._tell_refused(shortened(hello.module_id), hello.pid)
            await self._refuse(socket, "The launch secret is not valid: this server did not start this process.")
            return None
        if hello.version != protocol.VERSION:
            text = f"version {hello.version} of the channel, this server version {protocol.VERSION}"
            remedy = "it must not bring an SDK of its own (PYTHONPATH, requirements)"
            await self._workers.give_up(worker, f"its process speaks {text}; {remedy}")
            await self._refuse(socket, f"This module speaks {text}.")
            return None
        if worker.failure is not None:
            # It is about to be stopped; until then it could take its commands once more.
            await self._refuse(socket, f"This process is being stopped: {worker.failure}.")
            return None
        return worker

    def _tell_refused(self, name: str, pid: int) -> None:
        """Once for a name: it may try again and again."""
        if name not in self._told and len(self._told) < MAX_TOLD:
            self._told.add(name)
            text = f"A process that calls itself {name!r} (pid {pid}) was refused: its secret is wrong."
            self._log.add(text, "warning")

    @staticmethod
    async def _refuse(socket: web.WebSocketResponse, reason: str) -> None:
        with contextlib.suppress(ConnectionError):
            await socket.send_str(protocol.encode(protocol.Refused(reason)).decode())
            await socket.close()


class ChannelConnection:
    """One living connection: takes commands for its worker, and passes on what the worker says."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        gate: FrameGate,
        worker: Worker,
        dispatcher: Dispatcher,
        workers: WorkerRegistry,
        log: LogBook,
    ) -> None:
        self._socket = socket
        self._gate = gate
        self._worker = worker
        self._dispatcher = dispatcher
        self._workers = workers
        self._log = log
        self._sending = asyncio.Lock()
        self._ready = asyncio.Event()
        self._unacknowledged: dict[str, int] = {}
        self._arrived = asyncio.Event()
        self._sending_since: float | None = None
        self.closed = asyncio.Event()

    async def close(self) -> None:
        """End the connection, because its process has opened a newer one; return when it has ended."""
        await self._socket.close()
        await self.closed.wait()

    async def run(self, hello: protocol.Hello) -> None:
        """Serve the connection until it closes."""
        worker = self._worker
        worker.kind, worker.connected = "channel", True
        worker.marks_unfinished = hello.marks_unfinished
        if worker.initialised:
            self._ready.set()
        await self._resume(hello)
        await self._workers.note_contact(worker)
        works = (self._hand_out, self._acknowledge, self._see_reading)
        helpers = [asyncio.create_task(self._guard(work)) for work in works]
        try:
            await self._read()
        finally:
            worker.connected = False
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await asyncio.shield(asyncio.ensure_future(self._workers.announce()))

    async def _guard(self, work: Callable[[], Awaitable[None]]) -> None:
        """A connection with a dead half is closed, so that the module connects anew."""
        try:
            await work()
        except ConnectionError:
            await self._socket.close()
        except Exception as error:
            self._log.add(f"The channel failed: {error!r}", "error", self._worker.module_id)
            await self._socket.close()

    # --- what the module says ---------------------------------------------------------------------

    async def _read(self) -> None:
        async for frame in self._socket:
            if frame.type is not WSMsgType.TEXT:
                await self._give_up(_what_is_wrong(frame))
                return
            await self._workers.note_contact(self._worker)
            if not frame.data and self._gate.left_out:
                await self._take_left_out(self._gate.left_out.popleft())
                continue
            for line in frame.data.split("\n"):
                try:
                    message = protocol.decode_to_server(line)
                except (msgspec.DecodeError, RecursionError) as error:  # the second: it is nested too deeply
                    await self._give_up(f"its process sent a message that cannot be read: {error}")
                    return
                await self._take(message)

    async def _give_up(self, why: str) -> None:
        """Nobody knows what was lost with such a message: the process is not trusted any more, and is started anew."""
        self._log.add(f"The channel is closed: {why}.", "error", self._worker.module_id)
        await self._workers.give_up(self._worker, why)

    async def _take_left_out(self, frame: LeftOut) -> None:
        """A message was too long: its command alone fails, and is stopped. Its beginning says whose it was."""
        text = f"a message of {frame.length} bytes, and the most is {self._gate.most} (max_message_bytes)"
        found = _COMMAND_ID.search(frame.head)
        command_id = found[1].decode(errors="replace") if found else ""
        kind = _TYPE.search(frame.head)
        if command_id and await self._is_its_own(command_id, "message"):
            await self._fail_alone(command_id, f"The module sent {text}.", frame.head)
        elif kind is not None and (kind[1] in _HARMLESS or command_id):
            self._log.add(f"What the module sent was left out: {text}.", "warning", self._worker.module_id)
        else:
            await self._give_up(f"its process sent {text}")

    async def _fail_alone(self, command_id: str, error: str, head: bytes) -> None:
        number = _NUMBER.search(head)
        if number is None:
            await self._dispatcher.fail(command_id, Reason.MODULE_ERROR, error)
            return
        await self._dispatcher.refuse(self._worker, command_id, error)  # it was the result: it does not run any more
        self._note_arrival(command_id, int(number[1]))

    async def _take(self, message: protocol.ToServer) -> None:
        match message:
            case protocol.Events():
                await self._take_events(message)
            case protocol.Result():
                await self._take_result(message)
            case protocol.Started():
                if await self._is_its_own(message.command_id, "start"):
                    device = message.inference_device
                    await self._dispatcher.started_long(self._worker, message.command_id, device)
            case protocol.Ready():
                self._worker.initialised = True
                self._worker.obstacle, self._worker.passing = message.obstacle, message.passing
                await self._workers.announce()
                self._dispatcher.set_room(self._worker, max(1, message.parallelism), max(1, message.long_parallelism))
                self._ready.set()
            case protocol.Status():
                self._worker.show_status(message.data)
            case protocol.Log():
                category = message.category or self._worker.module_id
                self._log.add(message.entry, message.level, category, message.label)
            case protocol.Hello() | protocol.Heartbeat():
                pass

    async def _take_events(self, message: protocol.Events) -> None:
        command_id, first = message.command_id, message.first
        if await self._is_its_own(command_id, "text"):
            await self._see_gap(command_id, first)
            events = [_new_event(event, first + index) for index, event in enumerate(message.events)]
            await self._dispatcher.append(command_id, events)
        # Only now: what is acknowledged has been taken in, and so is on disk after the next flush.
        self._note_arrival(command_id, first + len(message.events) - 1)

    async def _take_result(self, message: protocol.Result) -> None:
        command_id = message.command_id
        if await self._is_its_own(command_id, "result"):
            await self._see_gap(command_id, message.n)
            success, output = message.success, message.output
            await self._dispatcher.finish(self._worker, command_id, success, output, message.unfinished)
        self._note_arrival(command_id, message.n)

    async def _is_its_own(self, command_id: str, what: str) -> bool:
        """A module speaks only for commands that it was given, and only until it has answered them."""
        if await self._dispatcher.runs(self._worker, command_id):
            return True
        text = f"A {what} for command {command_id} was ignored: the module does not run that command."
        self._log.add(text, "warning", self._worker.module_id)
        return False

    async def _see_gap(self, command_id: str, n: int) -> None:
        """A reply whose events before number ``n`` are missing must not look like a whole one: it fails here."""
        last = await self._dispatcher.last_n(command_id)
        if n > last + 1:
            error = f"The module's events have a gap: number {n} came after {last}."
            await self._dispatcher.fail(command_id, Reason.MODULE_ERROR, error)

    def _note_arrival(self, command_id: str, n: int) -> None:
        self._unacknowledged[command_id] = n
        self._arrived.set()

    async def _acknowledge(self) -> None:
        """Acknowledge, in batches, what is on disk."""
        while True:
            await self._arrived.wait()
            await asyncio.sleep(ACK_SECONDS)
            self._arrived.clear()
            arrived, self._unacknowledged = self._unacknowledged, {}
            # What cannot be written ends its command, and then nobody needs the rest.
            with contextlib.suppress(StorageError):
                await self._dispatcher.flush()
            await self._send(*(protocol.Ack(command_id, n) for command_id, n in arrived.items()))

    # --- what the module is told --------------------------------------------------------------------

    async def _resume(self, hello: protocol.Hello) -> None:
        """Agree with a process that comes back on what both still know; the rest is redelivered or dropped."""
        known = []
        for resume in hello.resumes:
            if resume.command_id in self._worker.running:
                known.append(protocol.Resume(resume.command_id, await self._dispatcher.last_n(resume.command_id)))
        await self._send(protocol.Welcome(protocol.VERSION, known, self._gate.most))
        resumed = {resume.command_id for resume in hello.resumes}
        unknown = [command_id for command_id in self._worker.running if command_id not in resumed]
        # They were sent in this order. If one of them broke the connection, it is the first that did not arrive: only
        # that one counts as delivered. Each goes to the front.
        for index, command_id in reversed(list(enumerate(unknown))):
            await self._dispatcher.put_back(self._worker, command_id, counted=index == 0)

    async def _hand_out(self) -> None:
        """Take commands as long as there is room for them, and send them; nothing before the module is ready."""
        await self._ready.wait()
        while True:
            claim = await self._dispatcher.claim(self._worker, CLAIM_SECONDS)
            claims = []
            while claim is not None:
                claims.append(claim)
                claim = await self._dispatcher.claim(self._worker, 0) if len(claims) < MAX_CLAIMS else None
            await self._deliver(claims)

    async def _deliver(self, claims: list[Claim]) -> None:
        """Send what was claimed. Cancel and quit are messages of their own, and done once they are sent."""
        try:
            encoded = [(claim, line) for claim in claims if (line := await self._encoded(claim)) is not None]
            async with self._sending:
                await self._send_claims(encoded)
        except BaseException:
            # What else did not arrive shows when the process is back (see ``_resume``) or gone.
            for claim in reversed(claims):  # each goes to the front
                if claim.command.control:
                    await asyncio.shield(asyncio.ensure_future(self._return(claim)))
            raise
        for claim, _ in encoded:
            if _is_order(claim.command):
                output = msgspec.Raw(b'{"success":true}')
                await self._dispatcher.finish(self._worker, claim.command.command_id, True, output)

    async def _encoded(self, claim: Claim) -> bytes | None:
        """Return the message of a claim; one that cannot be written fails here, and harms no other."""
        try:
            return protocol.encode(_message(claim))
        except Exception as error:
            text = f"The command cannot be sent to the module: {error}"
            await self._dispatcher.refuse(self._worker, claim.command.command_id, text)
            return None

    async def _return(self, claim: Claim) -> None:
        await self._dispatcher.put_back(self._worker, claim.command.command_id)

    async def _send_claims(self, encoded: list[tuple[Claim, bytes]]) -> None:
        waiting: list[bytes] = []
        for claim, line in encoded:
            waiting.append(line)
            contents = [file.data or b"" for file in claim.payload.files if file.path is None]
            if contents:
                await self._send_lines(waiting)
                waiting = []
            for content in contents:
                await self._send_frame(content, WSMsgType.BINARY)
        await self._send_lines(waiting)

    async def _send_lines(self, lines: list[bytes]) -> None:
        for frame in protocol.shared_frames(lines):
            await self._send_frame(frame, WSMsgType.TEXT)

    async def _send_frame(self, frame: bytes, kind: WSMsgType) -> None:
        self._sending_since = time.monotonic()
        await self._socket.send_frame(frame, kind)
        self._sending_since = None

    async def _send(self, *messages: protocol.ToModule) -> None:
        async with self._sending:
            await self._send_lines([protocol.encode(message) for message in messages])

    async def _see_reading(self) -> None:
        """Give a process up that does not read: cancel and quit could not reach it either."""
        while True:
            await asyncio.sleep(1.0)
            since = self._sending_since
            if since is not None and time.monotonic() - since > UNREAD_SECONDS:
                await self._give_up(f"its process has not read what it was sent for {UNREAD_SECONDS:g} s")
                return


def _what_is_wrong(frame: WSMessage) -> str:
    if frame.type is WSMsgType.BINARY:
        return f"its process sent {len(frame.data)} bytes that are not text"
    return f"its process sent what is not a frame of the channel: {frame.data}"


def _is_order(command: Command) -> bool:
    return command.control and command.name in (CANCEL, QUIT)


def _message(claim: Claim) -> protocol.ToModule:
    command, payload = claim.command, claim.payload
    if _is_order(command):
        return protocol.Quit() if command.name == QUIT else protocol.Cancel(payload.values[0].value[0])
    headers = [protocol.FileHeader(f.name, f.filename, f.content_type, f.size, f.path) for f in payload.files]
    return protocol.Command(
        command.command_id, command.name, payload.values, headers, payload.segments, command.request_id
    )


def _new_event(event: protocol.ReplyEvent, n: int) -> NewEvent:
    if isinstance(event, protocol.Delta):
        return NewEvent(EventKind.DELTA, event.text, n)
    return NewEvent(EventKind.FIELDS, event.values, n)
