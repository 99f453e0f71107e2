"""The text of a reply that is too long for memory lies on disk, is shown whole, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from server.brokers.local.text_folder import StoredText, TextFolder
from server.commands.reply_buffer import EventKind, NewEvent
from server.commands.reply_text import PORTION, ReplyText
from tests.support.api_server import running_api

PIECE = "ä€x\n" * 1000


def files(folder: Path) -> list[Path]:
    return sorted((folder / "records" / "texts").glob("*"))


@pytest.fixture
def texts(tmp_path: Path) -> TextFolder:
    folder = TextFolder(tmp_path / "texts")
    folder.open()
    return folder


def test_what_is_too_long_lies_on_disk_and_is_read_whole(texts: TextFolder, tmp_path: Path) -> None:
    text = ReplyText(10_000, texts.new)
    expected = ""
    for count in range(1, 200):
        text.add(PIECE)
        expected += PIECE
        so_far = text.so_far()
        assert so_far.read() == expected
        assert len(so_far.rest) <= max(10_000, PORTION)
        assert (so_far.file is None) == (count < 3)
    assert text.length == len(expected)
    (file,) = (tmp_path / "texts").iterdir()
    assert file.stat().st_mode & 0o077 == 0
    text.clear()
    assert not list((tmp_path / "texts").iterdir())
    assert (text.length, text.begun, text.so_far().read()) == (0, False, "")


def test_a_short_text_needs_no_file(texts: TextFolder, tmp_path: Path) -> None:
    text = ReplyText(10_000, texts.new)
    text.add("a" * 10_000)
    assert (text.so_far().file, list((tmp_path / "texts").iterdir())) == (None, [])


def test_a_disk_that_does_not_take_it_leaves_it_in_memory(tmp_path: Path) -> None:
    places = [tmp_path / "nowhere" / "1.txt", tmp_path / "1.txt"]
    text = ReplyText(1000, lambda: StoredText(places[0]))
    for _ in range(5):
        text.add(PIECE)
    assert text.so_far().read() == PIECE * 5
    places[0].parent.mkdir()
    while text.so_far().rest:
        text.add(PIECE)
    assert text.so_far().read() == PIECE * (text.length // len(PIECE))


async def test_polls_show_it_whole_and_its_end_takes_the_file_with_it(tmp_path: Path) -> None:
    async with running_api(tmp_path) as (server, client):
        (tmp_path / "records" / "texts" / "999.txt").write_text("of the last run")
        posting = asyncio.create_task(client.post("/v1/demo/long", data={"prompt": "hi"}))
        claim = await server.claim()
        await server.started_long(claim)
        (await posting).release()
        command_id = claim.command.command_id
        for _ in range(300):
            await server.dispatcher.append(command_id, [NewEvent(EventKind.DELTA, PIECE)])
        async with client.post("/v1/Demo/get_command_status", data={"commandId": command_id}) as answer:
            assert (await answer.json())["reply"] == PIECE * 300
        async with client.get("/v1/commands?brief=true") as answer:
            assert (await answer.json())["commands"][0]["text_length"] == len(PIECE) * 300
        async with client.get(f"/v1/commands/{command_id}") as answer:
            assert (await answer.json())["text"] == PIECE * 300
        assert len(files(tmp_path)) == 2
        await server.finish(claim, reply="end")
        await server.broker.forget(command_id)
        assert [file.name for file in files(tmp_path)] == ["999.txt"]
    async with running_api(tmp_path):
        assert files(tmp_path) == []
