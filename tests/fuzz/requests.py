"""HTTP requests: every route of the server, in every spelling, with odd headers, queries and bodies."""

from __future__ import annotations

from urllib.parse import quote

from .bodies import KEYS, Body, body, one_line, quoted
from .chance import Chance

COMMAND = b"@@@the-id-of-a-command-of-this-one@@"
"""Stands for the id of a command that the server knows; as long as one, so that no length changes."""

_QUERIES = ["limit", "offset", "state", "brief", "after", "last_id", "count", "moduleId", "api_key", *KEYS]
_METHODS = ["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "get", "X"]
_COUNTING = "/v1/talker/count"
_MODULE_PATHS = ["/v1/talker/echo", "/v1/talker/echo/a/b", _COUNTING, "/v1/Talker/get_command_status"]
_MODULE_PATHS += ["/v1/talker/cancel_command", "/v1/nobody/knows", "/v1/talker/list", "/v1/talker/echo"]


class Requests:
    """Makes requests to these routes, each a method and a path with names in braces."""

    def __init__(self, routes: list[tuple[str, str]], keys: dict[str, str]) -> None:
        self._routes = routes
        self._keys = list(keys)

    def make(self, chance: Chance) -> bytes:
        """One request, framed as it should be."""
        method, path = self._place(chance)
        fields, content = self._body(chance, path) if method in ("POST", "PUT", "PATCH", "X") else ([], b"")
        target = spelled(chance, path) + query(chance)
        head = [method.encode() + b" " + target + b" HTTP/1.1", *self._headers(chance)]
        head += [name + b": " + value for name, value in fields]
        if content and chance.once_in(6):
            return b"\r\n".join([*head, b"Transfer-Encoding: chunked", b"", chunked(chance, content)])
        return b"\r\n".join([*head, b"Content-Length: %d" % len(content), b"", content])

    def _place(self, chance: Chance) -> tuple[str, str]:
        if chance.random() < 0.5:
            method, path = "POST", chance.choice(_MODULE_PATHS)
        else:
            method, path = chance.choice(self._routes)
        if chance.once_in(12):
            method = chance.choice(_METHODS)
        return method, path

    def _body(self, chance: Chance, path: str) -> Body:
        """Whoever counts counts a little way only."""
        if path != _COUNTING:
            return body(chance)
        return [(b"Content-Type", b"application/json")], b'{"to": %d, "pause": 0.01}' % chance.randrange(-1, 9)

    def _headers(self, chance: Chance) -> list[bytes]:
        host = b"localhost"
        if chance.once_in(8):
            host = one_line(chance.encoded()) + chance.choice((b"", b":80", b":x", b":99999"))
        lines = [b"Host: " + host]
        if self._keys and not chance.once_in(6):
            key = chance.choice(self._keys).encode()
            lines.append(chance.choice((b"X-API-Key: ", b"Authorization: Bearer ")) + key)
        while chance.once_in(2):
            lines.append(_header(chance))
        return lines


def spelled(chance: Chance, path: str) -> bytes:
    """A path with its braces filled, in one of its spellings."""
    while "{" in path:
        before, _, rest = path.partition("{")
        path = before + _segment(chance) + rest.partition("}")[2]
    if chance.random() < 0.6:
        return path.encode()
    for _ in range(chance.choice((1, 1, 2))):
        path = _respelled(chance, path)
    return path.encode().translate(None, b"\r\n\x00 ")


def query(chance: Chance) -> bytes:
    """A query string, or none."""
    if chance.random() < 0.6:
        return b""
    pairs = [
        chance.choice(_QUERIES).encode() + b"=" + quoted(chance, chance.word()) for _ in range(chance.randrange(4))
    ]
    return b"?" + b"&".join(pairs)


def chunked(chance: Chance, content: bytes) -> bytes:
    """The content in chunks."""
    pieces: list[bytes] = []
    while content:
        size = chance.choice((1, 7, 1000, 100_000))
        piece, content = content[:size], content[size:]
        if len(pieces) > 50:
            piece, content = piece + content, b""
        pieces.append(b"%x\r\n" % len(piece) + piece + b"\r\n")
    return b"".join([*pieces, b"0\r\n\r\n"])


def _segment(chance: Chance) -> str:
    if chance.random() < 0.4:
        return COMMAND.decode()
    if chance.once_in(4):
        return chance.choice(("Puppet", "Poller", "poller_queue", "explorer.css", "nobody"))
    return quote(chance.word().encode("utf-8", "surrogatepass"), safe="") or "x"


def _respelled(chance: Chance, path: str) -> str:
    at = chance.randrange(len(path))
    letter = path[at]
    ways = (
        path.upper(),
        path.title(),
        path + "/",
        path + "//",
        "/" + path,
        path.replace("/", "//"),
        path.replace("/", "/./"),
        path.replace("/", "/x/../", 1),
        "/.." + path,
        path.replace("/", "\\"),
        path.replace("/", "%2f"),
        path[:at] + f"%{ord(letter) % 256:02x}" + path[at + 1 :],
        path[:at] + f"%25{ord(letter) % 256:02x}" + path[at + 1 :],
        path[:at] + quote(chance.word().encode("utf-8", "surrogatepass"), safe="") + path[at:],
        path + ";x=y",
        path + "%00",
        path + "%ff",
        "http://localhost" + path,
        "http://evil.example" + path,
        path.lstrip("/"),
        path + "/" + "z" * chance.choice((10, 300, 5000)),
    )
    return chance.choice(ways) or "/"


def _header(chance: Chance) -> bytes:
    odd = one_line(chance.encoded())
    number = b"%d" % chance.number()
    return chance.choice(
        (
            b"Origin: " + chance.choice((b"null", b"http://localhost", b"http://evil.example", b"", odd)),
            b"Sec-Fetch-Site: " + chance.choice((b"cross-site", b"same-origin", b"none", odd)),
            b"Authorization: " + chance.choice((b"Bearer ", b"Basic ", b"", b"bearer")) + odd,
            b"X-API-Key: " + odd,
            b"Cookie: " + chance.choice((b"", b"millrace=", b"a=b; ")) + odd,
            b"Last-Event-ID: " + chance.choice((odd, number)),
            b"Range: bytes=" + chance.choice((odd, number + b"-", b"-" + number)),
            b"If-None-Match: " + odd,
            b"If-Modified-Since: " + odd,
            b"Accept: " + chance.choice((b"text/event-stream", b"*/*", odd)),
            b"Accept-Encoding: " + chance.choice((b"gzip", odd)),
            b"Expect: " + chance.choice((b"100-continue", odd)),
            b"X-Request-Id: " + odd,
            b"X-Module-Secret: " + odd,
            b"X-Forwarded-For: " + odd,
            b"Connection: " + chance.choice((b"keep-alive", b"Upgrade", odd)),
            b"Access-Control-Request-Method: " + chance.choice((b"POST", odd)),
            b"X-" + b"h" * chance.choice((1, 100)) + b": " + odd,
        )
    )
