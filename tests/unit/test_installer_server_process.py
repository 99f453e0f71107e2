from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from installer.server_process import ServerProcess, StopRequests, ended_as_asked
from tests.support.installing import ROOT, captured, eventually

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")

# Notes every signal; ends at the first one named "end", or never.
SCRIPT = """
import pathlib, signal, sys, time
seen, ends = [], len(sys.argv) > 1
def note(number, frame):
    seen.append(number)
    pathlib.Path("signals").write_text(" ".join(map(str, map(int, seen))))
    if ends and len(seen) >= int(sys.argv[1]):
        print("goodbye", flush=True)
        sys.exit(0)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, note)
print("started", flush=True)
while True:
    time.sleep(60)
"""

Start = Callable[..., ServerProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts SCRIPT, which ends after as many signals as are named (none: never); waits until it listens."""
    (tmp_path / "script.py").write_text(SCRIPT)
    progress, _ = captured(tmp_path)
    servers: list[ServerProcess] = []

    def started(*arguments: str) -> ServerProcess:
        server = ServerProcess([sys.executable, "script.py", *arguments], tmp_path, progress)
        servers.append(server)
        eventually(lambda: "started" in server.last_lines())
        return server

    yield started
    for server in servers:
        server.signal(signal.SIGKILL)
        server.finish()


def signals(folder: Path) -> list[int]:
    file = folder / "signals"
    return [int(number) for number in file.read_text().split()] if file.exists() else []


def test_each_wish_to_stop_is_forwarded_once(tmp_path: Path, start: Start) -> None:
    server, stop = start("2"), StopRequests()
    stop.forward_to(server)
    with stop.listening():
        os.kill(os.getpid(), signal.SIGINT)
        eventually(lambda: signals(tmp_path) == [signal.SIGINT])
        assert server.wait(0.5) is None
        assert signals(tmp_path) == [signal.SIGINT]
        os.kill(os.getpid(), signal.SIGTERM)
        assert server.finish(20) == 0
    assert signals(tmp_path) == [signal.SIGINT, signal.SIGTERM]
    assert stop.count == 2
    assert "goodbye" in server.last_lines()


def test_a_ctrl_c_in_the_terminal_does_not_reach_the_server_by_itself(start: Start) -> None:
    server = start()
    assert os.getpgid(server.pid) != os.getpgid(0)


def test_a_wish_from_before_the_start_is_kept(tmp_path: Path, start: Start) -> None:
    stop = StopRequests()
    with stop.listening():
        os.kill(os.getpid(), signal.SIGTERM)
        eventually(lambda: stop.made)
        server = start("1")
        stop.forward_to(server)
        assert server.finish(20) == 0
    assert signals(tmp_path) == [signal.SIGTERM]


@pytest.fixture
def hang_up() -> Iterator[None]:
    """Puts back what the tests do with SIGHUP."""
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hang_up")
def test_a_closed_terminal_stops_the_server_unless_nohup_was_asked_for(tmp_path: Path, start: Start) -> None:
    server, stop = start("1"), StopRequests()
    stop.forward_to(server)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with stop.listening():
        os.kill(os.getpid(), signal.SIGHUP)
        assert server.wait(0.3) is None
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with stop.listening():
        os.kill(os.getpid(), signal.SIGHUP)
        assert server.finish(20) == 0
    assert signals(tmp_path) == [signal.SIGTERM]


def test_the_handlers_from_before_are_back_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT)
    with StopRequests().listening():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_a_server_that_does_not_stop_is_ended(tmp_path: Path, start: Start) -> None:
    server = start()
    server.signal(signal.SIGINT)
    assert server.finish(0.5) != 0
    assert not psutil.pid_exists(server.pid)


def test_output_is_kept_and_shown_only_once_wanted(tmp_path: Path) -> None:
    progress, out = captured(tmp_path)
    code = "print('early', flush=True); input_ = __import__('signal').sigwait([2]); print('late', flush=True)"
    blocked = f"import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [2]); {code}"
    server = ServerProcess([sys.executable, "-c", blocked], tmp_path, progress)
    eventually(lambda: "early" in server.last_lines())
    server.show()
    server.signal(signal.SIGINT)
    assert server.finish(20) == 0
    assert out.getvalue() == "late\n"
    assert server.last_lines() == "    early\n    late"


@pytest.mark.skipif(sys.platform != "linux", reason="needs the kernel's parent-death signal")
def test_a_killed_installer_takes_the_server_with_it(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    code = (
        "import pathlib, sys, time\n"
        "from installer.progress import Progress\n"
        "from installer.server_process import ServerProcess\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "server = ServerProcess([sys.executable, 'script.py', '1'], here, Progress(here))\n"
        "while 'started' not in server.last_lines(): time.sleep(0.01)\n"
        "(here / 'pid').write_text(str(server.pid))\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as installer:
        eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
        installer.kill()
    pid = int((tmp_path / "pid").read_text())
    eventually(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    assert signals(tmp_path) == [signal.SIGTERM]


@pytest.mark.parametrize(("code", "fine"), [(0, True), (-2, True), (-15, True), (1, False), (-9, False), (-11, False)])
def test_which_exit_codes_count_as_stopped(code: int, fine: bool) -> None:
    assert ended_as_asked(code) is fine
