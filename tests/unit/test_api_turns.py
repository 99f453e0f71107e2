"""Others have their turn while a body is read, however many small things or however large a text it holds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from server.brokers.local.blob_folder import BlobFolder
from server.http import request_body
from server.http.body_limits import BodyLimits
from server.http.multipart_form import MultipartForm
from server.http.request_body import BodyReader

FORM = "multipart/form-data; boundary=xx"
PART = b'--xx\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
LIMITS = BodyLimits()


class Turns:
    """Counts the turns of the event loop."""

    def __init__(self) -> None:
        self.count = 0

    async def during(self, work: Awaitable[object]) -> int:
        async def count() -> None:
            while True:
                self.count += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        await work
        counting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await counting
        return self.count


async def all_parts(body: bytes) -> int:
    async def pieces() -> AsyncIterator[bytes]:
        yield body

    form, seen = MultipartForm(FORM, pieces(), LIMITS), 0
    while await form.next() is not None:
        seen += 1
    return seen


async def test_a_piece_that_holds_many_parts_is_no_single_turn() -> None:
    assert await Turns().during(all_parts(PART * 1000 + b"--xx--\r\n")) > 50


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("application/json", lambda: b'{"a":"' + b"x\\n" * 8_000_000 + b'"}'),
        ("application/json", lambda: b'{"a":[' + b"1, " * 49_000 + b" " * 8_000_000 + b"1]}"),
        ("application/x-www-form-urlencoded", lambda: b"a=" + b"%41+" * 2_000_000),
    ],
)
async def test_a_large_text_is_parsed_beside_the_loop(kind: str, text: Callable[[], bytes], tmp_path: Path) -> None:
    body = bytearray(text())
    reader = BodyReader(BlobFolder(tmp_path), LIMITS)
    parse = reader._parsed(lambda: request_body._parse(kind, body, LIMITS), len(body))
    assert await Turns().during(parse) > 10
