"""The built-in model knows what it is said to know, and says so when it does not."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.support.llamachat_worker import ROOT, TINY_MODEL, interpreter

MOST_BYTES = 8_000_000
FEWEST_FACTS = 100
LARGEST_CHANGE = 0.2
"""Logits. Only one honest reply leads by less (training/README.md), and the limits leave room for it."""


@pytest.mark.timeout(1200)
def test_the_committed_model_passes_its_own_evaluation() -> None:
    command = [str(interpreter()), str(ROOT / "training" / "evaluate.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["passed"] is True
    assert figures["facts"] >= FEWEST_FACTS
    assert TINY_MODEL.stat().st_size <= MOST_BYTES


@pytest.mark.timeout(600)
def test_rounding_changes_the_leads_of_its_replies_by_little() -> None:
    command = [str(interpreter()), str(ROOT / "training" / "margins.py"), "--limit", "15"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=580, check=False)
    assert done.stdout, done.stderr
    for part in json.loads(done.stdout.splitlines()[-1]).values():
        assert 0 < part["spread"] < LARGEST_CHANGE
        assert max(part["right"]) - min(part["right"]) <= 1
        assert part["questions"] >= part["right"][0] >= part["worst_case"]
