"""Which module process speaks: no command is handed out, and no answer taken, without knowing that.

A process that the server has started proves itself with the secret of its launch, which our SDK and our
``sitecustomize`` put on its requests. One that cannot carry it (another language than Python, an interpreter that is
told to look nowhere) is known by its end of the connection, which the system knows. How those are known that somebody
started by hand says ``by_hand.py``. Other machines and web pages never come so far (``http/guard.py``).
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from ..commands.workers import Worker, WorkerRegistry
from ..http.addresses import is_loopback
from ..http.bad_request import BadRequestError, shortened
from ..log_book import LogBook
from . import peer_process
from .by_hand import ByHand

SECRET_HEADER = "X-Module-Secret"
COMMAND_HEADER = "X-Module-Command"
"""The command that a process works on as it makes this request, where it knows."""
MAX_TOLD = 64
"""Names of refused modules that the log gets at most, each once."""


class ModuleIdentity:
    """Tells the workers of module processes from everybody else."""

    def __init__(self, workers: WorkerRegistry, log: LogBook, by_hand: ByHand) -> None:
        self._workers = workers
        self._log = log
        self._by_hand = by_hand
        self._told: set[str] = set()
        self._peers: dict[asyncio.Transport, str] = {}
        """The worker at the other end of a connection, for those that carry no secret."""
        self._looking = asyncio.Lock()

    async def poller(self, request: web.Request, module_id: str, queue: str) -> Worker:
        """Return the worker that asks for commands; it may do so only for its own module and queue.

        Raises ``BadRequestError`` for everybody else.
        """
        worker = await self._speaker(request, module_id)
        if worker is None:
            raise self._refusal(module_id)
        if worker.queue.lower() != queue.lower():
            raise BadRequestError(f"The module {worker.module_id} may poll only its queue {worker.queue}.", 403)
        return worker

    async def speaks_for(self, request: web.Request, worker: Worker) -> bool:
        """Whether a request comes from the process of this worker."""
        sent = request.headers.get(SECRET_HEADER)
        if worker.external and not worker.secret:
            return self._by_hand.admits(worker.module_id)
        if sent is not None:
            return self._workers.by_secret(sent) is worker
        return await self._is_peer(request, worker)

    async def status_of(self, request: web.Request, module_id: str) -> Worker | None:
        """Return the worker that tells of this module's state; ``None`` when it is not its process."""
        return await self._speaker(request, module_id)

    def launched(self, request: web.Request) -> Worker | None:
        """Return the worker whose secret a request carries; ``None`` without a valid one."""
        sent = request.headers.get(SECRET_HEADER)
        return self._workers.by_secret(sent) if sent and is_loopback(request) else None

    def owner_of_call(self, request: web.Request) -> str | None:
        """Return whose work a module process does when it calls the server; ``None`` when it is none.

        It is the owner of the command that the request names, or of all those that the process runs. Where that is not
        one owner, the call is the module's own, and no owner sees what comes of it.
        """
        worker = self.launched(request)
        if worker is None:
            return None
        named = request.headers.get(COMMAND_HEADER)
        owners = set(worker.owners.values()) if named is None else {worker.owners.get(named)}
        owner = owners.pop() if len(owners) == 1 else None
        return f"module:{worker.module_id}" if owner is None else owner

    # --- inside -----------------------------------------------------------------------------------

    async def _speaker(self, request: web.Request, module_id: str) -> Worker | None:
        wanted = module_id.lower()
        worker = self.launched(request)
        if worker is None:
            await self._by_hand.look()
            worker = self.launched(request)
        if worker is not None and worker.module_id.lower() == wanted:
            return worker
        if self._by_hand.admits(module_id):
            return self._by_hand.admitted_worker(module_id)
        if SECRET_HEADER in request.headers:
            return None
        for candidate in self._workers.all():
            if candidate.module_id.lower() == wanted and await self._is_peer(request, candidate):
                return candidate
        return None

    async def _is_peer(self, request: web.Request, worker: Worker) -> bool:
        """Whether the system says that the other end is this worker's. Looked up once for a connection."""
        transport, pid = request.transport, worker.pid
        if transport is None or pid is None or worker.kind == "channel":
            return False
        async with self._looking:
            if transport not in self._peers:
                address = transport.get_extra_info("peername")
                if not address or not await asyncio.to_thread(peer_process.holds, pid, address):
                    return False
                self._peers = {open_: known for open_, known in self._peers.items() if not open_.is_closing()}
                self._peers[transport] = worker.worker_id
            return self._peers[transport] == worker.worker_id

    def _refusal(self, module_id: str) -> BadRequestError:
        """Say who was refused: each once in the log."""
        name = shortened(module_id)
        if name.lower() not in self._told and len(self._told) < MAX_TOLD:
            self._told.add(name.lower())
            self._log.add(
                f"A process that is none of this server's asked for the commands of the module {name!r} and was "
                "refused. If you have started it yourself, name the module in external_modules in the server's "
                f"settings, or start it with: python -m server modules run {name}",
                "warning",
            )
        return BadRequestError("This process is not one that the server started for this module.", 403)
