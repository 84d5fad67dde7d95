"""What a sampler is, and the one that draws at random. The events of the study are all the state that a sampler keeps.

Every trial has a seed of its own, so what is proposed depends on the trial's number and on the events before it, and
never on how often a sampler was asked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, NamedTuple, Protocol

import numpy as np

from sweeps.study.arguments import seed_of
from sweeps.study.dimensions import Code, Dimension, Scale

Draw = Callable[[Dimension], Code]


class Report(NamedTuple):
    """The last recorded report of a running trial, and what the pruner made of it."""

    epoch: int
    value: float
    stop: bool


class Ending(NamedTuple):
    """How a trial ended, for a sampler. `value` is that of a complete trial; `last` is its last report, if any."""

    state: Literal["complete", "pruned", "infeasible", "failed"]
    value: float | None
    last: Report | None


class Sampler(Protocol):
    """`begin` and `settle` come in pairs, in the order of trial numbers."""

    def begin(self, number: int, fixed: Mapping[str, Code], consult: bool) -> Draw:
        """Start a trial, of which some codes may be `fixed`; `consult` is False where that leaves nothing open.

        What comes back is called for each active parameter, in order.
        """

    def settle(self, number: int, codes: Mapping[str, Code]) -> None:
        """The trial is running with `codes`, those of its active parameters."""

    def tell(self, number: int, ending: Ending) -> None:
        """The trial has ended."""


class RandomSampler:
    """Uniform over each parameter's interval or choices; learns nothing. The same draws as Optuna's sampler."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._generator = np.random.RandomState()

    def begin(self, number: int, fixed: Mapping[str, Code], consult: bool) -> Draw:
        """Draws one parameter after the other, from the trial's own stream."""
        del consult
        self._generator.seed(seed_of(self._seed, number))
        return unless_known(fixed, partial(draw, self._generator))

    def settle(self, number: int, codes: Mapping[str, Code]) -> None:
        pass

    def tell(self, number: int, ending: Ending) -> None:
        pass


def unless_known(fixed: Mapping[str, Code], choose: Draw) -> Draw:
    """Chooses where a code is not fixed, and where there is a choice."""

    def chosen(dimension: Dimension) -> Code:
        if dimension.name in fixed:
            return fixed[dimension.name]
        return dimension.first if dimension.is_single else choose(dimension)

    return chosen


def draw(generator: np.random.RandomState, dimension: Dimension) -> Code:
    """A random code: each choice as likely as any other, each number by its length on the scale."""
    if dimension.scale is None:
        return int(generator.random_sample(len(dimension.indices)).argmax())
    return _placed(dimension.scale, generator.uniform(*dimension.scale.ends))


def _placed(scale: Scale, position: float) -> Code:
    """The code at a position between the ends of a scale."""
    value = math.exp(position) if scale.log else position
    if not scale.step:
        return min(max(value, scale.low), math.nextafter(scale.high, -math.inf))
    steps = round(value) - scale.low if scale.log else math.floor((value - scale.low) / scale.step + 0.5)
    return int(min(max(scale.low + steps * scale.step, scale.low), scale.high))
