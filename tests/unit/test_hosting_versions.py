from __future__ import annotations

import pytest

from server.hosting.settings.versions import in_range, version_key


def test_the_order_of_versions() -> None:
    ordered = ["1.9", "2.0.0", "2.5.0-RC6", "2.5.0-RC10", "2.5.0", "2.5.0+1", "2.5.1", "2.10.0"]
    keys = [version_key(text) for text in ordered]
    assert None not in keys
    assert keys == sorted(keys, key=lambda key: key or (0, 0, 0, 0, 0, ()))


def test_what_is_no_version() -> None:
    assert version_key("latest") is None
    assert version_key("") is None


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (["2.8.0", ""], True),
        (["2.9.5", "2.9.5"], True),
        (["", "2.9.4"], False),
        (["3.0.0", ""], False),
        (["2.9.6-beta", ""], False),
        ([], True),
        (["2.1"], True),
        (["nonsense", ""], True),
    ],
)
def test_ranges_include_both_ends_and_may_be_open(limits: list[str], expected: bool) -> None:
    assert in_range("2.9.5", limits) is expected
