"""A model that comes later is taken up, and only when it is whole."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from llamachat.chat.model_watch import ModelWatch

EVERY = 0.02


class Loader:
    """Counts the tries to load a file; those work that find what they want in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tried: list[bytes] = []
        self.done = threading.Event()
        self.tried_again = threading.Event()
        self.looks = 0
        self.looked_often = threading.Event()

    def find(self) -> Path | None:
        self.looks += 1
        if self.looks > 10:
            self.looked_often.set()
        return self.path if self.path.is_file() else None

    def load(self) -> bool:
        if not self.path.is_file():
            return False
        content = self.path.read_bytes()
        self.tried.append(content)
        self.tried_again.set()
        if content == b"GGUF whole":
            self.done.set()
        return self.done.is_set()


@pytest.fixture
def loader(tmp_path: Path) -> Iterator[Loader]:
    loader = Loader(tmp_path / "a.gguf")
    yield loader
    watches[-1].stop()


watches: list[ModelWatch] = []


def watch(loader: Loader) -> None:
    watches.append(ModelWatch(loader.find, loader.load, EVERY))
    watches[-1].load()


def test_a_missing_model_is_loaded_once_it_is_there(loader: Loader) -> None:
    watch(loader)
    assert loader.looked_often.wait(20)
    assert loader.tried == []
    loader.path.write_bytes(b"GGUF whole")
    assert loader.done.wait(20)
    assert loader.tried == [b"GGUF whole"]


def test_a_damaged_one_is_tried_again_only_when_it_has_changed(loader: Loader) -> None:
    loader.path.write_bytes(b"GGUF bad")
    watch(loader)
    assert loader.looked_often.wait(20)
    assert loader.tried == [b"GGUF bad"]
    loader.tried_again.clear()
    loader.path.write_bytes(b"GGUF also bad")
    assert loader.tried_again.wait(20)
    loader.looks = 0
    loader.looked_often.clear()
    assert loader.looked_often.wait(20)
    assert loader.tried == [b"GGUF bad", b"GGUF also bad"]
    loader.path.write_bytes(b"GGUF whole")
    assert loader.done.wait(20)
