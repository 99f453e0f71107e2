"""Reads a client's request body, in any of the forms clients send, into a payload.

Whoever reads a body owns the blobs in it, until it says that a command was accepted with them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import msgspec
from aiohttp import web
from codeproject_ai_sdk.protocol import MAX_INLINE_FILE, NamedValue

from ..commands.blobs import BlobError, Blobs
from ..commands.command import Payload, UploadedFile
from ..text import well_formed
from .bad_request import BadRequestError, shortened
from .body_limits import BodyLimits
from .body_stream import body_pieces, whole_body
from .json_body import Contents, json_in_disguise, named, read_json
from .multipart_form import MultipartForm
from .part_headers import PartHeaders
from .urlencoded import read_urlencoded

_INLINE_BYTES = 4 * MAX_INLINE_FILE
"""What the small files of one request may take of the memory together; those behind them go to disk as well."""
_FILE_TYPES = ("image/", "audio/", "video/", "font/", "application/pdf", "application/zip")
_WRITE_BYTES = 1024 * 1024
_LARGE_TEXT = 64 * 1024
"""From this size on a text is parsed in a thread."""
_PARSERS = 2
"""Threads for that. They share one lock with the event loop, so more of them would only hold it up."""


class Received:
    """What came in with one request; see ``BodyReader.read``."""

    def __init__(self, blobs: Blobs) -> None:
        self.payload = Payload()
        self._blobs = blobs
        self._owned: list[str] = []

    def keep(self) -> None:
        """A command was accepted with it: its blobs are the broker's from now on."""
        self._owned = []

    async def put(self, pieces: AsyncIterator[bytes]) -> tuple[str, int]:
        """Keep a large file as a blob; return how it is named, and its size. Raises ``BadRequestError``."""
        try:
            blob = await self._blobs.put(pieces)
        except BlobError as error:
            raise BadRequestError(str(error), 507) from None
        self._owned.append(blob.reference)
        return blob.reference, blob.size

    async def let_go(self) -> None:
        """Delete the blobs that are still owned here, also when this is cancelled."""
        if self._owned:
            await asyncio.shield(asyncio.ensure_future(self._blobs.delete(self._owned)))


class BodyReader:
    """Reads bodies within limits; files above 1 MiB become blobs as they arrive."""

    def __init__(self, blobs: Blobs, limits: BodyLimits) -> None:
        self._blobs = blobs
        self._limits = limits
        self._parsers = ThreadPoolExecutor(_PARSERS, thread_name_prefix="bodies")

    @contextlib.asynccontextmanager
    async def read(
        self, request: web.Request, segments: Iterable[str] = (), most_bytes: int | None = None
    ) -> AsyncIterator[Received]:
        """Read the body of a request, of at most ``most_bytes``. Raises ``BadRequestError``.

        At the end of the block its blobs are deleted, unless ``keep`` was called in it.
        """
        received = Received(self._blobs)
        try:
            limit = self._limits.body_bytes if most_bytes is None else min(most_bytes, self._limits.body_bytes)
            query = _named((key, request.query.getall(key)) for key in dict.fromkeys(request.query))
            values, files = await self._contents(request, received, limit)
            if sum(len(item.value) for item in query + values) + len(files) > self._limits.form_fields:
                raise _too_many(self._limits)
            for item in values:
                _check_name(item.key, self._limits)
            received.payload = Payload(query + values, files, [well_formed(segment) for segment in segments])
            yield received
        finally:
            await received.let_go()

    async def _contents(self, request: web.Request, received: Received, limit: int) -> Contents:
        kind = request.content_type.lower()
        if kind.startswith("multipart/"):
            return await self._multipart(request, received, limit)
        if kind.startswith(_FILE_TYPES) and request.can_read_body:
            raise _not_understood(kind)
        text = await whole_body(request, min(limit, self._limits.text_bytes))
        values, files = await self._parsed(lambda: _parse(kind, text, self._limits), len(text))
        return values, [await _kept(file, received) for file in files]

    async def _parsed(self, parse: Callable[[], Contents], size: int) -> Contents:
        if size <= _LARGE_TEXT:
            return parse()
        return await asyncio.get_running_loop().run_in_executor(self._parsers, parse)

    async def _multipart(self, request: web.Request, received: Received, limit: int) -> Contents:
        if request.content_length == 0:
            return [], []
        form = MultipartForm(request.headers.get("Content-Type", ""), body_pieces(request, limit), self._limits)
        values: dict[str, list[str]] = {}
        files: list[UploadedFile] = []
        count, text_left, inline_left = 0, self._limits.text_bytes, _INLINE_BYTES
        while (part := await form.next()) is not None:
            count += 1
            if count > self._limits.form_fields:
                raise _too_many(self._limits)
            _check_name(part.name, self._limits)
            if part.is_file:
                files.append(await self._file(part, form.data(), received, min(inline_left, MAX_INLINE_FILE)))
                inline_left -= len(files[-1].data or b"")
            else:
                text = await self._value(part, form.data(), text_left)
                text_left -= len(text)
                values.setdefault(part.name, []).append(_utf8(text, f"The field '{part.name}'"))
        return _named(values.items()), files

    async def _value(self, part: PartHeaders, data: AsyncIterator[bytes], most_bytes: int) -> bytes:
        text = bytearray()
        async for piece in data:
            text += piece
            if len(text) > most_bytes:
                raise BadRequestError(f"The values of the form are larger than {self._limits.text_bytes} bytes.", 413)
        return bytes(text)

    async def _file(
        self, part: PartHeaders, data: AsyncIterator[bytes], received: Received, most_inline: int
    ) -> UploadedFile:
        """Read one file: into memory if it is small, or else into a blob."""
        _check_name(part.filename or "", self._limits)
        head = bytearray()
        path, size = None, 0
        async for piece in data:
            head += piece
            if len(head) > most_inline:
                path, size = await received.put(_gathered(bytes(head), data))
                break
        return UploadedFile(
            name=part.name,
            filename=part.name if part.filename is None else part.filename,
            content_type=part.content_type,
            size=size if path else len(head),
            data=None if path else bytes(head),
            path=path,
        )


async def _gathered(head: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the whole of a file in pieces that are worth writing."""
    data = bytearray(head)
    async for piece in rest:
        if len(data) >= _WRITE_BYTES:
            yield bytes(data)
            data.clear()
        data += piece
    yield bytes(data)


def _parse(kind: str, text: bytearray, limits: BodyLimits) -> Contents:
    if kind == "application/json" or kind.endswith("+json"):
        return read_json(text, limits)
    if (contents := json_in_disguise(text, limits)) is not None:
        return contents
    if kind == "application/x-www-form-urlencoded":
        return _named(read_urlencoded(text, limits).items()), []
    if text:
        raise _not_understood(kind)
    return [], []


async def _kept(file: UploadedFile, received: Received) -> UploadedFile:
    if file.data is None or file.size <= MAX_INLINE_FILE:
        return file
    path, _ = await received.put(_slices(file.data))
    return msgspec.structs.replace(file, data=None, path=path)


async def _slices(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), _WRITE_BYTES):
        yield data[start : start + _WRITE_BYTES]


def _not_understood(kind: str) -> BadRequestError:
    return BadRequestError(
        f"The content type '{shortened(kind)}' is not understood. Send multipart/form-data (with curl: "
        "-F image=@FILE), application/x-www-form-urlencoded, or JSON with the header 'Content-Type: application/json'.",
        415,
    )


def _too_many(limits: BodyLimits) -> BadRequestError:
    return BadRequestError(f"The request has more than {limits.form_fields} fields.", 413)


def _check_name(name: str, limits: BodyLimits) -> None:
    if len(name) > limits.name_bytes:
        raise BadRequestError(f"The name '{shortened(name)}' is longer than {limits.name_bytes} characters.")


def _utf8(data: bytes, what: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRequestError(f"{what} is not UTF-8 text (byte {error.start}).") from None


def _named(values: Iterable[tuple[str, list[str]]]) -> list[NamedValue]:
    return [named(key, value) for key, value in values]
