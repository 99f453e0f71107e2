"""A record folder in which something is damaged: the server starts, says what is lost, and nothing else is."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from server.brokers.local.blob_folder import BlobFolder
from server.brokers.local.broker import LocalBroker
from server.brokers.local.record_store import RecordStore
from server.commands.command import LIVE, Change, Command, CommandState, Payload, UploadedFile, new_command_id
from server.commands.errors import StorageError
from server.commands.reply_buffer import EventKind, NewEvent
from server.commands.workers import Room

DONE = Change(result=msgspec.Raw(b'{"success":true}'))
LARGE = random.Random(1).randbytes(100_000)


async def opened(folder: Path) -> LocalBroker:
    broker = LocalBroker(folder, BlobFolder(folder.parent / "spool"))
    await broker.open()
    return broker


async def ended(broker: LocalBroker, *texts: str) -> str:
    command_id = await running(broker, *texts)
    await broker.transition(command_id, LIVE, CommandState.COMPLETED, DONE)
    return command_id


async def running(broker: LocalBroker, *texts: str) -> str:
    command_id = await queued(broker)
    assert await broker.claim("q", "w", Room(1, 1), 0) is not None
    for n, text in enumerate(texts, 1):
        await broker.append(command_id, [NewEvent(EventKind.DELTA, text, n)])
        await broker.flush()
    return command_id


async def queued(broker: LocalBroker, content: bytes = b"") -> str:
    made = Command(command_id=new_command_id(), module_id="M", queue="q", name="do", owner="ann", long=True)
    await broker.submit(made, Payload([], [UploadedFile("f", "x", None, len(content), content)]), 100)
    return made.command_id


@pytest.fixture
async def left(tmp_path: Path) -> tuple[Path, list[str]]:
    """A folder with three commands: one that has ended, one that runs, and one that waits, with much to send."""
    broker = await opened(tmp_path / "records")
    ids = [await ended(broker, "Hello ", "world"), await running(broker, "one ", "two "), await queued(broker, LARGE)]
    await broker.close()
    return tmp_path / "records", ids


def rows(folder: Path, sql: str, *values: object) -> list[Any]:
    with sqlite3.connect(folder / "cache.db") as database:
        found = database.execute(sql, values).fetchall()
    database.close()
    return found


def packed(value: object) -> bytes:
    return zlib.compress(json.dumps(value).encode(), 1)


def unpacked(key: bytes) -> str:
    return str(json.loads(zlib.decompress(key)))


def put(folder: Path, key: str, value: object) -> None:
    content = value if isinstance(value, bytes) else packed(value)
    rows(folder, "UPDATE Cache SET value = ?, mode = 1, filename = NULL WHERE key = ?", content, packed(key))
    assert rows(folder, "SELECT count(*) FROM Cache WHERE key = ?", packed(key)) == [(1,)]


def value(folder: Path, key: str) -> Any:
    ((content,),) = rows(folder, "SELECT value FROM Cache WHERE key = ?", packed(key))
    return json.loads(zlib.decompress(content))


async def after(folder: Path) -> tuple[list[str], str]:
    """Open the folder twice; return the ids that are known, and what was said the first time."""
    broker = await opened(folder)
    known, said = [one.command_id for one in await broker.records()], "\n".join(broker.damaged)
    await broker.close()
    again = await opened(folder)
    assert [one.command_id for one in await again.records()] == known
    assert again.damaged == []
    await again.close()
    return known, said


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("command:{}", b"no zlib"),
        ("command:{}", packed({"command_id": 5})),
        ("command:{}", packed([1, 2])),
        ("command:{}", packed("x")),
        ("command:{}", b""),
        ("events:{}:0", b"no zlib"),
        ("events:{}:0", packed([{"seq": "1"}])),
        ("events:{}:0", packed([{"seq": 1, "kind": "delta", "data": 5, "n": 1}])),
        ("events:{}:0", packed([{"seq": 1, "kind": "result", "data": {}, "n": 0}])),
        ("events:{}:0", packed([])),
        ("events:{}:1", packed([{"seq": 900, "kind": "queued", "data": {}, "n": 0}])),
    ],
)
@pytest.mark.parametrize("which", [0, 1])
async def test_a_damaged_row_is_named_and_harms_no_other(
    left: tuple[Path, list[str]], kind: str, content: bytes, which: int
) -> None:
    folder, ids = left
    put(folder, kind.format(ids[which]), content)
    known, said = await after(folder)
    assert known == [one for one in ids if one != ids[which]]
    assert ids[which] in said
    assert "lost" in said
    assert any((folder / "damaged").iterdir())


async def test_a_command_that_waits_does_not_run_without_what_its_client_sent(left: tuple[Path, list[str]]) -> None:
    folder, ids = left
    for file in folder.glob("??/*/*.val"):
        file.write_bytes(file.read_bytes()[:-5])
    known, said = await after(folder)
    assert known == ids[:2]
    assert ids[2] in said


async def test_a_row_whose_name_is_damaged_is_named_with_what_belongs_to_it(left: tuple[Path, list[str]]) -> None:
    folder, ids = left
    rows(folder, "UPDATE Cache SET key = ? WHERE key = ?", b"nonsense", packed(f"command:{ids[0]}"))
    known, said = await after(folder)
    assert known == ids[1:]
    assert f"Command {ids[0]} cannot be read" in said


@pytest.mark.parametrize("kind", ["\0payload", "../../payload", "/payload", "x" * 5000, "\ud800", "\r\n"])
async def test_what_is_set_aside_stays_in_its_folder_whatever_its_name(left: tuple[Path, list[str]], kind: str) -> None:
    folder, ids = left
    before = set(folder.parent.rglob("*"))
    rows(folder, "UPDATE Cache SET key = ? WHERE key = ?", packed(f"{kind}:{ids[0]}"), packed(f"payload:{ids[0]}"))
    known, said = await after(folder)
    assert known == ids[1:]
    assert ids[0] in said
    new = {path for path in folder.parent.rglob("*") if path not in before and not path.name.startswith("cache.db")}
    assert {path for path in new if folder / "damaged" not in path.parents} == {folder / "damaged"}
    assert len(list((folder / "damaged").iterdir())) > 1


@pytest.mark.parametrize("filename", ["../outside", "/etc/hostname", "ab/../../outside", "a\0b", "."])
@pytest.mark.parametrize("place", ["mode = 2, value = NULL", "mode = 1"])
async def test_a_damaged_row_has_no_file_elsewhere(left: tuple[Path, list[str]], filename: str, place: str) -> None:
    folder, ids = left
    outside = folder.parent / "outside"
    outside.write_bytes(packed({}))
    sql = f"UPDATE Cache SET filename = ?, {place} WHERE key = ?"
    rows(folder, sql, filename, packed(f"command:{ids[0]}"))
    known, _ = await after(folder)
    assert known == ids[1:]
    assert outside.exists()


async def test_a_missing_part_of_a_reply_does_not_leave_a_reply_that_looks_whole(left: tuple[Path, list[str]]) -> None:
    folder, ids = left
    rows(folder, "DELETE FROM Cache WHERE key = ?", packed(f"events:{ids[0]}:1"))
    known, said = await after(folder)
    assert known == ids[1:]
    assert "a part of its reply is missing" in said


async def test_an_ended_reply_without_its_last_part_does_not_look_whole(left: tuple[Path, list[str]]) -> None:
    folder, ids = left
    numbers = [key for (key,) in rows(folder, "SELECT key FROM Cache") if f"events:{ids[0]}:" in unpacked(key)]
    for key in sorted(numbers, key=unpacked)[-2:]:
        rows(folder, "DELETE FROM Cache WHERE key = ?", key)
    known, said = await after(folder)
    assert known == ids[1:]
    assert "the end of its reply is missing" in said


async def test_a_row_is_never_unpickled(left: tuple[Path, list[str]]) -> None:
    folder, ids = left
    rows(folder, "UPDATE Cache SET mode = 4 WHERE key = ?", packed(f"command:{ids[0]}"))
    assert ids[0] not in (await after(folder))[0]


async def test_what_a_kill_left_between_two_deletions_is_removed(left: tuple[Path, list[str]]) -> None:
    folder, ids = left
    rows(folder, "DELETE FROM Cache WHERE key = ?", packed(f"command:{ids[0]}"))
    stray = folder / "ab" / "cd" / "stray.val"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"x")
    known, said = await after(folder)
    assert (known, said) == (ids[1:], "")
    assert rows(folder, "SELECT count(*) FROM Cache WHERE key = ?", packed(f"payload:{ids[0]}")) == [(0,)]
    assert rows(folder, "SELECT count(*) FROM Cache WHERE key = ?", packed(f"events:{ids[0]}:0")) == [(0,)]
    assert not stray.exists()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.2, 0.5, 0.9, 0.999])
async def test_a_truncated_database_is_set_aside(left: tuple[Path, list[str]], share: float) -> None:
    folder, ids = left
    database = folder / "cache.db"
    content = database.read_bytes()
    database.write_bytes(content[: int(len(content) * share)])
    known, said = await after(folder)
    assert set(known) <= set(ids)
    assert set(known) == set(ids) or "cache.db" in said or share == 0


async def test_a_byte_anywhere_in_the_database_keeps_no_server_from_starting(
    left: tuple[Path, list[str]], tmp_path: Path
) -> None:
    folder, ids = left
    dice = random.Random(7)
    content = (folder / "cache.db").read_bytes()
    for number in range(40):
        damaged = bytearray(content)
        damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        copy = tmp_path / str(number) / "records"
        shutil.copytree(folder, copy)
        (copy / "cache.db").write_bytes(damaged)
        known, said = await after(copy)
        assert set(known) <= set(ids)
        assert set(known) == set(ids) or said


@pytest.mark.parametrize("content", [b"no database" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
async def test_what_is_no_database_is_set_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cache.db").write_bytes(content)
    store = RecordStore(tmp_path)
    assert await store.open() == []
    assert "cache.db.damaged-1" in store.damaged[0]
    assert (tmp_path / "cache.db.damaged-1").read_bytes() == content
    await store.close()


@pytest.mark.parametrize("name", ["cache.db", "events-a.journal", "events-b.journal"])
async def test_a_folder_where_a_file_should_be_is_set_aside(left: tuple[Path, list[str]], name: str) -> None:
    folder, _ = left
    (folder / name).unlink()
    (folder / name).mkdir()
    _, said = await after(folder)
    assert f"{name} should be a file" in said


async def test_a_file_where_the_folder_should_be_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "records").write_bytes(b"x")
    known, said = await after(tmp_path / "records")
    assert known == []
    assert "should be a folder" in said


async def in_the_journal(folder: Path) -> tuple[LocalBroker, str]:
    """A command of which everything but its record is in the journal only."""
    broker = await opened(folder)
    command_id = await running(broker)
    await broker.flush()
    for n in range(1, 5):
        await broker.append(command_id, [NewEvent(EventKind.DELTA, f"{n} ", n)])
    return broker, command_id


@pytest.mark.parametrize("place", [3, 50, 70, 90, -3])
async def test_a_damaged_line_of_the_journal_is_named_and_nothing_after_it_looks_whole(
    tmp_path: Path, place: int
) -> None:
    broker, command_id = await in_the_journal(tmp_path / "records")
    shutil.copytree(tmp_path / "records", tmp_path / "left" / "records")
    await broker.close()
    for path in (tmp_path / "left" / "records").glob("*.journal"):
        lines = path.read_bytes().split(b"\n")
        for index, line in enumerate(lines):
            if b'"2 "' in line:
                damaged = bytearray(line)
                damaged[place] ^= 1
                lines[index] = bytes(damaged)
        path.write_bytes(b"\n".join(lines))
    again = await opened(tmp_path / "left" / "records")
    reply = await again.reply(command_id)
    assert reply is not None
    assert (reply.text, await again.last_n(command_id)) == ("1 ", 1)
    said = "\n".join(again.damaged)
    assert "1 lines of" in said
    assert f"Event 5 of command {command_id} is lost" in said
    await again.close()


async def test_a_journal_without_checksums_is_read(tmp_path: Path) -> None:
    broker, command_id = await in_the_journal(tmp_path / "records")
    shutil.copytree(tmp_path / "records", tmp_path / "left" / "records")
    await broker.close()
    for path in (tmp_path / "left" / "records").glob("*.journal"):
        path.write_bytes(b"\n".join(line[46:] for line in path.read_bytes().split(b"\n")) + b"\n")
    again = await opened(tmp_path / "left" / "records")
    reply = await again.reply(command_id)
    assert reply is not None
    assert (reply.text, again.damaged) == ("1 2 3 4 ", [])
    await again.close()


async def test_only_a_full_disk_is_called_one(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    await store.open()
    other = sqlite3.connect(tmp_path / "cache.db")
    other.execute("DROP TABLE Cache")
    other.commit()
    other.close()
    with pytest.raises(StorageError, match="Look at the disk") as caught:
        await store.write([("command:x", {})])
    assert "space" not in str(caught.value)
    await store.close()


async def test_a_full_database_says_that_space_is_missing(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    await store.open()
    await store._run(lambda: store._cache._sql("PRAGMA max_page_count = 1"))
    with pytest.raises(StorageError, match="Free some space"):
        await store.write([(f"command:{number}", {"text": "x" * 20_000}) for number in range(2000)])
    await store.close()


async def test_the_rows_of_damaged_commands_stay_away_from_new_ones(left: tuple[Path, list[str]]) -> None:
    folder, ids = left
    put(folder, f"events:{ids[0]}:0", b"no zlib")
    await after(folder)
    assert [name for name in ids if any(name in path.name for path in (folder / "damaged").iterdir())] == [ids[0]]
