"""A request as the queue protocol carries it: one JSON object with the files in base64, written as they are read."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web

from ..commands.blobs import Blobs
from ..commands.command import Command, Payload, UploadedFile

_PIECE_BYTES = 3 * 64 * 1024
"""Of a file: a multiple of three, because base64 writes three bytes as four characters."""
_LARGE_TEXT = 64 * 1024
_encode = msgspec.json.Encoder().encode


class WirePayload:
    """One request on its way to a module. Get it from ``wire_payload``."""

    def __init__(self, parts: list[bytes | UploadedFile], blobs: Blobs) -> None:
        self.parts = parts
        self._blobs = blobs

    async def check(self) -> None:
        """Raise ``BlobError`` when a file cannot be read: nothing can be said any more once the answer has begun."""
        for part in self.parts:
            if isinstance(part, UploadedFile) and part.path is not None:
                async for _ in self._blobs.open(part.path, 1):
                    break

    async def send(self, request: web.Request) -> web.StreamResponse:
        """Answer with it. Raises what goes wrong with the connection, and ``BlobError``."""
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        answer.content_length = sum(_written_bytes(part) for part in self.parts)
        await answer.prepare(request)
        for part in self.parts:
            async for piece in self.pieces(part):
                await answer.write(piece)
        await answer.write_eof()
        return answer

    async def pieces(self, part: bytes | UploadedFile) -> AsyncIterator[bytes]:
        """Yield one of the parts as it is written. Raises ``BlobError``."""
        if isinstance(part, bytes):
            yield part
        elif part.path is None:
            yield base64.b64encode(part.data or b"")
        else:
            async for piece in self._blobs.open(part.path, _PIECE_BYTES):
                yield base64.b64encode(piece)


async def wire_payload(command: Command, payload: Payload, blobs: Blobs) -> WirePayload:
    """Return a claimed request in the form that the protocol has. Raises ``BlobError`` for a file that is not there."""
    parts = [
        b'{"reqid":' + _encode(command.command_id) + b',"reqtype":' + _encode(command.name),
        b',"payload":{"command":' + _encode(command.name) + b',"values":' + await _values(payload) + b',"files":[',
    ]
    wire: list[bytes | UploadedFile] = [b"".join(parts)]
    for number, file in enumerate(payload.files):
        about = {"name": file.name, "filename": file.filename, "contentType": file.content_type}
        wire += [(b"," if number else b"") + _encode(about)[:-1] + b',"data":"', file, b'"}']
    wire.append(b'],"urlSegments":' + _encode(payload.segments) + b"}}\n")
    found = WirePayload(wire, blobs)
    await found.check()
    return found


async def _values(payload: Payload) -> bytes:
    large = sum(len(text) for item in payload.values for text in item.value) > _LARGE_TEXT
    return await asyncio.to_thread(_encode, payload.values) if large else _encode(payload.values)


def _written_bytes(part: bytes | UploadedFile) -> int:
    return len(part) if isinstance(part, bytes) else (part.size + 2) // 3 * 4
