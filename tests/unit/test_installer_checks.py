"""``--test``: ruff, mypy and pytest, really run over a tiny project."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from installer import chromium, test
from installer.layout import Layout
from tests.support.installing import captured, layout_in, program

GOOD_TEST = "def test_one() -> None:\n    assert 1 + 1 == 2\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A project that passes everything, in an environment that is the one of this test run."""
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\n[tool.mypy]\nstrict = true\n")
    for name, text in {"server/__init__.py": "ANSWER = 42\n", "tests/test_one.py": GOOD_TEST}.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    layout = layout_in(tmp_path)
    program(layout.python, f'exec "{sys.executable}" "$@"')
    monkeypatch.setenv(chromium.VARIABLE, str(program(tmp_path / "browser", "exit 0")))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return layout


def test_a_clean_project_passes_and_the_tests_closing_line_comes_last(project: Layout, tmp_path: Path) -> None:
    progress, out = captured(tmp_path)
    assert test.run(project, progress, []) == 0
    lines = out.getvalue().splitlines()
    assert "1 passed" in lines[-1]
    assert [line.split()[:2] for line in lines[-4:-1]] == [["ruff", "ok"], ["mypy", "ok"], ["pytest", "ok"]]


@pytest.mark.parametrize(
    ("file", "text", "culprit"),
    [
        ("server/__init__.py", "import os\n", "ruff"),
        ("server/__init__.py", 'ANSWER: int = "42"\n', "mypy"),
        ("tests/test_one.py", GOOD_TEST.replace("2", "3"), "pytest"),
    ],
)
def test_each_check_can_fail_and_does_not_stop_the_others(
    project: Layout, tmp_path: Path, file: str, text: str, culprit: str
) -> None:
    (tmp_path / file).write_text(text)
    progress, out = captured(tmp_path)
    assert test.run(project, progress, []) == 1
    outcomes = dict(line.split()[:2] for line in out.getvalue().splitlines()[-4:-1])
    assert {name for name, outcome in outcomes.items() if outcome == "FAILED"} == {culprit}


def test_arguments_and_the_browser_reach_pytest(project: Layout, tmp_path: Path) -> None:
    more = "import os\n\n\ndef test_two() -> None:\n    assert 'MILLRACE_CHROMIUM' in os.environ\n"
    (tmp_path / "tests" / "test_two.py").write_text(more)
    progress, out = captured(tmp_path)
    assert test.run(project, progress, ["tests/test_two.py", "-k", "two"]) == 0
    assert "1 passed" in out.getvalue().splitlines()[-1]
