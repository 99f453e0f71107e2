"""Reads a client's request body, in any of the forms clients send, into a payload."""

from __future__ import annotations

import asyncio
import base64
import binascii
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import BodyPartReader, web
from codeproject_ai_sdk.protocol import MAX_INLINE_FILE, NamedValue

from ..commands.command import Payload, UploadedFile
from ..text import well_formed

MAX_VALUES = 1024
MAX_VALUE_BYTES = 4 * 1024 * 1024
_CHUNK = 256 * 1024


class BadRequestError(Exception):
    """A body that cannot be understood; ``status`` is the HTTP status that says so."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


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
        kind = request.content_type.lower()
        if kind.startswith("multipart/"):
            values, files = await self._multipart(request)
        elif kind == "application/x-www-form-urlencoded":
            values, files = await self._urlencoded(request), []
        elif kind == "application/json" or kind.endswith("+json"):
            values, files = await self._json(request)
        elif request.body_exists and await self._text(request):
            raise BadRequestError(
                f"The content type '{kind}' is not understood. Send multipart/form-data, "
                "application/x-www-form-urlencoded or application/json.",
                415,
            )
        else:
            values, files = [], []
        return Payload(query + values, files, [well_formed(segment) for segment in segments])

    async def _multipart(self, request: web.Request) -> tuple[list[NamedValue], list[UploadedFile]]:
        if request.content_length == 0:
            return [], []
        values: dict[str, list[str]] = {}
        files: list[UploadedFile] = []
        left = self._max_bytes
        try:
            reader = await request.multipart()
            while (part := await reader.next()) is not None:
                if not isinstance(part, BodyPartReader):
                    raise BadRequestError("A multipart body inside a multipart body is not understood.")
                if len(values) + len(files) >= MAX_VALUES:
                    raise BadRequestError(f"The form has more than {MAX_VALUES} fields.", 413)
                if part.filename is not None:
                    files.append(await self._file(part, left))
                    left -= files[-1].size
                else:
                    text = await self._value(part)
                    left -= len(text)
                    values.setdefault(part.name or "", []).append(text)
        except (ValueError, AssertionError) as error:
            raise BadRequestError(f"The multipart body cannot be read: {error}") from None
        return _named(values.items()), files

    async def _value(self, part: BodyPartReader) -> str:
        data = bytearray()
        while chunk := await part.read_chunk(_CHUNK):
            data += chunk
            if len(data) > MAX_VALUE_BYTES:
                raise BadRequestError(f"The field '{part.name}' is larger than {MAX_VALUE_BYTES} bytes.", 413)
        return _utf8(bytes(data), f"The field '{part.name}'")

    async def _file(self, part: BodyPartReader, limit: int) -> UploadedFile:
        data = bytearray()
        spooled: Path | None = None
        size = 0
        while chunk := await part.read_chunk(_CHUNK):
            size += len(chunk)
            if size > limit:
                raise self._too_large()
            data += chunk
            if len(data) > MAX_INLINE_FILE:
                spooled = spooled or self._spool / uuid.uuid4().hex
                await asyncio.to_thread(_append, spooled, bytes(data))
                data.clear()
        if spooled is not None and data:
            await asyncio.to_thread(_append, spooled, bytes(data))
        return UploadedFile(
            name=well_formed(part.name or ""),
            filename=well_formed(part.filename or ""),
            content_type=_content_type(part.headers.get("Content-Type")),
            size=size,
            data=None if spooled else bytes(data),
            path=str(spooled) if spooled else None,
        )

    async def _urlencoded(self, request: web.Request) -> list[NamedValue]:
        text = await self._text(request)
        try:
            pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_VALUES)
        except ValueError as error:
            raise BadRequestError(f"The form cannot be read: {error}") from None
        values: dict[str, list[str]] = {}
        for key, value in pairs:
            values.setdefault(key, []).append(value)
        return _named(values.items())

    async def _json(self, request: web.Request) -> tuple[list[NamedValue], list[UploadedFile]]:
        text = await self._text(request)
        if not text.strip():
            return [], []
        try:
            body = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise BadRequestError(f"The body is not valid JSON: {error}") from None
        if not isinstance(body, dict):
            raise BadRequestError('The JSON body must be an object, for example {"prompt": "hi"}.')
        lower = {key.lower(): value for key, value in body.items()}
        if isinstance(lower.get("values"), list) or isinstance(lower.get("files"), list):
            return _payload_values(lower.get("values") or []), _payload_files(lower.get("files") or [])
        return _named((key, _strings(value)) for key, value in body.items() if value is not None), []

    async def _text(self, request: web.Request) -> str:
        data = bytearray()
        async for chunk in request.content.iter_chunked(_CHUNK):
            data += chunk
            if len(data) > self._max_bytes:
                raise self._too_large()
        return _utf8(bytes(data), "The body")

    def _too_large(self) -> BadRequestError:
        return BadRequestError(f"The body is larger than {self._max_bytes} bytes.", 413)


def _append(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(data)


def _utf8(data: bytes, what: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRequestError(f"{what} is not UTF-8 text (byte {error.start}).") from None


def _content_type(sent: str | None) -> str | None:
    return None if sent is None else well_formed(sent)


def _named(values: Iterable[tuple[str, list[str]]]) -> list[NamedValue]:
    return [NamedValue(well_formed(key), [well_formed(text) for text in value]) for key, value in values]


def _strings(value: Any) -> list[str]:
    """A flat JSON value as the strings a form would have carried."""
    if isinstance(value, str):
        return [value]
    return [msgspec.json.encode(value).decode()]


def _payload_values(items: list[Any]) -> list[NamedValue]:
    values = []
    for item in items:
        if not isinstance(item, dict):
            raise BadRequestError('Each of "values" must be an object {"key": name, "value": [text]}.')
        lower = {key.lower(): value for key, value in item.items()}
        value = lower.get("value")
        strings = [text for part in value for text in _strings(part)] if isinstance(value, list) else _strings(value)
        values.append(NamedValue(str(lower.get("key", "")), strings))
    return values


def _payload_files(items: list[Any]) -> list[UploadedFile]:
    files = []
    for item in items:
        lower = {key.lower(): value for key, value in item.items()} if isinstance(item, dict) else {}
        try:
            data = base64.b64decode(str(lower.get("data", "")), validate=True)
        except (binascii.Error, ValueError):
            raise BadRequestError('Each of "files" must carry its bytes as base64 text in "data".') from None
        name, filename = str(lower.get("name", "")), str(lower.get("filename", ""))
        content_type = lower.get("contenttype")
        if content_type is not None and not isinstance(content_type, str):
            raise BadRequestError('The "contentType" of each of "files" must be a text, for example "image/jpeg".')
        files.append(UploadedFile(name, filename, content_type, len(data), data))
    return files
