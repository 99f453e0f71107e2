"""When ended commands are forgotten and waiting ones have waited long enough."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from server.brokers.local.blob_folder import BlobFolder
from server.brokers.local.broker import LocalBroker
from server.commands.command import LIVE, Change, Command, CommandState, Payload, new_command_id
from server.commands.retention import Retention, RetentionSettings
from server.commands.workers import Room


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[LocalBroker]:
    broker = LocalBroker(tmp_path / "records", BlobFolder(tmp_path / "spool"))
    await broker.open()
    yield broker
    await broker.close()


async def submit(broker: LocalBroker, long: bool) -> Command:
    command = Command(command_id=new_command_id(), module_id="M", queue="q", name="do", owner="a", long=long)
    await broker.submit(command, Payload(), 10)
    return command


async def end(broker: LocalBroker, command: Command) -> float:
    await broker.claim("q", "w", Room(1, 1), 0)
    change = Change(result=msgspec.Raw(b"{}"))
    ended = await broker.transition(command.command_id, LIVE, CommandState.COMPLETED, change)
    assert ended is not None
    assert ended.ended_at is not None
    return ended.ended_at


async def test_ended_commands_are_trimmed_then_forgotten(broker: LocalBroker) -> None:
    retention = Retention(broker, RetentionSettings(reply=600, result=86400, waiting=3600))
    quick, long = await submit(broker, False), await submit(broker, True)
    await end(broker, quick)
    at = await end(broker, long)
    await retention.sweep(at + 599)
    assert await broker.get(quick.command_id) is None
    page = await broker.read(long.command_id, 0, 0)
    assert page is not None
    assert not page.gone
    await retention.sweep(at + 601)
    page = await broker.read(long.command_id, 0, 0)
    assert page is not None
    assert page.gone
    await retention.sweep(at + 86401)
    assert await broker.get(long.command_id) is None


async def test_a_command_that_waits_too_long_expires_and_a_running_one_does_not(broker: LocalBroker) -> None:
    retention = Retention(broker, RetentionSettings(reply=600, result=86400, waiting=3600))
    running, waiting = await submit(broker, True), await submit(broker, True)
    await broker.claim("q", "w", Room(1, 1), 0)
    await retention.sweep(waiting.created_at + 3599)
    record = await broker.get(waiting.command_id)
    assert record is not None
    assert record.state is CommandState.QUEUED
    await retention.sweep(waiting.created_at + 3601)
    expired, still = await broker.get(waiting.command_id), await broker.get(running.command_id)
    assert expired is not None
    assert still is not None
    assert (expired.state, expired.reason) == (CommandState.EXPIRED, "timeout")
    assert still.state is CommandState.RUNNING
