"""From OpenAI's ``logit_bias`` to what is added to the score of each token."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from llamachat.engine.errors import RequestRefusedError

from .json_field import is_blank, read_json

MOST = 100

_NUMBER = re.compile(r"\d{1,9}", re.ASCII)


def bias_for(value: Any) -> dict[int, float]:
    """Return token → bias for JSON text or an object, ``{}`` when there is none. -100 bans a token, 100 forces it.

    Raises ``RequestRefusedError`` when it is not an object of token numbers with a bias from -100 to 100 each.
    """
    if is_blank(value):
        return {}
    value = read_json("logit_bias", value)
    if not isinstance(value, Mapping):
        raise RequestRefusedError('logit_bias must be a JSON object of token numbers, such as {"42": -100}.')
    return {_token(token): _bias(bias) for token, bias in value.items()}


def _token(token: Any) -> int:
    if not _NUMBER.fullmatch(str(token)):
        raise RequestRefusedError(f"logit_bias must name tokens by their number, not {str(token)[:40]!r}.")
    return int(token)


def _bias(bias: Any) -> float:
    if isinstance(bias, bool) or not isinstance(bias, int | float) or not -MOST <= bias <= MOST:
        raise RequestRefusedError(f"logit_bias must be a number from -{MOST} to {MOST}, not {str(bias)[:40]!r}.")
    return float(bias)
