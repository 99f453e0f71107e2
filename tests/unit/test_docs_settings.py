"""The tables of the settings name each one, with the default that it has."""

from __future__ import annotations

import re

import pytest

from server.config import ROOT, ServerSettings

SAID_IN_WORDS = {"data_dir", "modules_dir", "environments_dir"}
UNITS = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "s": 1}
ROWS = dict(
    re.findall(r"^\| `(\w+)` \| ([^|]+) \|", (ROOT / "docs" / "operating.md").read_text(encoding="utf-8"), re.MULTILINE)
)


def meant(text: str) -> object:
    """The value that a cell of the table stands for."""
    text = text.partition(":")[0].strip().strip("`")
    number, _, unit = text.partition(" ")
    if text == "none":
        return None
    if text in ("true", "false"):
        return text == "true"
    return float(number) * UNITS.get(unit, 1) if re.fullmatch(r"\d+", number) else text


def test_no_setting_is_missing() -> None:
    assert set(ServerSettings.__struct_fields__) - set(ROWS) == set()


@pytest.mark.parametrize("name", sorted(set(ServerSettings.__struct_fields__) - SAID_IN_WORDS))
def test_a_default_is_the_one_that_is_documented(name: str) -> None:
    default = getattr(ServerSettings(), name)
    assert meant(ROWS[name]) == (None if default in ({}, []) else default)
