"""Which sizes prompts are cut into, by what steps cost."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llamachat.engine.prompt_sizes import ALONE_S, EFFICIENT, KERNEL_TOKENS, UNMEASURED, Costs, PromptSizes

BATCH = 512
SIZES = (32, 64, 128, 256, 512)


def seconds(*each: float) -> dict[int, float]:
    """``each``: what a token costs in a step of 32, 64, 128 …"""
    return {size: size * cost for size, cost in zip(SIZES, each, strict=False)}


def chunk(first: Mapping[int, float], deep: Mapping[int, float], batch: int = BATCH) -> int:
    return PromptSizes(Costs(first, deep, 2048 if deep else 0), batch).chunk


def test_a_chunk_is_the_smallest_that_costs_little_more_than_the_best() -> None:
    even = seconds(1, 1, 1, 1, 1)
    assert chunk(seconds(1, 0.9, 0.9, 0.9, 0.9), even) == 32
    assert chunk(even, seconds(3, 1.1, 1, 1, 1)) == 64, "attention over few tokens is slow"
    assert chunk(even, seconds(3, 2, 1, 1, 1.1)) == 128
    assert chunk(seconds(8, 4, 2, 1, 0.5), even) == 512, "a device with very many processors"


def test_it_is_never_larger_than_a_batch() -> None:
    assert chunk(seconds(4, 1), seconds(4, 1), batch=16) == 16
    assert PromptSizes(UNMEASURED, 32).chunk == 32


def test_what_could_not_be_measured_is_as_llama_cpp_has_it() -> None:
    assert chunk({}, {}) == KERNEL_TOKENS
    assert chunk(seconds(1), seconds(1)) == KERNEL_TOKENS, "one size shows nothing of those above"
    assert chunk(seconds(1, 1, 1), {}) == KERNEL_TOKENS
    assert chunk(seconds(9, 9, 9, 1), {}) == 256


def test_a_step_that_keeps_nobody_waiting_is_as_large_as_its_time_allows() -> None:
    sizes = PromptSizes(Costs(seconds(*[0.001] * 5), seconds(*[0.002] * 5), 1000), BATCH)
    assert (sizes.chunk, sizes.alone(0), sizes.alone(1000), sizes.alone(4000)) == (32, 256, 128, 64)
    assert sizes.alone(1_000_000) == 32, "but never less than a chunk"
    assert PromptSizes(UNMEASURED, BATCH).alone(0) == KERNEL_TOKENS


COSTS = st.lists(st.floats(1e-6, 10), max_size=5).map(lambda each: seconds(*each))


@given(first=COSTS, deep=COSTS, batch=st.sampled_from([32, 100, 512, 2048]), depth=st.integers(0, 100_000))
def test_sizes_are_possible_and_efficient(
    first: dict[int, float], deep: dict[int, float], batch: int, depth: int
) -> None:
    costs = Costs(first, deep, 2048 if deep else 0)
    sizes = PromptSizes(costs, batch)
    alone = sizes.alone(depth)
    assert 0 < sizes.chunk <= alone <= batch
    assert alone % sizes.chunk == 0
    assert alone == sizes.chunk or costs.seconds(alone, depth) <= ALONE_S
    if sizes.chunk in deep and sizes.chunk < KERNEL_TOKENS and batch >= KERNEL_TOKENS:
        best = min(took / size for size, took in deep.items())
        assert deep[sizes.chunk] / sizes.chunk <= EFFICIENT * best * (1 + 1e-9)


def test_costs_grow_evenly_with_what_was_said_before() -> None:
    costs = Costs({64: 1.0}, {64: 3.0}, 1000)
    assert [costs.seconds(64, depth) for depth in (0, 500, 1000, 4000)] == pytest.approx([1, 2, 3, 9])
