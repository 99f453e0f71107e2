"""The bytes of a request body as they arrive: unpacked, in small pieces, and never more than allowed."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.http import HttpProcessingError

from .bad_request import BadRequestError, shortened
from .content_encoding import Inflater, content_encoding

PIECE_BYTES = 64 * 1024


async def body_pieces(request: web.Request, most_bytes: int) -> AsyncIterator[bytes]:
    """Yield the body in pieces. Raises ``BadRequestError`` when it is damaged, or larger than ``most_bytes``."""
    encoding = content_encoding(request)
    if request.content_length is not None and request.content_length > most_bytes:
        raise BadRequestError(f"The body is larger than {most_bytes} bytes.", 413)
    left = most_bytes
    async for piece in _inflated(request, encoding) if encoding else _arriving(request):
        left -= len(piece)
        if left < 0:
            unpacked = " when it is unpacked" if encoding else ""
            raise BadRequestError(f"The body is larger than {most_bytes} bytes{unpacked}.", 413)
        if piece:  # the beginning of a packed body is nothing yet
            yield piece


async def whole_body(request: web.Request, most_bytes: int) -> bytearray:
    """Return the whole body, without a byte order mark. Raises ``BadRequestError`` as ``body_pieces`` does."""
    data = bytearray()
    async for piece in body_pieces(request, most_bytes):
        data += piece
    if data.startswith(codecs.BOM_UTF8):
        del data[: len(codecs.BOM_UTF8)]
    return data


async def _arriving(request: web.Request) -> AsyncIterator[bytes]:
    try:
        async for piece in request.content.iter_chunked(PIECE_BYTES):
            yield piece
    except (HttpProcessingError, web.RequestPayloadError) as error:
        raise BadRequestError(f"The body cannot be read: {shortened(_first_line(error))}") from None


def _first_line(error: Exception) -> str:
    return (error.message if isinstance(error, HttpProcessingError) else str(error)).partition("\n")[0]


async def _inflated(request: web.Request, encoding: str) -> AsyncIterator[bytes]:
    inflater = Inflater(encoding)
    async for chunk in _arriving(request):
        for piece in inflater.feed(chunk):
            yield piece
            await asyncio.sleep(0)  # others have their turn
    inflater.end()
