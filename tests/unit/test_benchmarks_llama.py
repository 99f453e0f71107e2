"""The parts of the llama benchmark that need no model, against tiny real servers and programs."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from benchmarks.json_worker import JsonWorker
from benchmarks.llama.benchmark import ROWS, chosen
from benchmarks.llama.chat_stream import ChatSeen, StreamError, ask_all, longest_gap, open_chat
from benchmarks.llama.long_prompt import Beside, beside
from benchmarks.llama.many_chats import ChatsSeen, summarise
from benchmarks.llama.prompts import SYSTEM, chat, question
from benchmarks.llama.second_turn import history, next_turn
from benchmarks.options import Options
from benchmarks.processes import BenchmarkError

OPENAI = (
    b'data: {"choices":[{"delta":{"role":"assistant","content":null}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"Hi \\"you\\""}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":" \xc3\xa9"}}]}\n\n',
    b'data: {"choices":[],"usage":{"completion_tokens":4,"prompt_tokens":30,'
    b'"prompt_tokens_details":{"cached_tokens":20}}}\n\n',
    b"data: [DONE]\n\n",
)
MILLRACE = (
    b': queued\n\nid: 1\nevent: queued\ndata: {"position":0}\n\nid: 2\nevent: delta\ndata: {"text":""}\n\n',
    b'id: 3\nevent: delta\ndata: {"text":"Hi \\"you\\""}\n\nid: 4\nevent: delta\ndata: {"text":" \xc3\xa9"}\n\n',
    b'id: 5\nevent: result\ndata: {"result":{"reply":"Hi you","usage":{"prompt_tokens":30,"completion_tokens":4,'
    b'"prompt_tokens_details":{"cached_tokens":20}}}}\n\n',
)
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Command-Id: abc\r\n\r\n"


def chunked(*chunks: bytes) -> bytes:
    return HEAD + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


@contextlib.asynccontextmanager
async def answering(answer: bytes, piece: int = 100_000) -> AsyncIterator[int]:
    """Answer every request with these bytes, so many at once, and end the connection; yield the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for start in range(0, len(answer), piece):
            writer.write(answer[start : start + piece])
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("events", [OPENAI, MILLRACE], ids=["openai", "millrace"])
@pytest.mark.parametrize("piece", [1, 7, 100_000])
async def test_one_client_reads_both_kinds_of_stream(events: tuple[bytes, ...], piece: int) -> None:
    async with answering(chunked(*events), piece) as port:
        stream = await open_chat(port, b"POST / HTTP/1.1\r\n\r\n")
        stream.ask()
        seen = await asyncio.wait_for(stream.seen, 60)
    assert (seen.tokens, seen.prompt_tokens, seen.cached) == (4, 30, 20)
    assert seen.text == 'Hi "you" é'
    assert len(stream.pieces) == 2, "what says nothing is no text"
    assert 0 < seen.first <= stream.pieces[-1] - stream.asked <= seen.ended
    assert stream.command_id == "abc"


async def test_chunks_may_end_within_an_event() -> None:
    whole = b"".join(OPENAI)
    async with answering(chunked(whole[:90], whole[90:91], whole[91:])) as port:
        seen = (await ask_all(port, [b"POST / HTTP/1.1\r\n\r\n"] * 3))[2]
    assert seen.text == 'Hi "you" é'


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (b"HTTP/1.1 429 Too Many\r\nContent-Length: 4\r\n\r\nbusy", "busy"),
        (chunked(*OPENAI)[:-5], "cut off"),
        (chunked(*OPENAI[:3]), "without its usage"),
        (chunked(*OPENAI[3:]), "without text"),
    ],
    ids=["refused", "cut off", "no usage", "no text"],
)
async def test_a_reply_that_is_not_whole_is_an_error(answer: bytes, shown: str) -> None:
    async with answering(answer) as port:
        with pytest.raises(StreamError, match=shown):
            await asyncio.wait_for(ask_all(port, [b"POST / HTTP/1.1\r\n\r\n"]), 60)


def test_chats_have_their_instructions_in_common_and_nothing_else() -> None:
    chats = [chat(f"{number}/{who}") for number in range(2) for who in range(2)]
    assert {messages[0]["content"] for messages in chats} == {SYSTEM}
    questions = [messages[1]["content"] for messages in chats]
    assert len({text[:40] for text in questions}) == 4
    assert questions[0] == question("0/0", 90)
    assert len(questions[0].split()) == 90


def test_the_next_turn_goes_on_where_the_history_ends() -> None:
    before = history("x")
    after = next_turn(before, "because", "x")
    assert after[: len(before)] == before == history("x")
    assert after[len(before)] == {"role": "assistant", "content": "because"}
    assert [message["role"] for message in after] == ["system", *["user", "assistant"] * 20, "user"]
    assert len({message["content"] for message in after}) == len(after)


def seen(first: float, ended: float, tokens: int = 10) -> ChatSeen:
    return ChatSeen(first=first, ended=ended, tokens=tokens, prompt_tokens=5, cached=0, text="x")


def test_chats_at_once_are_summed_up_over_the_time_of_the_longest() -> None:
    summed = summarise([seen(0.3, 4.0), seen(0.1, 5.0), seen(0.2, 2.0)])
    assert summed == ChatsSeen(rate=6.0, first_p50=0.2, first_p95=0.3)


def test_the_longest_gap() -> None:
    assert longest_gap([1.0, 2.0, 5.0, 6.0]) == 3.0
    assert longest_gap([1.0]) == longest_gap([]) == 0.0


def test_silence_until_the_long_prompt_is_done_is_a_gap_too() -> None:
    assert beside(10.0, 4.0, [[9.0, 11.0, 12.0, 13.0], [9.5, 10.5, 20.0]]) == Beside(gap=3.5, rate=1.0, first=4.0)


def options(*rows: str, plot: Path | None = None) -> Options:
    return Options(rounds=1, seconds=1, cache=Path(), rows=rows, plot=plot)


def test_the_rows_to_measure() -> None:
    everything = chosen(options())
    assert set(ROWS) - set(everything) == {"scaling"}
    assert chosen(options("8-chats", "one-stream")) == ["8-chats", "one-stream"]
    assert chosen(options("8-chats", plot=Path("x.png"))) == ["8-chats", "scaling"]
    with pytest.raises(BenchmarkError, match="no row 9-chats"):
        chosen(options("9-chats"))


def test_a_worker_answers_line_by_line_until_it_fails() -> None:
    program = "import json, sys\nfor line in sys.stdin: print(json.dumps(10 / json.loads(line)['by']), flush=True)"
    with JsonWorker([sys.executable, "-c", program]) as worker:
        assert [worker.ask({"by": 2}), worker.ask({"by": 5})] == [5.0, 2.0]
        with pytest.raises(BenchmarkError, match="ZeroDivisionError"):
            worker.ask({"by": 0})
