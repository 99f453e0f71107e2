"""How the next token is chosen: the parameters. ``sampler`` puts them to work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sampling:
    """Sampling parameters, with the neutral value of each as documented beside it.

    ``temperature`` 0 takes the likeliest token always. ``top_k`` 0, ``top_p`` 1, ``min_p`` 0, ``repeat_penalty`` 1,
    the other penalties 0 are off. ``seed`` None draws a new one. ``logit_bias`` adds to a token's score.
    ``grammar`` is a GBNF grammar that the reply must follow, what comes after the text ``grammar_after`` in it when
    that is not empty. ``ignore_eos`` never ends by itself.
    """

    temperature: float = 0.4
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    seed: int | None = None
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    grammar: str | None = None
    grammar_after: str = ""
    ignore_eos: bool = False

    @property
    def penalises(self) -> bool:
        """Whether any of the penalties for repetition is on."""
        return (self.repeat_penalty, self.frequency_penalty, self.presence_penalty) != (1.0, 0.0, 0.0)

    @property
    def is_plain_greedy(self) -> bool:
        """Whether the likeliest token as the model gives it is all that is wanted."""
        return self.temperature == 0 and not (self.penalises or self.logit_bias or self.grammar)
