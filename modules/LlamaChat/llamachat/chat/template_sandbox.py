"""Running a chat template: Jinja that came with a model file, so somebody else's code.

Jinja's sandbox keeps it away from Python and from the messages it is given. What is added here keeps it from running
for ever, or filling the memory, by the ways that a template has for it: loops, macros that call themselves, and texts
and numbers that grow. What pads a text is bounded only by the largest number allowed, and where a format string says
how far, by nothing but the memory.
"""

from __future__ import annotations

import json
import threading
from datetime import datetime
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

MAX_STEPS = 500_000
"""Loop rounds and macro calls in one rendering."""
LARGEST = 10_000_000
"""The longest text, and the largest number that arithmetic may make."""


class ChatTemplateError(Exception):
    """A template is broken, or does not accept what it was given; the text says why."""


class SandboxedTemplate:
    """One compiled template; may be rendered from several threads at once."""

    def __init__(self, source: str) -> None:
        """Raises ``ChatTemplateError`` when the source is no template."""
        self._environment = _Environment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation])
        self._environment.filters["tojson"] = _to_json
        try:
            self._template = self._environment.from_string(source)
        except (TemplateError, RecursionError) as problem:
            raise ChatTemplateError(str(problem)) from problem

    def render(self, **variables: Any) -> str:
        """Return the text. Raises ``ChatTemplateError`` also for what the template itself raises."""
        self._environment.begin()
        try:
            return str(self._template.render(raise_exception=_raise, strftime_now=_now, **variables))
        except ChatTemplateError:
            raise
        except RecursionError:
            raise ChatTemplateError("it calls itself without end") from None
        except MemoryError:
            raise ChatTemplateError("it needs more memory than there is") from None
        except Exception as problem:  # a template can make any operation of Python's fail
            raise ChatTemplateError(str(problem) or type(problem).__name__) from problem


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"+", "*", "**"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._counter = threading.local()

    def begin(self) -> None:
        """Another rendering begins on this thread."""
        self._counter.steps = 0

    def step(self) -> None:
        """Called at the beginning of each loop round and macro."""
        self._counter.steps += 1
        if self._counter.steps > MAX_STEPS:
            raise SecurityError(f"it takes more than {MAX_STEPS} steps")

    def joined(self, *values: Any) -> str:
        """What ``~`` does."""
        return self.concat([str(value) for value in values])

    def concat(self, texts: Any) -> str:
        """Join what a block or a macro has written."""
        texts = list(texts)
        _check_size(sum(map(len, texts)))
        return "".join(texts)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Refuse arithmetic whose result would be too large."""
        sizes = _size(left), _size(right)
        if operator == "**":
            _check_size(max(sizes[0], 2) ** min(sizes[1], 64))
        else:
            _check_size(sizes[0] + sizes[1] if operator == "+" else sizes[0] * sizes[1])
        return super().call_binop(context, operator, left, right)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for constant in tree.find_all(nodes.Const):
            if isinstance(constant.value, int | float):
                _check_size(_size(constant.value))
        for block in tree.find_all((nodes.For, nodes.Macro, nodes.CallBlock)):
            block.body.insert(0, nodes.ExprStmt(_call(self, "step", [], block.lineno), lineno=block.lineno))
        _Joins().visit(tree)
        return tree


class _Joins(NodeTransformer):
    """Lets the environment do what ``~`` does, because there it can be bounded."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _call(node.environment, "joined", node.nodes, node.lineno)


class _Generation(Extension):
    """Reads ``{% generation %}``, which marks the model's own words for training and prints them as they are."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        body: list[nodes.Node] = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return body


def _call(environment: Any, method: str, arguments: list[nodes.Expr], line: int) -> nodes.Call:
    function = nodes.EnvironmentAttribute(method, lineno=line)
    call = nodes.Call(function, arguments, [], None, None, lineno=line)
    call.set_environment(environment)
    return call


def _size(value: Any) -> float:
    if isinstance(value, int | float):
        return abs(value)
    return len(value) if isinstance(value, str | list | tuple) else 0


def _check_size(size: float) -> None:
    if not size <= LARGEST:  # also refuses "nan"
        raise SecurityError(f"it makes a text or a number larger than {LARGEST}")


def _raise(message: str) -> None:
    raise ChatTemplateError(str(message))


def _now(form: str) -> str:
    return datetime.now().strftime(form)


def _to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    # Unlike Jinja's own filter, which is made for HTML pages.
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)
