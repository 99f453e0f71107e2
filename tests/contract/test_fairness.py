"""Fifty owners with twenty commands each, one slot: nobody waits for another's whole backlog."""

from __future__ import annotations

from pathlib import Path

import msgspec

from server.brokers.local.blob_folder import BlobFolder
from server.brokers.local.broker import LocalBroker
from server.commands.command import LIVE, Change, Command, CommandState, Payload, new_command_id
from server.commands.workers import Room

OWNERS = [f"owner-{number:02}" for number in range(50)]
EACH = 20


async def test_completion_is_fair_and_positions_count_down(tmp_path: Path) -> None:
    broker = LocalBroker(tmp_path / "records", BlobFolder(tmp_path / "spool"))
    await broker.open()
    owner_of: dict[str, str] = {}
    for owner in OWNERS:
        for _ in range(EACH):
            made = Command(command_id=new_command_id(), module_id="M", queue="q", name="do", owner=owner)
            await broker.submit(made, Payload(), len(OWNERS) * EACH)
            owner_of[made.command_id] = owner
    watched = {owner: [cid for cid, own in owner_of.items() if own == owner][-1] for owner in OWNERS}
    positions: dict[str, list[int]] = {owner: [] for owner in OWNERS}
    order = []
    for _ in range(len(owner_of)):
        for owner, command_id in watched.items():
            position = await broker.position(command_id)
            if position is not None:
                positions[owner].append(position)
        claim = await broker.claim("q", "w", Room(1, 0), 0)
        assert claim is not None
        order.append(owner_of[claim.command.command_id])
        result = Change(result=msgspec.Raw(b'{"success":true}'))
        await broker.transition(claim.command.command_id, LIVE, CommandState.COMPLETED, result)
    for turn in range(EACH):
        assert sorted(order[turn * len(OWNERS) : (turn + 1) * len(OWNERS)]) == OWNERS, "each owner once a round"
    for seen in positions.values():
        assert seen == sorted(seen, reverse=True), "a position never grows"
        assert seen[-1] == 0
    await broker.close()
