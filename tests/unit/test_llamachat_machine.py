"""How many threads a model computes with."""

from __future__ import annotations

import pytest
from llamachat.engine import machine


def test_there_is_at_least_one_core() -> None:
    assert 1 <= machine.physical_cores() <= len(machine.usable_cpus())


@pytest.mark.parametrize(
    ("parameters", "threads"), [(3_600_000, 1), (60_000_000, 2), (160_000_000, 6), (7_000_000_000, 8)]
)
def test_a_small_model_gets_few_threads(monkeypatch: pytest.MonkeyPatch, parameters: int, threads: int) -> None:
    monkeypatch.setattr(machine, "physical_cores", lambda: 8)
    assert machine.sensible_threads(parameters) == threads


def test_two_threads_of_one_core_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "usable_cpus", lambda: {0, 1, 2, 3})
    monkeypatch.setattr(machine, "_siblings", lambda cpu: {0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}[cpu])
    assert machine.physical_cores() == 2
