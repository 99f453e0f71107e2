from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from installer import prerequisites, wheels
from tests.support.installing import captured, layout_in


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of a folder served over HTTP."""
    monkeypatch.chdir(tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def nobody() -> str:
    """Address at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/"


def test_indexes_are_found_in_requirements_files(tmp_path: Path) -> None:
    first, second = tmp_path / "requirements.txt", tmp_path / "requirements.cuda.txt"
    first.write_text("--extra-index-url https://one.example/cpu\n--prefer-binary\nnumpy  # --extra-index-url no\n")
    second.write_text("  --extra-index-url=https://two.example/cu\n--extra-index-url https://one.example/cpu\n")
    assert wheels.indexes_named_in([first, second]) == ["https://one.example/cpu", "https://two.example/cu"]


def test_one_index_that_answers_is_enough(index: str, nobody: str) -> None:
    assert wheels.reachable([nobody, index])
    assert not wheels.reachable([nobody, index + "not-there", "no address at all"])
    assert not wheels.reachable([])


def test_without_a_compiler_it_is_told_whether_an_index_may_help(
    tmp_path: Path, index: str, nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "bin"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    requirements = tmp_path / "modules" / "LlamaChat" / "requirements.txt"
    requirements.parent.mkdir(parents=True)
    progress, out = captured(tmp_path)
    requirements.write_text(f"--extra-index-url {nobody}\n")
    prerequisites.ensure(layout_in(tmp_path), progress)
    assert "will not work without a compiler" in out.getvalue()
    requirements.write_text(f"--extra-index-url {index}\n")
    prerequisites.ensure(layout_in(tmp_path), progress)
    assert "prebuilt llama-cpp-python" in out.getvalue()
