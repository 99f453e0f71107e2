"""Ids that are drawn in blocks: all different, and in their form."""

from __future__ import annotations

import uuid

from server.commands.command import new_command_id
from server.random_ids import RandomIds


def test_no_two_are_alike_over_several_blocks() -> None:
    ids = RandomIds(24)
    drawn = [ids.draw() for _ in range(2000)]
    assert len(set(drawn)) == 2000
    assert {len(one) for one in drawn} == {24}


def test_command_ids_are_uuids_of_version_four() -> None:
    for _ in range(600):
        found = new_command_id()
        parsed = uuid.UUID(found)
        assert (str(parsed), parsed.version, parsed.variant) == (found, 4, uuid.RFC_4122)
