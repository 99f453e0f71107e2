"""Real child processes: their output, their end, and the end of everything they started."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import uuid
from pathlib import Path

import psutil
import pytest

from server.hosting.process.leftovers import LaunchNote, LaunchRecord
from server.hosting.process.process import ChildProcess, describe_exit
from server.hosting.process.process_tree import LAUNCH_VARIABLE, identify, is_alive
from tests.support.hosting_modules import eventually
from tests.support.server_process import wait_until

GRANDCHILDREN = """
import subprocess, sys, time
for new_session in (False, True):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=new_session)
    print(child.pid, flush=True)
"""


class Started:
    """A process with the lines it has printed."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, bool]] = []
        self.process: ChildProcess

    @classmethod
    async def run(cls, code: str, launch_id: str = "") -> Started:
        started = cls()
        launch_id = launch_id or str(uuid.uuid4())
        environment = {**os.environ, LAUNCH_VARIABLE: launch_id}
        started.process = await ChildProcess.start(
            [sys.executable, "-u", "-c", code], Path("/"), environment, started._line, launch_id
        )
        return started

    def _line(self, line: str, from_stderr: bool) -> None:
        self.lines.append((line, from_stderr))

    async def until(self, count: int) -> None:
        """Wait for that many lines."""
        await eventually(lambda: len(self.lines) >= count)

    def pids(self) -> list[int]:
        return [int(line) for line, _ in self.lines]


async def test_output_and_exit_code() -> None:
    started = await Started.run(
        "import sys; print('out'); print('err', file=sys.stderr); print('end', end=''); exit(3)"
    )
    assert await started.process.wait() == 3
    await started.process.stop(0.0)
    assert sorted(started.lines) == [("end", False), ("err", True), ("out", False)]


async def test_it_has_no_input_and_a_session_of_its_own() -> None:
    started = await Started.run("import os, sys; print(repr(sys.stdin.read())); print(os.getpid() == os.getsid(0))")
    await started.process.wait()
    await started.process.stop(0.0)
    assert [line for line, _ in started.lines] == ["''", "True"]


async def test_a_program_that_does_not_exist_is_an_os_error() -> None:
    with pytest.raises(OSError, match="No such file"):
        await ChildProcess.start(["/no/such/program"], Path("/"), {}, lambda line, error: None)


async def test_stop_asks_first() -> None:
    code = "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\nprint(1)\ntime.sleep(600)"
    started = await Started.run(code)
    await started.until(1)
    await started.process.stop(20.0)
    assert started.process.exit_code == 5


async def test_stop_kills_what_does_not_listen() -> None:
    code = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint(1)\ntime.sleep(600)"
    started = await Started.run(code)
    await started.until(1)
    await started.process.stop(0.1)
    assert started.process.exit_code == -signal.SIGKILL


@pytest.mark.parametrize("ending", ["import time; time.sleep(600)", "sys.exit(0)"])
async def test_grandchildren_end_too_whatever_session_they_are_in(ending: str) -> None:
    started = await Started.run(f"{GRANDCHILDREN}\n{ending}")
    await started.until(2)
    assert len(await alive(started.pids())) == 2
    await started.process.stop(0.5)
    assert await alive(started.pids()) == []
    assert not started.process.running


async def test_a_flood_is_taken_without_keeping_it() -> None:
    started = await Started.run("import os\nfor _ in range(64): os.write(1, b'y' * 65536)\nos.write(1, b'\\nlast\\n')")
    await started.process.wait()
    await started.until(2)
    await started.process.stop(0.0)
    assert started.lines[0][0].endswith("more bytes)")
    assert len(started.lines[0][0]) < 5000
    assert started.lines[1][0] == "last"


def until_stopped(pid: int) -> None:
    wait_until("it has stopped", lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)


async def test_a_flood_of_carriage_returns_is_no_line_at_all() -> None:
    started = await Started.run("import sys; sys.stdout.write('\\r' * 8_000_000); print('end')")
    await started.until(1)
    assert await started.process.wait() == 0
    await started.process.stop(0.0)
    assert started.lines == [("end", False)]


async def test_a_stopped_process_can_be_ended() -> None:
    started = await Started.run("import os, signal; print(1); os.kill(os.getpid(), signal.SIGSTOP)")
    await started.until(1)
    await asyncio.to_thread(until_stopped, started.process.pid)
    await started.process.stop(0.1)
    assert started.process.exit_code == -signal.SIGKILL


def test_exits_in_words() -> None:
    assert describe_exit(3) == "exit code 3"
    assert describe_exit(-9) == "signal 9 (SIGKILL)"
    assert describe_exit(-200) == "signal 200"


async def orphan(data_dir: Path, secret: str) -> tuple[Started, Path]:
    """A process that this server has launched and noted."""
    launch_id = str(uuid.uuid4())
    started = await Started.run(f"{GRANDCHILDREN}\nimport time; time.sleep(600)", launch_id)
    await started.until(2)
    record = LaunchRecord(data_dir)
    await asyncio.to_thread(record.add, LaunchNote(launch_id, "Mine", "mine_queue", secret, "recipe"))
    await asyncio.to_thread(record.started, launch_id, started.process.pid)
    return started, record.path


async def pretend_that_the_server_is_gone(path: Path) -> None:
    text = await asyncio.to_thread(path.read_text)
    other = path.with_name("1.json")
    await asyncio.to_thread(other.write_text, text.replace(f'"pid":{os.getpid()},', '"pid":1,', 1))
    await asyncio.to_thread(path.unlink)


async def alive(pids: list[int]) -> list[int]:
    identities = [await asyncio.to_thread(identify, pid) for pid in pids]
    found = [identity for identity in identities if identity is not None]
    return [identity.pid for identity in found if await asyncio.to_thread(is_alive, identity)]


async def test_what_a_dead_server_left_is_ended_and_what_a_living_one_runs_is_not(tmp_path: Path) -> None:
    started, path = await orphan(tmp_path, secret="")
    assert await asyncio.to_thread(LaunchRecord(tmp_path).take_leftovers) == ([], 0)
    assert started.process.running
    await pretend_that_the_server_is_gone(path)
    assert await asyncio.to_thread(LaunchRecord(tmp_path).take_leftovers) == ([], 3)
    await started.process.wait()
    assert await alive(started.pids()) == []
    await started.process.stop(0.0)


async def test_a_process_that_can_come_back_by_itself_is_kept(tmp_path: Path) -> None:
    started, path = await orphan(tmp_path, secret="s3cret")
    await pretend_that_the_server_is_gone(path)
    notes, ended = await asyncio.to_thread(LaunchRecord(tmp_path).take_leftovers)
    assert ([note.secret for note in notes], ended) == (["s3cret"], 0)
    assert started.process.running
    assert await asyncio.to_thread(path.exists), "the new server has noted it as its own"
    await started.process.stop(0.0)


async def test_a_process_id_that_was_used_again_is_left_alone(tmp_path: Path) -> None:
    started, path = await orphan(tmp_path, secret="")
    text = await asyncio.to_thread(path.read_text)
    wrong = re.sub(r'"create_time":[0-9.]+', '"create_time":1.0', text)
    wrong = re.sub(r'"launch_id":"[^"]+"', '"launch_id":"no-such-launch"', wrong)
    await asyncio.to_thread(path.with_name("1.json").write_text, wrong)
    assert await asyncio.to_thread(LaunchRecord(tmp_path).take_leftovers) == ([], 0)
    assert started.process.running
    assert len(await alive(started.pids())) == 2
    await started.process.stop(0.0)


async def test_a_start_that_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = (
        "import subprocess, sys; from pathlib import Path\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"path = Path({str(note)!r}); path.with_suffix('.new').write_text(str(child.pid))\n"
        "path.with_suffix('.new').rename(path); child.wait()"
    )
    starting = asyncio.create_task(Started.run(code))
    # The process runs before its start is known to have succeeded; meanwhile nothing else may run here.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    child = int(wait_until("it has a child", lambda: note.read_text() if note.exists() else ""))
    assert not starting.done()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await eventually(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)
