"""What a broker keeps when its process is killed: whatever had been shown, under the same numbers.

A kill is a copy of its folder, taken while it works: that is what it would have left.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from server.brokers.local.blob_folder import BlobFolder
from server.brokers.local.broker import LocalBroker
from server.commands.command import LIVE, Change, Command, CommandState, Payload, new_command_id
from server.commands.reply_buffer import Event, EventKind, NewEvent
from server.commands.workers import Room

Kill = Callable[[], Awaitable[LocalBroker]]


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[LocalBroker]:
    broker = LocalBroker(tmp_path / "0", BlobFolder(tmp_path / "spool"), reply_bytes=64 * 1024)
    await broker.open()
    yield broker
    await broker.close()


@pytest.fixture
async def kill(broker: LocalBroker, tmp_path: Path) -> AsyncIterator[Kill]:
    """Return the broker that opens what is left now. The first one goes on, in its own folder."""
    opened: list[LocalBroker] = []

    async def reopen() -> LocalBroker:
        left = tmp_path / str(len(opened) + 1)
        shutil.copytree(tmp_path / str(len(opened)), left)
        opened.append(LocalBroker(left, BlobFolder(tmp_path / "spool"), reply_bytes=64 * 1024))
        await opened[-1].open()
        return opened[-1]

    yield reopen
    for again in opened:
        await again.close()


async def running(broker: LocalBroker, *, long: bool = True) -> str:
    """Submit a command and hand it to worker w."""
    made = Command(command_id=new_command_id(), module_id="M", queue="q", name="do", owner="ann", long=long)
    await broker.submit(made, Payload(), 100)
    assert await broker.claim("q", "w", Room(1, 1), 0) is not None
    return made.command_id


async def write(broker: LocalBroker, command_id: str, first: int, *texts: str) -> None:
    await broker.append(command_id, [NewEvent(EventKind.DELTA, text, first + i) for i, text in enumerate(texts)])


async def events(broker: LocalBroker, command_id: str) -> list[Event]:
    page = await broker.read(command_id, 0, 0)
    assert page is not None
    return page.events


async def text(broker: LocalBroker, command_id: str) -> str | None:
    reply = await broker.reply(command_id)
    assert reply is not None
    return reply.text


async def test_events_that_were_just_shown_are_there_after_a_kill(broker: LocalBroker, kill: Kill) -> None:
    command_id = await running(broker)
    await write(broker, command_id, 1, "a", "b")
    shown = await events(broker, command_id)
    again = await kill()
    assert await events(again, command_id) == shown
    assert (await again.last_n(command_id), await text(again, command_id)) == (2, "ab")
    record = await again.get(command_id)
    assert record is not None
    assert (record.state, record.worker_id, record.deliveries) == (CommandState.RUNNING, "w", 1)


async def test_the_numbers_go_on_after_every_kill(broker: LocalBroker, kill: Kill) -> None:
    command_id = await running(broker)
    current = broker
    shown: list[Event] = []
    for n in range(1, 6):
        await write(current, command_id, n, f"{n} ")
        shown = await events(current, command_id)
        current = await kill()
        assert await events(current, command_id) == shown
    assert [event.seq for event in shown] == list(range(1, 8))
    assert await text(current, command_id) == "1 2 3 4 5 "


async def test_a_kill_while_batches_are_written_loses_nothing(broker: LocalBroker, kill: Kill) -> None:
    ids = [await running(broker) for _ in range(3)]
    for n in range(1, 400):
        await write(broker, ids[n % 3], n // 3 + 1, "x" * 20)
        if n % 7 == 0:
            await asyncio.sleep(0)
        if n % 50 == 0:
            flushing = asyncio.create_task(broker.flush())
            await asyncio.sleep(0)
            shown = [await events(broker, command_id) for command_id in ids]
            again = await kill()
            assert [await events(again, command_id) for command_id in ids] == shown
            await flushing
            break
    else:
        pytest.fail("nothing was compared")


async def test_a_command_that_became_long_keeps_what_came_before(broker: LocalBroker, kill: Kill) -> None:
    command_id = await running(broker, long=False)
    await write(broker, command_id, 1, "a")
    await broker.transition(command_id, LIVE, CommandState.RUNNING, Change(long=True))
    await write(broker, command_id, 2, "b")
    shown = await events(broker, command_id)
    assert await events(await kill(), command_id) == shown


async def test_a_requeued_command_is_queued_after_a_kill(broker: LocalBroker, kill: Kill) -> None:
    command_id = await running(broker)
    await broker.requeue(command_id)
    shown = await events(broker, command_id)
    again = await kill()
    assert await events(again, command_id) == shown
    claim = await again.claim("q", "w2", Room(0, 1), 0)
    assert claim is not None
    assert claim.command.command_id == command_id


async def test_deliveries_are_counted_over_kills(broker: LocalBroker, kill: Kill) -> None:
    command_id = await running(broker)
    await broker.requeue(command_id)
    again = await kill()
    assert await again.claim("q", "w2", Room(0, 1), 0) is not None
    record = await (await kill()).get(command_id)
    assert record is not None
    assert (record.state, record.deliveries) == (CommandState.RUNNING, 2)


async def test_an_end_that_was_shown_stays_and_comes_once(broker: LocalBroker, kill: Kill) -> None:
    command_id = await running(broker)
    await write(broker, command_id, 1, "a")
    change = Change(result=msgspec.Raw(b'{"success":true}'))
    await broker.transition(command_id, LIVE, CommandState.COMPLETED, change)
    shown = await events(broker, command_id)
    again = await kill()
    assert await events(again, command_id) == shown
    assert shown[-1].kind is EventKind.RESULT


async def test_a_line_that_was_cut_off_spoils_no_other(broker: LocalBroker, kill: Kill, tmp_path: Path) -> None:
    command_id = await running(broker)
    await write(broker, command_id, 1, "a")
    shown = await events(broker, command_id)
    for journal in (tmp_path / "0").glob("*.journal"):
        with journal.open("ab") as file:
            file.write(b'\n["' + command_id.encode() + b'",[4,"del')
    again = await kill()
    assert await events(again, command_id) == shown
    await write(again, command_id, 2, "b")
    assert await text(await kill(), command_id) == "ab"


async def test_a_new_delivery_begins_text_fields_and_numbers_anew(broker: LocalBroker, kill: Kill) -> None:
    command_id = await running(broker)
    await broker.append(command_id, [NewEvent(EventKind.FIELDS, {"step": 7}, 1)])
    await write(broker, command_id, 2, "old ")
    await broker.requeue(command_id)
    assert await broker.claim("q", "w2", Room(0, 1), 0) is not None
    await write(broker, command_id, 1, "new ")
    for each in (broker, await kill()):
        reply = await each.reply(command_id)
        assert reply is not None
        assert (reply.text, reply.fields) == ("new ", {})


async def test_uploads_of_commands_that_are_gone_are_removed(broker: LocalBroker, kill: Kill, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / "left over").write_bytes(b"x")
    await kill()
    assert list(spool.iterdir()) == []
