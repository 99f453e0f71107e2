"""Reads a client's request body, in any of the forms clients send, into a payload."""

from __future__ import annotations

import asyncio
import errno
import uuid
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.http import HttpProcessingError
from codeproject_ai_sdk.protocol import MAX_INLINE_FILE, NamedValue

from ..commands.command import Payload, UploadedFile
from ..text import well_formed
from .bad_request import BadRequestError, shortened
from .content_encoding import content_encoding, inflated
from .json_body import Contents, json_in_disguise, named, read_json

MAX_VALUES = 1024
MAX_VALUE_BYTES = 4 * 1024 * 1024
_CHUNK = 256 * 1024
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class BodyReader:
    """Reads bodies of at most ``max_bytes``; files above 1 MiB go to the spool folder as they arrive."""

    def __init__(self, spool: Path, max_bytes: int) -> None:
        self._spool = spool
        self._max_bytes = max_bytes

    async def read(self, request: web.Request, segments: list[str]) -> Payload:
        """Return the payload of a request. Raises ``BadRequestError``."""
        if request.content_length is not None and request.content_length > self._max_bytes:
            raise self._too_large()
        query = _named((key, request.query.getall(key)) for key in dict.fromkeys(request.query))
        values, files = await self._contents(request)
        return Payload(query + values, files, [well_formed(segment) for segment in segments])

    async def _contents(self, request: web.Request) -> Contents:
        kind = request.content_type.lower()
        if kind.startswith("multipart/"):
            return await self._multipart(request)
        text = await self._text(request)
        if kind == "application/json" or kind.endswith("+json"):
            return read_json(text)
        if (contents := json_in_disguise(text)) is not None:
            return contents
        if kind == "application/x-www-form-urlencoded":
            return _urlencoded(text), []
        if text:
            raise BadRequestError(
                f"The content type '{kind}' is not understood. Send multipart/form-data, "
                "application/x-www-form-urlencoded, or JSON with the header 'Content-Type: application/json'.",
                415,
            )
        return [], []

    async def _multipart(self, request: web.Request) -> Contents:
        if request.content_length == 0:
            return [], []
        values: dict[str, list[str]] = {}
        files: list[UploadedFile] = []
        spooled: list[Path] = []
        left = self._max_bytes
        try:
            reader = await self._parts(request)
            while (part := await _next(reader)) is not None:
                if not isinstance(part, BodyPartReader):
                    raise BadRequestError("A multipart body inside a multipart body is not understood.")
                if len(values) + len(files) >= MAX_VALUES:
                    raise BadRequestError(f"The form has more than {MAX_VALUES} fields.", 413)
                if part.filename is not None:
                    files.append(await self._file(part, left, spooled))
                    left -= files[-1].size
                else:
                    text = await self._value(part)
                    left -= len(text)
                    values.setdefault(part.name or "", []).append(text)
        except BaseException as error:
            await asyncio.shield(asyncio.to_thread(_remove, spooled))  # there will be no command to own them
            if isinstance(error, ValueError | AssertionError | HttpProcessingError):
                raise BadRequestError(f"The multipart body cannot be read: {_first_line(error)}") from None
            raise
        return _named(values.items()), files

    async def _parts(self, request: web.Request) -> MultipartReader:
        encoding = content_encoding(request)
        if not encoding:
            return await request.multipart()
        body = await inflated(request, encoding, self._max_bytes)
        stream = StreamReader(request.protocol, len(body) + 1, loop=asyncio.get_running_loop())
        stream.feed_data(body)
        stream.feed_eof()
        return MultipartReader(request.headers, stream)

    async def _value(self, part: BodyPartReader) -> str:
        data = bytearray()
        while chunk := await part.read_chunk(_CHUNK):
            data += chunk
            if len(data) > MAX_VALUE_BYTES:
                raise BadRequestError(f"The field '{part.name}' is larger than {MAX_VALUE_BYTES} bytes.", 413)
        return _utf8(bytes(data), f"The field '{part.name}'")

    async def _file(self, part: BodyPartReader, limit: int, spooled: list[Path]) -> UploadedFile:
        """Read one file. Where it goes to disk, its path is added to ``spooled`` first."""
        data = bytearray()
        path: Path | None = None
        size = 0
        while chunk := await part.read_chunk(_CHUNK):
            size += len(chunk)
            if size > limit:
                raise self._too_large()
            data += chunk
            if len(data) > MAX_INLINE_FILE:
                if path is None:
                    path = self._spool / uuid.uuid4().hex
                    spooled.append(path)
                await asyncio.to_thread(_append, path, bytes(data))
                data.clear()
        if path is not None and data:
            await asyncio.to_thread(_append, path, bytes(data))
        return UploadedFile(
            name=well_formed(part.name or ""),
            filename=well_formed(part.filename or ""),
            content_type=_content_type(part.headers.get("Content-Type")),
            size=size,
            data=None if path else bytes(data),
            path=str(path) if path else None,
        )

    async def _text(self, request: web.Request) -> str:
        encoding = content_encoding(request)
        if encoding:
            return _utf8(await inflated(request, encoding, self._max_bytes), "The body")
        data = bytearray()
        async for chunk in request.content.iter_chunked(_CHUNK):
            data += chunk
            if len(data) > self._max_bytes:
                raise self._too_large()
        return _utf8(bytes(data), "The body")

    def _too_large(self) -> BadRequestError:
        return BadRequestError(f"The body is larger than {self._max_bytes} bytes.", 413)


async def _next(reader: MultipartReader) -> MultipartReader | BodyPartReader | None:
    try:
        return await reader.next()
    except RuntimeError as error:  # what aiohttp says to a '_charset_' that is none
        raise ValueError(str(error)) from None


def _first_line(error: BaseException) -> str:
    text = error.message if isinstance(error, HttpProcessingError) else str(error)
    return shortened(text.partition("\n")[0])


def _urlencoded(text: str) -> list[NamedValue]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_VALUES)
    except ValueError as error:
        raise BadRequestError(f"The form cannot be read: {error}") from None
    values: dict[str, list[str]] = {}
    for key, value in pairs:
        values.setdefault(key, []).append(value)
    return _named(values.items())


def _append(path: Path, data: bytes) -> None:
    """Keep the next part of an upload. Raises ``BadRequestError`` when there is no space for it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(data)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise BadRequestError(f"The uploaded file cannot be kept: {error.strerror}. Free some space.", 507) from None


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _utf8(data: bytes, what: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRequestError(f"{what} is not UTF-8 text (byte {error.start}).") from None


def _content_type(sent: str | None) -> str | None:
    return None if sent is None else well_formed(sent)


def _named(values: Iterable[tuple[str, list[str]]]) -> list[NamedValue]:
    return [named(key, value) for key, value in values]
