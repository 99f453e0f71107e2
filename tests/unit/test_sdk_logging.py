"""Where a module's messages go."""

from __future__ import annotations

from pathlib import Path

import pytest
from codeproject_ai_sdk import LogMethod, LogVerbosity
from codeproject_ai_sdk.module_logging import ModuleLogger, entry_of
from codeproject_ai_sdk.protocol import Log

MESSAGE = {"message": "text", "process": "A Module", "loglevel": "warn"}


def test_the_values_of_the_flags_and_words() -> None:
    assert [method.value for method in (LogMethod.Unknown, LogMethod.Info, LogMethod.Error)] == [0, 1, 2]
    assert [method.value for method in (LogMethod.Server, LogMethod.File, LogMethod.All)] == [4, 8, 15]
    assert LogMethod.Info | LogMethod.Error | LogMethod.Server | LogMethod.File == LogMethod.All
    assert [verbosity.value for verbosity in LogVerbosity] == ["unknown", "quiet", "info", "loud"]


@pytest.mark.parametrize(
    ("text", "verbosity"),
    [("Quiet", "quiet"), ("LOUD", "loud"), (" info ", "info"), ("", "quiet"), ("deafening", "quiet")],
)
def test_any_verbosity_can_be_read(text: str, verbosity: str) -> None:
    assert LogVerbosity.read(text).value == verbosity


def test_an_entry_has_only_the_parts_that_are_there() -> None:
    assert entry_of({"message": "text"}) == Log("text")
    data = {**MESSAGE, "filename": "a.py", "exception_type": "ValueError", "label": "x"}
    assert entry_of(data) == Log("(a.py) [ValueError]: text", "warning", "A Module", "x")
    assert entry_of({"message": "\ud83d", "loglevel": "nonsense"}) == Log("?", "information")


def test_an_entry_that_the_server_takes_is_shown_nowhere_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = ModuleLogger(tmp_path)
    taken: list[Log] = []

    def take(entry: Log) -> bool:
        taken.append(entry)
        return True

    logger.attach(take)
    logger.log(LogMethod.All, MESSAGE)
    assert taken == [Log("text", "warning", "A Module")]
    assert capsys.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_an_entry_that_the_server_does_not_take_is_shown_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = ModuleLogger(tmp_path)
    logger.attach(lambda entry: False)
    logger.log(LogMethod.Info | LogMethod.Server, MESSAGE)
    logger.log(LogMethod.Error | LogMethod.Server | LogMethod.File, {**MESSAGE, "message": "bad"})
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("A Module: text\n", "A Module: bad\n")
    [path] = (tmp_path / "logs").iterdir()
    assert path.name.startswith("log-")
    assert path.read_text().endswith("[warning] A Module: bad\n")


def test_before_the_server_listens_messages_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ModuleLogger(tmp_path / "missing").log(LogMethod.Server, {"message": "text"})
    assert capsys.readouterr().out == "text\n"


def test_a_message_only_for_the_console_does_not_go_to_the_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = ModuleLogger(tmp_path)
    logger.attach(lambda entry: pytest.fail("not for the server"))
    logger.log(LogMethod.Info, MESSAGE)
    assert capsys.readouterr().out == "A Module: text\n"
