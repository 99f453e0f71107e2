"""Which builds of llama.cpp are tried on which machine."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
from llama_cpp_builds import KEEPS_STORES, WITHOUT_AMX, ladder
from proof.compiler import cxx_compiler, loses_tile_stores

AVX2 = {"sse4_2", "avx", "avx2", "fma", "f16c", "bmi2"}


def settings(build: dict[str, Any]) -> str:
    return " ".join(build.get("configSettings", []))


def test_a_processor_with_amx_gives_it_up_last() -> None:
    builds = ladder("x86_64", {*AVX2, "amx_tile", "amx_int8"}, loses_stores=True)
    origins = [build["origin"] for build in builds]
    assert origins == ["wheel", "source", "source", "source", "source", "any"]
    native, without = settings(builds[1]), settings(builds[2])
    assert all(flag in native and flag in without for flag in KEEPS_STORES)
    assert all(flag not in native and flag in without for flag in WITHOUT_AMX)
    assert all("%PROCESSOR%" in text and "GGML_NATIVE=ON" in text for text in (native, without))
    assert "GGML_AVX2=ON" in settings(builds[3])
    assert "GGML_AVX2=OFF" in settings(builds[4])
    assert builds[5]["variables"] == {"CPAI_MODULE_LLAMA_EXTRA_BUFFERS": "false"}


def test_flags_are_given_to_both_compilers_and_only_where_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXXFLAGS", "-g1")
    monkeypatch.delenv("CFLAGS", raising=False)
    native = ladder("x86_64", AVX2, loses_stores=True)[1]["configSettings"]
    assert f"cmake.define.CMAKE_C_FLAGS={' '.join(KEEPS_STORES)}" in native
    assert f"cmake.define.CMAKE_CXX_FLAGS=-g1 {' '.join(KEEPS_STORES)}" in native
    assert "FLAGS" not in settings(ladder("x86_64", AVX2, loses_stores=False)[1])


def test_other_machines() -> None:
    old = ladder("x86_64", {"sse4_2", "avx"}, loses_stores=False)
    assert [build["name"] for build in old if "AVX2" in build["name"]] == []
    arm = ladder("arm64", {"asimd"}, loses_stores=False)
    assert "GGML_CPU_ARM_ARCH=armv8-a" in settings(arm[2])
    assert [build["origin"] for build in ladder("riscv64", None, loses_stores=False)] == [
        *("wheel", "source", "source", "any")
    ]
    unknown = ladder("x86_64", None, loses_stores=False)
    assert "GGML_AVX2=ON" in settings(unknown[2]), "where nothing is known, the proof finds out"


def test_builds_differ_by_their_settings() -> None:
    builds = ladder("x86_64", {*AVX2, "amx_tile"}, loses_stores=True)
    sources = [settings(build) for build in builds if build["origin"] == "source"]
    assert len(set(sources)) == len(sources)


def compiler(folder: Path, code: str) -> list[str]:
    path = folder / "c++"
    path.write_text(f"#!/bin/sh\n{code}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return [str(path)]


@pytest.mark.skipif(os.name == "nt", reason="the compilers here are shell scripts")
def test_a_compiler_that_makes_the_same_of_two_stores_has_lost_them(tmp_path: Path) -> None:
    assert loses_tile_stores(compiler(tmp_path, "cat > /dev/null; echo ldtilecfg"))
    assert not loses_tile_stores(compiler(tmp_path, 'cat > /dev/null; echo "$@"'))
    assert not loses_tile_stores(compiler(tmp_path, "exit 1"))
    assert not loses_tile_stores([str(tmp_path / "none")])
    assert not loses_tile_stores([])


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ here")
def test_the_flags_mend_what_this_compiler_does() -> None:
    assert not loses_tile_stores([*cxx_compiler(), *KEEPS_STORES])
