"""Texts are gone through in slices: wherever these end, the outcome is that of the whole."""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import re
from typing import Any
from urllib.parse import parse_qsl, quote_plus

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from server.http import json_body, json_shape, json_texts, urlencoded
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
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        with pytest.raises(BadRequestError, match="not UTF-8"):
            urlencoded.read_urlencoded(text.encode(), BodyLimits())
        return
    expected: dict[str, list[str]] = {}
    for name, value in pairs:
        expected.setdefault(name, []).append(value)
    assert urlencoded.read_urlencoded(text.encode(), BodyLimits()) == expected


def through_texts(body: bytes) -> Any:
    """Decode a body as it is done with a large one, its nested values by way of JSON."""
    texts = json_texts.JsonTexts(body)
    tree = msgspec.json.decode(texts.text)
    if not isinstance(tree, dict):
        return json.loads(texts.encoded(tree))
    plain = {texts.plain(key): value for key, value in tree.items()}
    return {
        key: texts.plain(value) if isinstance(value, str) else json.loads(texts.encoded(value))
        for key, value in plain.items()
    }


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_texts, "_LONG", 4)
    monkeypatch.setattr(json_texts, "_PIECE", 14)


TEXTS = st.text(st.sampled_from('a"\\ud8/\n\x00é€🙂\u2028'), max_size=60)
LARGE = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@same
@given(tree=LARGE, ascii_only=st.booleans(), indent=st.sampled_from([None, 0, 20]))
@example(tree={"a": ["🙂" * 20, "\\" * 41, '"' * 30]}, ascii_only=True, indent=None)
def test_long_texts_come_back_as_they_were(small_pieces: None, tree: Any, ascii_only: bool, indent: int | None) -> None:
    body = json.dumps(tree, ensure_ascii=ascii_only, indent=indent).encode()
    assert through_texts(body) == tree


@same
@given(tree=LARGE, ascii_only=st.booleans(), at=st.integers(0), byte=st.sampled_from(b'"\\{}[],:u \xff\x80\xc3\x01a'))
def test_a_damaged_body_is_damaged_also_in_pieces(
    small_pieces: None, tree: Any, ascii_only: bool, at: int, byte: int
) -> None:
    body = bytearray(json.dumps(tree, ensure_ascii=ascii_only).encode())
    body[at % len(body)] = byte
    try:
        expected = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
            through_texts(bytes(body))
    else:
        assert through_texts(bytes(body)) == json.loads(msgspec.json.encode(expected))


def test_what_is_decoded_at_once_is_small() -> None:
    body = msgspec.json.encode({"text": "x\n" * 3_000_000, "many": ["y" * 5000] * 500, "space": 1})
    body = re.sub(rb":1", b":" + b" " * 5_000_000 + b"1", body)
    texts = json_texts.JsonTexts(body)
    assert len(texts.text) < 100_000
    assert through_texts(body) == json.loads(body)


@same
@given(text=st.text(st.sampled_from("AQg=+/* \n"), max_size=16), cuts=st.lists(st.integers(0, 16), max_size=4))
def test_base64_is_decoded_in_pieces_as_in_one(text: str, cuts: list[int]) -> None:
    ends = [0, *sorted(cuts), len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(ends)]
    try:
        expected = base64.b64decode(text, validate=True)
    except binascii.Error:
        with pytest.raises(ValueError):  # noqa: PT011  # also binascii's own
            json_body._from_base64(pieces)
    else:
        assert json_body._from_base64(pieces) == expected
