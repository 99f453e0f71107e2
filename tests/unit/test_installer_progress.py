from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import psutil
import pytest

from installer.progress import Progress, Step, StepFailedError, duration
from tests.support.installing import captured, eventually

UNTIL_GO = "import pathlib, time\nwhile not pathlib.Path('go').exists(): time.sleep(0.01)"
"""Code that ends once there is a file ``go`` in its folder."""


def step(folder: Path, code: str, *, show: bool = False, advice: str = "") -> Step:
    command = [sys.executable, "-c", code]
    return Step("Doing it", "it", command, folder, normal="a moment", advice=advice, show=show)


def only_log(folder: Path) -> str:
    (log,) = (folder / "logs").glob("install-*-it.log")
    return log.read_text("utf-8")


def test_a_step_says_when_it_starts_and_ends_and_keeps_its_output(tmp_path: Path) -> None:
    progress, out = captured(tmp_path)
    progress.run(step(tmp_path, "print('hidden words')"))
    lines = out.getvalue().splitlines()
    assert lines[0] == "==> Doing it"
    assert lines[1].startswith("    done (")
    assert "hidden words" not in out.getvalue()
    assert "hidden words" in only_log(tmp_path)


def test_a_failed_step_shows_the_last_lines_names_the_log_and_says_what_to_do(tmp_path: Path) -> None:
    progress, _ = captured(tmp_path)
    code = "import sys; [print('line', n) for n in range(100)]; sys.exit(3)"
    with pytest.raises(StepFailedError) as failed:
        progress.run(step(tmp_path, code, advice="Turn it off and on again."))
    (log,) = (tmp_path / "logs").glob("install-*-it.log")
    said = str(failed.value)
    assert "exit code 3" in said
    assert "line 99" in said
    assert "line 80" not in said
    assert str(log) in said
    assert said.endswith("Turn it off and on again.")


def test_a_program_that_does_not_exist_is_a_failed_step(tmp_path: Path) -> None:
    progress, _ = captured(tmp_path)
    missing = Step("Doing it", "it", [tmp_path / "nowhere"], tmp_path)
    with pytest.raises(StepFailedError, match="nowhere"):
        progress.run(missing)


def test_a_silent_step_gives_signs_of_life(tmp_path: Path) -> None:
    progress, out = captured(tmp_path, heartbeat=0.1)
    work = threading.Thread(target=progress.run, args=(step(tmp_path, UNTIL_GO),))
    work.start()
    eventually(lambda: out.getvalue().count("still at it") >= 2)
    (tmp_path / "go").touch()
    work.join(60)
    beats = [line for line in out.getvalue().splitlines() if "still at it" in line]
    assert "normally a moment" in beats[0]
    assert str(tmp_path / "logs") in beats[0]


def test_shown_output_arrives_before_its_line_has_ended(tmp_path: Path) -> None:
    progress, out = captured(tmp_path)
    code = f"print('dots...', end='')\n{UNTIL_GO}"
    work = threading.Thread(target=progress.run, args=(step(tmp_path, code, show=True),))
    work.start()
    eventually(lambda: "dots..." in out.getvalue())
    (tmp_path / "go").touch()
    work.join(60)
    assert out.getvalue().splitlines()[1] == "dots..."
    assert out.getvalue().splitlines()[2].startswith("    done (")


def test_letters_cut_in_two_by_the_pipe_stay_whole(tmp_path: Path) -> None:
    progress, out = captured(tmp_path)
    code = "import os, time; os.write(1, b'\\xc3'); time.sleep(0.2); os.write(1, b'\\xa4\\xff')"
    progress.run(step(tmp_path, code, show=True))
    assert "ä�" in out.getvalue()


class InterruptedProgress(Progress):
    """Progress that is interrupted, as by Ctrl-C, at the first sign of life after the step has begun to work."""

    def __init__(self, logs: Path, begun: Path) -> None:
        super().__init__(logs, heartbeat=0.1)
        self._begun = begun

    def say(self, text: str = "") -> None:
        if "still at it" in text and self._begun.exists():
            raise KeyboardInterrupt
        super().say(text)


def test_an_interrupted_step_leaves_no_process(tmp_path: Path) -> None:
    stubborn = (
        "import pathlib, signal, subprocess, sys, time\n"
        f"signal.signal({int(signal.SIGINT)}, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "pathlib.Path('new').write_text(str(child.pid))\n"
        "pathlib.Path('new').rename('pids')\n"
        "time.sleep(600)"
    )
    progress = InterruptedProgress(tmp_path / "logs", tmp_path / "pids")
    with pytest.raises(KeyboardInterrupt):
        progress.run(step(tmp_path, stubborn))
    pid = int((tmp_path / "pids").read_text())
    eventually(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.44, "0.4 s"), (42.2, "42 s"), (185, "3 min 5 s"), (59.7, "1 min 0 s")]
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words
