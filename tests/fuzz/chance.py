"""What the inputs are made of: chance with a seed, and the words, numbers and bytes that programs stumble over."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

WORDS = [
    "",
    " ",
    "a",
    "0",
    "-1",
    "null",
    "true",
    "NaN",
    "Infinity",
    "1e309",
    "1e-400",
    "0x10",
    "９",
    "²",
    "1_000",
    "9" * 20,
    "9" * 400,
    "-0.0",
    "2147483648",
    "9223372036854775808",
    "\x00",
    "\r\n",
    "\r",
    "\n\n",
    "\t",
    "\x1b[2J",
    "\x7f",
    "\x85",
    "\u2028",
    "\ufeff",
    "\u202e",
    "é",
    "grüße",
    "中文",
    "😀",
    "\ud800",
    "\udcff",
    "İ",
    "ß",
    "../../etc/passwd",
    "..\\..\\x",
    "/",
    "//",
    "\\",
    "%",
    "%00",
    "%2e%2e%2f",
    "%25",
    "%ff",
    "%u0041",
    "{}",
    "[]",
    "{",
    '"',
    "'",
    '"; filename="x',
    "a=b&c=d",
    "a;b=c",
    "<script>1</script>",
    "${x}",
    "%APPDIR%",
    "%s%s%n",
    "{0}",
    "__class__",
    "constructor",
    "*",
    "?",
    "#",
    "@",
    "a,b",
    "localhost",
    "127.0.0.1",
    "[::1]",
    "http://evil.example",
    "file:///etc/passwd",
    "x" * 255,
    "x" * 256,
    "y" * 9000,
]
NUMBERS = [0, 1, -1, 2, 10, 100, 255, 256, 65535, 65536, 2**31, 2**32, 2**53, 2**63, 2**64, -(2**63), 10**30]
LENGTHS = [0, 1, 2, 7, 64, 125, 126, 127, 1000, 4096, 8190, 8191, 8192, 65535, 65536, 70000]


class Chance(random.Random):
    """A source of odd things; the same seed gives the same ones."""

    def once_in(self, times: int) -> bool:
        """True about once in so many times."""
        return self.random() * times < 1

    def word(self) -> str:
        """A word, mostly an odd one; it may hold what cannot be encoded."""
        pick = self.random()
        if pick < 0.75:
            return self.choice(WORDS)
        if pick < 0.9:
            return self.choice(WORDS) + self.choice(WORDS)
        return "".join(chr(self.randrange(1, 0x250)) for _ in range(self.randrange(1, 12)))

    def encoded(self) -> bytes:
        """The same in bytes; lone surrogates become what they are made of."""
        return self.word().encode("utf-8", "surrogatepass")

    def number(self) -> int:
        """A number at some border."""
        return self.choice(NUMBERS) + self.choice((-1, 0, 0, 1))

    def bytes_of(self, most: int) -> bytes:
        """Bytes without meaning."""
        return self.randbytes(min(most, self.choice(LENGTHS)))

    def value(self, depth: int = 3) -> Any:
        """Anything that JSON can hold."""
        pick = self.randrange(9 if depth else 6)
        if pick == 0:
            return self.choice((None, True, False))
        if pick == 1:
            return self.number()
        if pick == 2:
            return self.choice((0.5, -0.0, 1e300, 1e-300))
        if pick < 6:
            return self.word().encode("utf-8", "replace").decode()
        if pick < 8:
            return {self.word().encode("utf-8", "replace").decode(): self.value(depth - 1) for _ in range(pick - 4)}
        return [self.value(depth - 1) for _ in range(self.randrange(4))]

    def one_of(self, makers: Sequence[Callable[[], T]]) -> T:
        """What one of these makes."""
        return self.choice(makers)()

    def damaged(self, data: bytes) -> bytes:
        """The same bytes with one to three faults."""
        for _ in range(self.choice((1, 1, 1, 2, 3))):
            data = self._fault(data)
        return data

    def _fault(self, data: bytes) -> bytes:
        at = self.randrange(len(data) + 1)
        until = min(len(data), at + self.choice((1, 1, 2, 4, 16, 200)))
        faults: list[Callable[[], bytes]] = [
            lambda: data[:at],
            lambda: data[at:],
            lambda: data[:at] + data[until:],
            lambda: data[:at] + self.encoded() + data[until:],
            lambda: data[:at] + data[at:until] * self.choice((2, 3, 50)) + data[until:],
            lambda: data[:at] + self.randbytes(until - at) + data[until:],
            lambda: data[:until] + data[at:],
            lambda: data.replace(b"\r\n", b"\n", 1),
            lambda: data.replace(*self.choice(((b":", b""), (b"=", b""), (b'"', b""), (b"0", b"-1"), (b"1", b"9")))),
        ]
        return self.choice(faults)()
