"""Refusing grammars that would crash llama.cpp, or keep it busy for ever, before it sees them.

llama.cpp reads a grammar by recursion without a limit, writes repetitions out, and follows all beginnings of a rule
at once: a few kilobytes can cost it the stack, the memory or years. Reading the grammar here finds that, and names
mistakes that llama.cpp only calls a failure. Anything else that is wrong llama.cpp refuses itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from .errors import RequestRefusedError

MAX_LENGTH = 256 * 1024
MAX_NESTING = 600
MAX_REPEATS = 2000  # llama.cpp's own limit
MAX_SIZE = 500_000
MAX_BEGINNINGS = 1000

_SYMBOL = re.compile(
    r"""
      (?P<space>    \s+ | \#[^\n]* )
    | (?P<rule>     [\w-]+ (?= \s* ::= ) )
    | (?P<defined>  ::= )
    | (?P<name>     [\w-]+ )
    | (?P<text>     "(?:\\.|[^"\\])*" )
    | (?P<chars>    \[(?:\\.|[^\]\\])*\] )
    | (?P<one>      \. | !?<[^>\n]*> )
    | (?P<repeat>   [*+?] | \{\s*\d+\s*(?:,\s*(?:\d+\s*)?)?\} )
    | (?P<other>    [()|] )
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)


@lru_cache(maxsize=32)
def check_grammar(grammar: str) -> None:
    """Raise ``RequestRefusedError`` when llama.cpp should not be given this GBNF grammar."""
    if len(grammar) > MAX_LENGTH:
        raise _refusal(f"it has {len(grammar)} characters, and {MAX_LENGTH} are allowed")
    rules = _Reader().read(grammar)
    if "root" not in rules:
        raise _refusal("it has no rule named root")
    items = [item for rule in rules.values() for items in rule.alternatives for item in items]
    for item in items:
        if item.rule is not None and item.rule not in rules:
            raise _refusal(f"there is no rule named {item.rule[:40]}")
    if sum(item.size * item.most for item in items) > MAX_SIZE:
        raise _refusal("its repetitions make it too large")
    beginnings = _Beginnings(rules)
    for name in rules:
        beginnings.of(name)


def _refusal(why: str) -> RequestRefusedError:
    return RequestRefusedError(f"The response format is not a usable grammar: {why}.")


@dataclass
class _Item:
    """One element of an alternative. ``rule``: what it refers to, None for characters."""

    rule: str | None
    size: int
    most: int = 1
    may_be_absent: bool = False


@dataclass
class _Rule:
    alternatives: list[list[_Item]] = field(default_factory=lambda: [[]])


class _Reader:
    """Reads a grammar into rules; a group in parentheses becomes a rule without a name of its own."""

    def read(self, grammar: str) -> dict[str, _Rule]:
        rules: dict[str, _Rule] = {}
        open_rules: list[_Rule] = []
        position = 0
        while position < len(grammar):
            found = _SYMBOL.match(grammar, position)
            if found is None:
                raise _refusal(f"it cannot be read at {grammar[position : position + 20]!r}")
            kind, symbol = str(found.lastgroup), found.group()
            position = found.end()
            if kind in ("space", "defined"):
                continue
            if kind == "rule":
                if len(open_rules) > 1:
                    raise _refusal(f"a parenthesis is not closed before the rule {symbol}")
                open_rules = [rules.setdefault(symbol, _Rule())]
                open_rules[0].alternatives = [[]]
                continue
            if not open_rules:
                raise _refusal(f"it must begin with a rule, such as root ::= …, and not with {symbol[:20]!r}")
            if symbol == "(":
                if len(open_rules) > MAX_NESTING:
                    raise _refusal(f"its parentheses are nested more than {MAX_NESTING} deep")
                group, name = _Rule(), f"({position}"
                rules[name] = group
                self._items(open_rules).append(_Item(name, 1))
                open_rules.append(group)
            elif symbol == ")":
                if len(open_rules) == 1:
                    raise _refusal("a parenthesis is closed that was not opened")
                open_rules.pop()
            elif symbol == "|":
                open_rules[-1].alternatives.append([])
            elif kind == "repeat":
                self._repeat(self._items(open_rules), symbol)
            else:
                self._items(open_rules).append(_item(kind, symbol))
        if len(open_rules) > 1:
            raise _refusal("a parenthesis is not closed")
        return rules

    @staticmethod
    def _items(open_rules: list[_Rule]) -> list[_Item]:
        return open_rules[-1].alternatives[-1]

    @staticmethod
    def _repeat(items: list[_Item], symbol: str) -> None:
        if not items:
            raise _refusal(f"there is nothing before {symbol} that it could repeat")
        least, most = {"*": (0, 1), "+": (1, 1), "?": (0, 1)}.get(symbol) or _numbers(symbol)
        items[-1].most *= max(most, 1)
        items[-1].may_be_absent |= least == 0


def _numbers(symbol: str) -> tuple[int, int]:
    """Return how often ``{m}``, ``{m,}`` or ``{m,n}`` writes out what it repeats, at least and at most."""
    texts = symbol[1:-1].replace(" ", "").split(",")
    if any(len(text.strip()) > 6 for text in texts):
        raise _refusal(f"{symbol[:20]} repeats too often; {MAX_REPEATS} times are allowed")
    least = int(texts[0])
    most = int(texts[-1].strip() or least)
    if max(least, most) > MAX_REPEATS:
        raise _refusal(f"{symbol[:20]} repeats too often; {MAX_REPEATS} times are allowed")
    return least, most


def _item(kind: str, symbol: str) -> _Item:
    if kind == "name":
        return _Item(symbol, 1)
    characters = 1 if kind == "one" else len(symbol) - 2
    return _Item(None, characters, may_be_absent=characters == 0)


class _Beginnings:
    """In how many ways a rule can begin: llama.cpp keeps all of them at once."""

    def __init__(self, rules: dict[str, _Rule]) -> None:
        self._rules = rules
        self._known: dict[str, tuple[int, bool]] = {}
        self._open: set[str] = set()

    def of(self, name: str) -> tuple[int, bool]:
        """Return the number of ways, and whether the rule may be empty."""
        known = self._known.get(name)
        if known is not None:
            return known
        if name in self._open:
            raise _refusal(f"the rule {_readable(name)} begins with itself (left recursion)")
        if len(self._open) > MAX_NESTING:
            raise _refusal(f"its rules begin with each other more than {MAX_NESTING} deep")
        self._open.add(name)
        ways, may_be_empty = 0, False
        for items in self._rules[name].alternatives:
            for item in items:
                here, empty = (1, False) if item.rule is None else self.of(item.rule)
                # Of repeated items that may be empty, each can be the first that is not.
                ways += here * (item.most if empty else 1)
                if not (empty or item.may_be_absent):
                    break
            else:
                ways += 1
                may_be_empty = True
        if ways > MAX_BEGINNINGS:
            raise _refusal(f"the rule {_readable(name)} can begin in more than {MAX_BEGINNINGS} ways")
        self._open.discard(name)
        self._known[name] = ways, may_be_empty
        return ways, may_be_empty


def _readable(name: str) -> str:
    return "in parentheses" if name.startswith("(") else name[:40]
