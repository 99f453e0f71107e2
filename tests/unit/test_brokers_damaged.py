"""A record folder that is damaged as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.brokers.local.record_store import RecordStore
from server.commands.errors import StorageError


async def test_a_damaged_database_is_not_called_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "cache.db").write_bytes(b"no database" * 100)
    store = RecordStore(tmp_path)
    with pytest.raises(StorageError, match=r"are damaged: file is not a database\. Move that folder away"):
        await store.open()
    await store.close()
