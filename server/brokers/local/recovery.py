"""What a killed server leaves: records that are behind their events, and events without their end."""

from __future__ import annotations

from ...commands.command import CommandState
from ...commands.reply_buffer import Event, EventKind, NewEvent
from .entry import Entry

_CLOSING_EVENT = {
    CommandState.COMPLETED: EventKind.RESULT,
    CommandState.FAILED: EventKind.ERROR,
    CommandState.EXPIRED: EventKind.ERROR,
    CommandState.CANCELLED: EventKind.CANCELLED,
}


def is_sound(event: Event) -> bool:
    """Whether an event read back from disk says what one of its kind must say."""
    if event.kind is EventKind.DELTA:
        return isinstance(event.data, str)
    if not isinstance(event.data, dict):
        return False
    if event.kind is EventKind.STARTED:
        return isinstance(event.data.get("delivery"), int)
    if event.kind in _CLOSING_EVENT.values():
        return event.data.get("state") in list(_CLOSING_EVENT) and {"reason", "error"} <= event.data.keys()
    return True


def replay(entry: Entry, event: Event) -> bool:
    """Take an event from the journal; false when the store had it already."""
    if event.seq != entry.buffer.last_seq + 1:
        return False
    entry.buffer.restore(event)
    entry.unwritten.append(event)
    return True


def mend(entry: Entry, now: float) -> None:
    """Bring a record up to what its last event says: events can be on disk a moment before the record."""
    events = entry.buffer.after(0)[0]
    command = entry.command
    if not events or command.ended:
        return
    last = events[-1]
    if last.kind in _CLOSING_EVENT.values():
        command.state = CommandState(last.data["state"])
        command.reason, command.error = last.data["reason"], last.data["error"]
        command.ended_at = now
    elif last.kind is EventKind.QUEUED:
        if command.state is CommandState.RUNNING:
            command.state, command.worker_id = CommandState.QUEUED, None
        command.deliveries = last.data.get("deliveries", command.deliveries)
    elif command.state is CommandState.QUEUED:
        command.state = CommandState.RUNNING
        if last.kind is EventKind.STARTED:
            command.deliveries = last.data["delivery"]
    else:
        return
    entry.version += 1


def missing_end(entry: Entry) -> NewEvent | None:
    """Return the closing event of an ended command that has none yet."""
    command = entry.command
    if not command.ended:
        return None
    kind = _CLOSING_EVENT[command.state]
    events = entry.buffer.after(max(0, entry.buffer.last_seq - 1))[0]
    if events and events[-1].kind is kind:
        return None
    return NewEvent(kind, {"state": command.state.value, "reason": command.reason, "error": command.error})
