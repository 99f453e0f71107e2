"""Bodies of requests: forms, files, JSON and compressed ones, whole and broken."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any
from urllib.parse import quote_from_bytes

from .chance import Chance

Body = tuple[list[tuple[bytes, bytes]], bytes]
"""Header fields that belong to the body, and the body."""

KEYS = [
    "image",
    "prompt",
    "name",
    "value",
    "text",
    "entry",
    "log_level",
    "category",
    "label",
    "commandId",
    "after",
    "statusData",
    "api_key",
    "token",
    "key",
    "values",
    "files",
    "min_confidence",
    "moduleId",
    "userid",
    "to",
]
_PART_HEADERS = ["Content-Type", "Content-Transfer-Encoding", "Content-Encoding", "Content-Length", "X"]
_LARGE = 1_300_000
_ENCODINGS = ["base64", "quoted-printable", "binary", "gzip", "8bit", "utf-7", "rot13"]


def body(chance: Chance) -> Body:
    """A body of any kind; one in four has a fault, one in eight is compressed."""
    fields, content = chance.one_of(
        (
            lambda: multipart(chance),
            lambda: multipart(chance),
            lambda: json_body(chance),
            lambda: json_body(chance),
            lambda: urlencoded(chance),
            lambda: ([(b"Content-Type", chance.encoded())], chance.bytes_of(70000)),
            lambda: ([], chance.encoded()),
        )
    )
    if chance.once_in(4):
        content = chance.damaged(content)
    if chance.once_in(8):
        encoding, content = compressed(chance, content)
        fields = [*fields, (b"Content-Encoding", encoding)]
    return [(name, one_line(value)) for name, value in fields], content


def one_line(value: bytes) -> bytes:
    """A header's value that does not end the header."""
    return value.translate(None, b"\r\n\x00")


def key(chance: Chance) -> str:
    """The name of a field."""
    return chance.choice(KEYS) if chance.random() < 0.7 else chance.word()


def urlencoded(chance: Chance) -> Body:
    """A form as browsers send it."""
    pairs = [(quoted(chance, key(chance)), quoted(chance, chance.word())) for _ in range(_how_many(chance))]
    kind = chance.choice((b"", b"; charset=utf-8", b"; charset=nonsense", b"; charset=utf-16"))
    content = b"&".join(name + chance.choice((b"=", b"=", b"=", b"")) + value for name, value in pairs)
    return [(b"Content-Type", b"application/x-www-form-urlencoded" + kind)], content


def quoted(chance: Chance, text: str) -> bytes:
    """A text as it stands in a query or a form: quoted, or not."""
    raw = text.encode("utf-8", "surrogatepass")
    if chance.once_in(10):
        return raw.translate(None, b"\r\n\x00 ")
    return quote_from_bytes(raw, safe="").encode()


def json_body(chance: Chance) -> Body:
    """JSON: values, or the payload form; one in twenty nested without end."""
    content = chance.one_of((lambda: _flat(chance), lambda: _flat(chance), lambda: _payload(chance)))
    if chance.once_in(20):
        depth = chance.choice((10, 100, 1000, 50_000))
        content = chance.choice((b'{"a":', b"[")) * depth + b"1"
    kind = chance.choice((b"application/json", b"application/json", b"application/vnd.x+json", b"text/plain", b""))
    return [(b"Content-Type", kind)] if kind else [], content


def multipart(chance: Chance) -> Body:
    """Parts: fields and files, a few or very many, with whatever headers."""
    boundary = chance.choice((b"XX", b"XX", b"-" * 60, b"a b", chance.encoded()))
    kind = b"multipart/" + chance.choice((b"form-data", b"form-data", b"form-data", b"mixed", b"x"))
    parts = [_part(chance, boundary) for _ in range(_how_many(chance))]
    content = chance.choice((b"", b"", b"", b"preamble", b"\r\n" * 50)) + b"".join(parts)
    content += chance.choice((b"--" + boundary + b"--\r\n",) * 4 + (b"", b"--" + boundary))
    quote = chance.choice((b"", b"", b'"'))
    return [(b"Content-Type", kind + b"; boundary=" + quote + boundary + quote)], content


def compressed(chance: Chance, content: bytes) -> tuple[bytes, bytes]:
    """The name of an encoding, and the content in it, or in another one."""
    if chance.once_in(50):
        content = b"\x00" * chance.choice((100_000, 1_000_000, 3_000_000))
    encoding = chance.choice((b"gzip", b"gzip", b"deflate", b"x-gzip", b"br", b"identity", b"gzip, gzip", b"zstd"))
    packed = gzip.compress(content, 1) if b"gzip" in encoding else zlib.compress(content, 1)
    if chance.once_in(3):
        packed = chance.one_of((lambda: chance.damaged(packed), lambda: packed * 2, lambda: content))
    return encoding, packed


def _how_many(chance: Chance) -> int:
    if chance.once_in(300):
        return chance.choice((1023, 1024, 1025, 3000))
    return chance.randrange(5)


def _flat(chance: Chance) -> bytes:
    return _json({key(chance): chance.value(2) for _ in range(_how_many(chance))})


def _payload(chance: Chance) -> bytes:
    values = [{"key": chance.value(0), "value": chance.value(1)} for _ in range(chance.randrange(3))]
    file = {"name": "image", "filename": "a.jpg", "contentType": "image/jpeg", "data": "aGk="}
    files = [{**file, chance.choice(list(file)): chance.value(1)} for _ in range(chance.randrange(3))]
    whole: dict[str, Any] = {"values": values, "files": files}
    if chance.once_in(4):
        whole[chance.choice(("values", "files", "Values", "command"))] = chance.value(2)
    return _json(whole)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _part(chance: Chance, boundary: bytes) -> bytes:
    lines = [b"--" + boundary]
    if not chance.once_in(20):
        lines.append(_disposition(chance))
    while chance.once_in(3):
        name, value = chance.choice(_PART_HEADERS).encode(), chance.choice((chance.word(), chance.choice(_ENCODINGS)))
        lines.append(name + b": " + value.encode("utf-8", "surrogatepass"))
    content = chance.encoded() if chance.random() < 0.8 else chance.bytes_of(70000)
    if chance.once_in(300):
        content *= _LARGE // (len(content) or 1)  # it goes over the disk
    return b"\r\n".join([*lines, b"", content]) + b"\r\n"


def _disposition(chance: Chance) -> bytes:
    kind = chance.choice((b"form-data",) * 5 + (b"attachment", b"", chance.encoded()))
    text = b"Content-Disposition: " + kind
    if not chance.once_in(8):
        text += b'; name="' + key(chance).encode("utf-8", "surrogatepass") + b'"'
    if chance.once_in(3):
        text += b"; " + chance.choice((b'filename="', b"filename*=\"utf-8''", b'filename*="x', b'FileName="'))
        text += chance.choice((b"gr\xf6\xdfe.jpg", b"a.jpg", chance.encoded())) + b'"'
    return text
