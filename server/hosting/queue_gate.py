"""Opening and closing queues as the modules that serve them come and go; several modules may serve one queue."""

from __future__ import annotations

from ..commands.command import Reason
from ..commands.dispatcher import Dispatcher
from ..commands.errors import ModuleUnavailableError


class QueueGate:
    """A queue takes commands as long as one of its modules serves it."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._serving: dict[str, set[str]] = {}

    def open(self, queue: str, module_id: str) -> None:
        """The module serves the queue, or soon will."""
        self._serving.setdefault(queue.lower(), set()).add(module_id)
        self._dispatcher.open_queue(queue)

    async def close(self, queue: str, module_id: str, why: str) -> None:
        """The module does not serve the queue; without another that does, its commands are refused and ended."""
        serving = self._serving.setdefault(queue.lower(), set())
        serving.discard(module_id)
        if serving:
            return
        refusal = ModuleUnavailableError(module_id, why)
        self._dispatcher.close_queue(queue, refusal)
        await self._dispatcher.fail_waiting(queue, Reason.MODULE_STOPPED, str(refusal))
