"""LlamaChat's settings, and what they are when nobody says: from the model's file and the machine."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from llamachat.chat.settings import ChatSettings, read_settings
from llamachat.engine import machine
from llamachat.engine.fingerprint import fingerprint

MIB = 1024 * 1024


def read(tmp_path: Path, **variables: str) -> ChatSettings:
    return read_settings(tmp_path, {f"CPAI_MODULE_LLAMA_{name}": value for name, value in variables.items()})


def test_without_variables_the_model_and_the_machine_decide(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert (settings.context, settings.threads, settings.gpu_layers, settings.batch) == (0, 0, -1, 512)
    assert (settings.prompt_cache_dir, settings.prompt_cache_mb) == (None, -1), "a self test leaves nothing behind"
    assert settings.complaints == ()


@pytest.mark.parametrize(
    ("name", "value", "default"),
    [
        ("BATCH", "8", 512),
        ("BATCH", "1000000", 512),
        ("CONTEXT", "-1", 0),
        ("THREADS", "two", 0),
        ("GPU_LAYERS", "-2", -1),
        ("PROMPT_CACHE_MB", "1.5", -1),
    ],
)
def test_what_is_out_of_range_is_named_and_the_default_used(
    tmp_path: Path, name: str, value: str, default: int
) -> None:
    settings = read(tmp_path, **{name: value})
    assert getattr(settings, name.lower()) == default
    [complaint] = settings.complaints
    assert complaint.startswith(f"CPAI_MODULE_LLAMA_{name} is '{value}', but must be a whole number from ")
    assert complaint.endswith(f"; {default} is used.")


def test_the_prompt_cache_has_a_place_and_can_be_switched_off(tmp_path: Path) -> None:
    assert read(tmp_path, PROMPT_CACHE_DIR="/data/prompt-cache").prompt_cache_dir == Path("/data/prompt-cache")
    assert read(tmp_path, PROMPT_CACHE_DIR="here").prompt_cache_dir == tmp_path / "here"
    unknown = read(tmp_path, PROMPT_CACHE_DIR="%DATA_DIR%/prompt-cache")
    assert unknown.prompt_cache_dir == tmp_path / "prompt-cache", "for a server that has no such folder"
    assert read(tmp_path, PROMPT_CACHE_DIR="here", PROMPT_CACHE_MB="0").prompt_cache_dir is None


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.parametrize(("free", "expected"), [(100_000 * MIB, 2048 * MIB), (990 * MIB, 100 * MIB), (0, MIB)])
def test_the_prompt_cache_takes_at_most_a_tenth_of_what_is_free_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, expected: int
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, free))
    (tmp_path / "ab").mkdir()
    (tmp_path / "ab" / "entry.val").write_bytes(bytes(10 * MIB))
    assert machine.sensible_cache_bytes(tmp_path) == expected, "what it has taken counts as free"


def test_a_folder_that_is_not_there_yet_has_the_space_of_its_disk(tmp_path: Path) -> None:
    assert machine.sensible_cache_bytes(tmp_path / "not" / "there") == machine.sensible_cache_bytes(tmp_path) > 0


def test_a_model_is_known_by_its_content(tmp_path: Path) -> None:
    content = bytes(range(256)) * 40_000
    one, copy = tmp_path / "one.gguf", tmp_path / "copy.gguf"
    one.write_bytes(content)
    copy.write_bytes(content)
    known = fingerprint(one, "0.3", 256)
    assert fingerprint(copy, "0.3", 256) == known
    assert fingerprint(one, "0.4", 256) != known
    assert fingerprint(one, "0.3", 128) != known
    for place in (0, len(content) - 1):
        changed = bytearray(content)
        changed[place] ^= 1
        copy.write_bytes(changed)
        assert fingerprint(copy, "0.3", 256) != known
    copy.write_bytes(content + b"\0")
    assert fingerprint(copy, "0.3", 256) != known


def test_all_parts_of_a_model_count(tmp_path: Path) -> None:
    parts = [tmp_path / f"big-{number:05}-of-00003.gguf" for number in (1, 2, 3)]
    for part in parts:
        part.write_bytes(part.name.encode())
    known = fingerprint(parts[0])
    parts[2].write_bytes(b"another")
    assert fingerprint(parts[0]) != known


def test_a_tiny_file_has_a_fingerprint_too(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert len(fingerprint(tmp_path / "empty")) == 16
