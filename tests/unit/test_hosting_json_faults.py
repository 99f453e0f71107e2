"""What is said of settings files that are not JSON, the way people break them."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.hosting.settings.settings_file import ModuleSettingsError, read_file

GOOD = """{
  // a comment with "quotes"
  "Modules": {
    "Shout": {
      "Name": "Shout", /* over
      two lines */
      "LaunchSettings": {
        "FilePath": "shout.py",
        "Parallelism": 2,
      },
      "RouteMaps": [ {"Route": "a", "Command": "b"} ]
    }
  }
}
"""


def fault(tmp_path: Path, text: str) -> str:
    path = tmp_path / "modulesettings.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ModuleSettingsError) as raised:
        read_file(path)
    said = str(raised.value)
    assert said.startswith(f"{path}, ")
    return said.removeprefix(f"{path}, ")


def test_comments_and_trailing_commas_are_no_fault(tmp_path: Path) -> None:
    (tmp_path / "modulesettings.json").write_text(GOOD)
    assert "Modules" in read_file(tmp_path / "modulesettings.json")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            '.py",',
            '.py"',
            ["line 9, column 9", "a comma is missing at the end of line 8", '"Parallelism"', '"FilePath"'],
        ),
        ('"Shout", /', '"Shout" /', ["line 7", "a comma is missing at the end of line 5", '"LaunchSettings"']),
        ('"a", ', '"a" ', ["line 11", 'a comma is missing before "Command"']),
        ('"Name":', '"Name"', ["line 5", 'a colon is missing before "Shout"']),
        ('shout.py"', "shout.py", ["line 8", "the closing quote of a text is missing"]),
        ('"shout.py"', "shout.py", ["line 8", "expected a value", "instead of shout.py"]),
        (": 2", ": True", ["line 9", "write true"]),
        ("shout.py", r"C:\users\shout.py", ["line 8", "backslash", "twice"]),
        ("  }\n}\n", "  }\n}\n}\n", ["line 15, column 1", "after the end of the settings: }", "a bracket too many"]),
        ("    }\n  }\n}\n", "", ["the file ends", "the '{' of line 4 is still open", "'}' is missing"]),
        ("} ]", "}", ["line 12", "'}' closes nothing", "the '[' of line 11 is still open"]),
        ('"FilePath":', "'FilePath': 1, Runtime 2,", ["line 8", "does not belong here: 2"]),
        ("2,", "2,,", ["expected a key in double quotes"]),
        (GOOD, "", ["it is empty"]),
        (GOOD, " \n", ["it is empty"]),
        (GOOD, "[" * 100_000, ["nested too deeply"]),
    ],
)
def test_a_fault_is_told_with_its_place_and_what_was_expected(
    tmp_path: Path, old: str, new: str, expected: list[str]
) -> None:
    assert old in GOOD
    said = fault(tmp_path, GOOD.replace(old, new, 1))
    for part in expected:
        assert part in said, said


@pytest.mark.parametrize("end", range(0, len(GOOD) - 2, 7))
def test_a_file_that_was_cut_off_anywhere_is_explained(tmp_path: Path, end: int) -> None:
    assert fault(tmp_path, GOOD[:end])
