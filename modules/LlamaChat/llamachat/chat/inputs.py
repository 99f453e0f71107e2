"""Reading and checking the fields of a chat request, each wrong one named with what is allowed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llamachat.engine.errors import RequestRefusedError
from llamachat.engine.sampling import Sampling

from .conversation import Message, build_conversation
from .logit_bias import bias_for
from .response_format import grammar_for

MAX_STOPS = 16
MAX_STOP_LENGTH = 1000
MAX_TOP_LOGPROBS = 20
MAX_SEED = 2**32 - 2  # llama.cpp takes the largest 32-bit number for "choose one"

Values = Callable[[str], Sequence[str]]
"""All values that a request has under a name, none when the field is absent."""


@dataclass(frozen=True)
class ChatInputs:
    """A checked request. ``logprobs`` and ``reasoning`` as in ``LlamaChat.prepare``."""

    messages: list[Message]
    sampling: Sampling
    max_tokens: int
    stop: list[str]
    logprobs: int | None
    reasoning: bool | None


def read_inputs(values: Values) -> ChatInputs:
    """Check all fields. Raises ``RequestRefusedError`` with the name of the first wrong one."""
    messages = build_conversation(
        _text(values, "prompt"),
        system_prompt=_text(values, "system_prompt"),
        messages=_text(values, "messages"),
        history=_text(values, "history"),
    )
    ignore_eos = _flag(values, "ignore_eos") or False
    grammar = grammar_for(_text(values, "response_format"))
    if ignore_eos and grammar is not None:
        raise RequestRefusedError("ignore_eos cannot be combined with response_format.")
    seed = _integer(values, "seed", -1, -1, MAX_SEED)
    sampling = Sampling(
        temperature=_number(values, "temperature", 0.4, 0, 5),
        top_k=_integer(values, "top_k", 40, 0, 1_000_000),
        top_p=_number(values, "top_p", 0.95, 0, 1),
        min_p=_number(values, "min_p", 0.05, 0, 1),
        repeat_penalty=_number(values, "repeat_penalty", 1, 0.1, 10),
        frequency_penalty=_number(values, "frequency_penalty", 0, -2, 2),
        presence_penalty=_number(values, "presence_penalty", 0, -2, 2),
        seed=None if seed < 0 else seed,
        logit_bias=bias_for(_text(values, "logit_bias")),
        grammar=grammar,
        ignore_eos=ignore_eos,
    )
    max_tokens = _integer(values, "max_tokens", 0, 0, 1_000_000)
    logprobs = alternatives(
        _flag(values, "logprobs") or False, _integer(values, "top_logprobs", 0, 0, MAX_TOP_LOGPROBS)
    )
    return ChatInputs(messages, sampling, max_tokens, _stops(values("stop")), logprobs, _flag(values, "reasoning"))


def alternatives(logprobs: bool, top_logprobs: int) -> int | None:
    """Return how many likeliest tokens to tell with each log-probability, None to tell neither."""
    if not 0 <= top_logprobs <= MAX_TOP_LOGPROBS:
        raise RequestRefusedError(f"top_logprobs must be from 0 to {MAX_TOP_LOGPROBS}, not {top_logprobs}.")
    if top_logprobs and not logprobs:
        raise RequestRefusedError("top_logprobs needs logprobs to be true.")
    return top_logprobs if logprobs else None


def _text(values: Values, field: str) -> str | None:
    found = values(field)
    return found[0] if found else None


def _number(values: Values, field: str, default: float, low: float, high: float) -> float:
    text = (_text(values, field) or "").strip()
    if not text:
        return default
    try:
        # Some clients write the decimal separator of their locale.
        number = float(text.replace(",", "."))
    except ValueError:
        number = float("nan")
    if not low <= number <= high:  # also refuses "nan"
        raise RequestRefusedError(f"{field} must be a number from {low:g} to {high:g}, not {_shown(text)}.")
    return number


def _integer(values: Values, field: str, default: int, low: int, high: int) -> int:
    text = (_text(values, field) or "").strip()
    if not text:
        return default
    try:
        number = float(text) if "." in text else int(text)
    except (ValueError, OverflowError):
        number = low - 1
    if not low <= number <= high or number != int(number):
        raise RequestRefusedError(f"{field} must be a whole number from {low} to {high}, not {_shown(text)}.")
    return int(number)


def _flag(values: Values, field: str) -> bool | None:
    text = (_text(values, field) or "").strip().lower()
    if not text:
        return None
    if text in ("0", "false", "no", "off", "f", "n"):
        return False
    if text in ("1", "true", "yes", "on", "t", "y"):
        return True
    raise RequestRefusedError(f"{field} must be true or false, not {_shown(text)}.")


def _stops(values: Sequence[str]) -> list[str]:
    stops: list[str] = []
    for value in values:
        stops.extend(_stop_list(value) if value.lstrip().startswith("[") else [value])
    stops = [stop for stop in stops if stop]
    if any(len(stop) > MAX_STOP_LENGTH for stop in stops):
        raise RequestRefusedError(f"stop may have texts of at most {MAX_STOP_LENGTH} characters.")
    if len(stops) > MAX_STOPS:
        raise RequestRefusedError(f"stop may have at most {MAX_STOPS} texts, not {len(stops)}.")
    return stops


def _stop_list(value: str) -> list[str]:
    """Read a JSON list of texts; a text that only begins like a list is a stop text itself."""
    try:
        parsed: Any = json.loads(value)
    except (ValueError, RecursionError):
        return [value]
    if not all(isinstance(stop, str) for stop in parsed):
        raise RequestRefusedError("stop must be a text or a JSON list of texts.")
    return list(parsed)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "…")
