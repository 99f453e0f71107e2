"""How many prompt tokens llama.cpp likes at once: chosen once, from what steps of different sizes cost here.

Many tokens share the reading of the weights, so a large step is cheap for each; but it lasts, and whatever else is to
be done waits for it. Not only the weights count: after many other tokens, attention is most of the work, and on a
processor it is several times as slow for less than 64 tokens of one conversation, because llama.cpp has a kernel of its
own for more. Where that is, and from where on more tokens gain nothing, depends on the model, the processor and the
build, so it is measured. It is not measured again while chats run: the same prompt is always cut in the same places.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

KERNEL_TOKENS = 64
"""Tokens from which llama.cpp's attention on a processor is fast: its GGML_FA_TILE_Q."""

EFFICIENT = 1.25
"""A token may cost so many times what it costs in the best size."""

ALONE_S = 0.5
"""Seconds for a step beside which nobody waits for a token: a cancel and a new chat wait for its end."""


@dataclass(frozen=True)
class Costs:
    """Seconds for steps, by the number of their tokens: ``first`` in an empty context, ``deep`` after ``depth`` tokens.

    ``deep`` is empty where it could not be measured.
    """

    first: Mapping[int, float]
    deep: Mapping[int, float]
    depth: int

    def seconds(self, size: int, depth: int) -> float:
        """Return what a step costs after so many tokens: attention looks at each of them, so it grows evenly."""
        first = self.first[size]
        return first + max(0.0, self.deep.get(size, first) - first) * depth / self.depth if self.depth else first


class PromptSizes:
    """The sizes for one model on this machine."""

    def __init__(self, costs: Costs, batch: int) -> None:
        """``batch``: the most tokens in one step. Costs that could not be measured are left out."""
        self._costs = costs
        self.chunk = min(batch, _chunk(costs))
        self._larger = [size for size in sorted(costs.first) if size % self.chunk == 0 and self.chunk < size <= batch]

    def alone(self, depth: int) -> int:
        """Return the most tokens for a step that keeps nobody waiting, after so many tokens of a conversation."""
        fitting = [size for size in self._larger if self._costs.seconds(size, depth) <= ALONE_S]
        return max(fitting, default=self.chunk)


UNMEASURED = Costs({}, {}, 0)


def _chunk(costs: Costs) -> int:
    """Return the fewest tokens that are efficient both at the beginning of a prompt and late in it."""
    early, late = _efficient(costs.first), _efficient(costs.deep)
    both = early & late
    if both and KERNEL_TOKENS in costs.deep:
        return min(both)
    # Too little was measured late in a prompt: there it is as llama.cpp's source has it.
    return max(KERNEL_TOKENS, min(early, default=0))


def _efficient(seconds: Mapping[int, float]) -> set[int]:
    best = min((took / size for size, took in seconds.items()), default=0.0)
    return {size for size, took in seconds.items() if took / size <= EFFICIENT * best}
