"""When a module's program counts as changed, and when it is started anew for that."""

from __future__ import annotations

import pytest

from server.hosting.process.code_files import Code, CodeFile
from server.hosting.process.code_watch import PATIENCE, CodeWatch


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(clock: Clock) -> CodeWatch:
    return CodeWatch(clock)


def code(at: float = 0.0, **texts: str) -> Code:
    return {name.replace("_py", ".py"): CodeFile(int(at * 1e9), len(text), text) for name, text in texts.items()}


def run(watch: CodeWatch, files: Code) -> None:
    watch.installing(files)
    watch.starting(files)
    watch.started()


def test_nothing_is_said_before_it_runs_or_while_nothing_changes(watch: CodeWatch) -> None:
    assert not watch.see(code(a_py="1"))
    run(watch, code(a_py="1"))
    assert not watch.see(code(a_py="1"))
    assert (watch.changed, watch.note, watch.settled) == ({}, "", True)


def test_a_change_counts_once_it_stays_and_is_told_once(watch: CodeWatch) -> None:
    run(watch, code(a_py="1"))
    seen = [(watch.see(code(a_py=text)), watch.settled) for text in ("2", "3", "3")]
    assert seen == [(False, False), (False, False), (True, True)]
    assert watch.note == "Changed since it was started: a.py. Restart the module to take that up."
    assert not watch.see(code(a_py="3"))
    assert [watch.see(code(a_py="4")) for _ in range(3)] == [False, True, False]


def test_what_is_undone_is_no_change(watch: CodeWatch) -> None:
    run(watch, code(a_py="1"))
    for _ in range(2):
        watch.see(code(a_py="2"))
    for _ in range(2):
        assert not watch.see(code(a_py="1"))
    assert watch.note == ""


def test_a_new_process_has_the_new_program_but_only_an_installation_the_new_requirements(watch: CodeWatch) -> None:
    run(watch, {**code(a_py="1"), "requirements.txt": CodeFile(0, 1, "old")})
    now = {**code(a_py="2"), "requirements.txt": CodeFile(0, 1, "new")}
    watch.starting(now)
    assert watch.see(now)
    assert list(watch.changed) == ["requirements.txt"]
    run(watch, now)
    assert not watch.see(now)


def test_a_process_that_is_taken_over_has_not_what_was_written_later(watch: CodeWatch) -> None:
    now = {**code(at=100, a_py="1"), **code(at=300, b_py="2")}
    watch.installing(now)
    watch.starting(now, since=200.0)
    assert watch.see(now)
    assert list(watch.changed) == ["b.py"]


def test_a_module_that_writes_its_program_at_each_start_is_not_started_for_ever(watch: CodeWatch, clock: Clock) -> None:
    starts = 0
    for number in range(20):
        run_at = clock.now = clock.now + 10
        watch.installing(code(a_py=str(number)))
        watch.starting(code(a_py=str(number)))
        clock.now += 5
        watch.started()
        written = code(at=run_at + 1, a_py=str(number + 1))
        watch.see(written)
        assert watch.see(written)
        if not watch.is_worth_a_start():
            break
        starts += 1
    assert starts == PATIENCE
    assert "Changed at each start: a.py" in watch.note
    edited = code(at=clock.now + 60, a_py="by hand")
    watch.see(edited)
    assert watch.see(edited)
    assert watch.is_worth_a_start()


def test_many_files_are_counted(watch: CodeWatch) -> None:
    run(watch, code(a_py="1"))
    many = code(a_py="1", b_py="1", c_py="1", d_py="1", e_py="1", f_py="1")
    for _ in range(2):
        watch.see(many)
    assert "b.py, c.py, d.py and 2 more" in watch.note
