"""Texts are gone through in slices: wherever these end, the outcome is that of the whole."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, quote_plus

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from server.http import json_shape, urlencoded
from server.http.bad_request import BadRequestError
from server.http.body_limits import BodyLimits

ODD = st.text(st.sampled_from('a"\\[]{},:%+&=é🙂\n\u2028'), max_size=12)
TREES = st.recursive(
    st.none() | st.integers() | ODD,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(ODD, inner, max_size=5),
    max_leaves=30,
)
same = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def items(tree: Any) -> int:
    inside = list(tree.values()) if isinstance(tree, dict) else tree if isinstance(tree, list) else None
    return 0 if inside is None else 1 + max(len(inside) - 1, 0) + sum(items(each) for each in inside)


def depth(tree: Any) -> int:
    inside = list(tree.values()) if isinstance(tree, dict) else tree if isinstance(tree, list) else None
    return 0 if inside is None else 1 + max((depth(each) for each in inside), default=0)


@same
@given(tree=TREES, ascii_only=st.booleans(), size=st.integers(1, 9))
@example(tree=['\\"', "\\\\", "["], ascii_only=False, size=3)
def test_items_and_depth_are_counted_exactly(
    monkeypatch: pytest.MonkeyPatch, tree: Any, ascii_only: bool, size: int
) -> None:
    monkeypatch.setattr(json_shape, "_SLICE", size)
    text = json.dumps(tree, ensure_ascii=ascii_only).encode()
    json_shape.check_shape(text, items(tree), depth(tree))
    if items(tree):
        with pytest.raises(BadRequestError, match="keys and elements"):
            json_shape.check_shape(text, items(tree) - 1, depth(tree))
        with pytest.raises(BadRequestError, match="too deeply"):
            json_shape.check_shape(text, items(tree), depth(tree) - 1)


@same
@given(pairs=st.lists(st.tuples(ODD, ODD), max_size=6), size=st.integers(3, 9))
def test_a_form_is_decoded_as_the_standard_library_does(
    monkeypatch: pytest.MonkeyPatch, pairs: list[tuple[str, str]], size: int
) -> None:
    monkeypatch.setattr(urlencoded, "_SLICE", size)
    text = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs)
    expected: dict[str, list[str]] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        expected.setdefault(name, []).append(value)
    assert urlencoded.read_urlencoded(text.encode(), BodyLimits()) == expected


@same
@given(text=st.text(st.sampled_from("ab%4+&=1é"), max_size=40), size=st.integers(3, 9))
def test_a_form_that_nobody_encoded_is_read_likewise(monkeypatch: pytest.MonkeyPatch, text: str, size: int) -> None:
    monkeypatch.setattr(urlencoded, "_SLICE", size)
    expected: dict[str, list[str]] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        expected.setdefault(name, []).append(value)
    assert urlencoded.read_urlencoded(text.encode(), BodyLimits()) == expected
