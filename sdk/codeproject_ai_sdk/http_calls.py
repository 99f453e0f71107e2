"""Calling the server's own HTTP interface from a module."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp

CALL_SECONDS = 10.0

FileToSend = tuple[str, bytes, str]
"""File name, content, content type."""


async def call_server(url: str, files: dict[str, FileToSend] | None, data: dict[str, Any] | None) -> Any:
    """POST a form; return the parsed JSON, the text of another answer, or ``""`` when the call failed."""
    form = aiohttp.FormData()
    for name, value in (data or {}).items():
        form.add_field(name, str(value))
    for name, (filename, content, content_type) in (files or {}).items():
        form.add_field(name, content, filename=filename, content_type=content_type)
    timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.post(url, data=form) as response:
            if not response.ok:
                return ""
            text = await response.text()
    except (aiohttp.ClientError, OSError, asyncio.TimeoutError, UnicodeDecodeError):
        return ""
    return _parsed(text)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
