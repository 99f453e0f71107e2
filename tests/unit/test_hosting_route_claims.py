"""The file that says whose routes are whose: damaged is as good as none, unreadable is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.hosting.route_claims import FILE_NAME, RouteClaims

CLAIMS = {"text/chat": ["LlamaChat", "Other"]}


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    RouteClaims(tmp_path).save(CLAIMS)
    assert RouteClaims(tmp_path).load() == CLAIMS


def test_a_damaged_file_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("{", encoding="utf-8")
    claims = RouteClaims(tmp_path)
    assert claims.load() == {}
    claims.save(CLAIMS)
    assert RouteClaims(tmp_path).load() == CLAIMS


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that is there and cannot be read")
def test_what_could_not_be_read_is_not_written_over(tmp_path: Path) -> None:
    RouteClaims(tmp_path).save(CLAIMS)
    hidden = tmp_path / "hidden"
    (tmp_path / FILE_NAME).rename(hidden)
    (tmp_path / FILE_NAME).symlink_to("/proc/self/mem")  # reading it is an error, and not absence
    claims = RouteClaims(tmp_path)
    assert claims.load() == {}
    (tmp_path / FILE_NAME).unlink()
    hidden.rename(tmp_path / FILE_NAME)
    with pytest.raises(OSError, match="Input"):
        claims.save({"text/chat": ["Other"]})
    assert RouteClaims(tmp_path).load() == CLAIMS
