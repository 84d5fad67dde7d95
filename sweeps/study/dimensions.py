"""Searched parameters as samplers see them, as numbers, which come back as exactly the config's values.

A choice travels as its index. A real number with a step travels as its index too, because samplers add steps up, each
in its own way: it comes back as 0.3 and not as 0.30000000000000004, and a study that was rebuilt from a log holds, to
the last bit, what the first one held.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import NamedTuple

from sweeps.config.parameters import Choices, FloatRange, IntRange, Parameter
from sweeps.config.schema import SweepConfig
from sweeps.config.values import Value
from sweeps.study.grid import stepped

Code = int | float  # a value as samplers hold it


class Scale(NamedTuple):
    """Codes from `low` to `high`, both included; `step` is 0 for real numbers. A `log` scale has a step of 0 or 1."""

    low: Code
    high: Code
    log: bool
    step: int

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of the interval that is searched, after the logarithm. A whole number is the middle of a cell."""
        low, high = self.low - self.step / 2, self.high + self.step / 2
        return (math.log(low), math.log(high)) if self.log else (float(low), float(high))


class Dimension(NamedTuple):
    """One searched parameter, or one of its several ranges; `name` is its key in `config.parameters()`.

    `scale` is None for choices, and `indices` (by their JSON text) is empty for numbers.
    """

    name: str
    parameter: Parameter
    scale: Scale | None
    indices: Mapping[str, int]

    @property
    def is_single(self) -> bool:
        """Whether there is nothing to choose."""
        return self.parameter.count == 1

    @property
    def first(self) -> Code:
        """The first of its codes."""
        return 0 if self.scale is None else self.scale.low

    def decode(self, code: Code) -> Value:
        """The config's value for a code."""
        match self.parameter:
            case FloatRange(step=float(step), log=False) as it:
                return stepped(it.low, step, int(code))
            case FloatRange():
                return float(code)
            case IntRange():
                return int(code)
            case Choices(choices=choices):
                return choices[int(code)]

    def encode(self, value: Value) -> Code:
        """The code of a known value.

        Raises ValueError when the parameter cannot have it.
        """
        if not self.parameter.contains(value):
            raise ValueError(f"{self.name} must be {self.parameter}, but got {value!r}")
        known = self.parameter.canonical(value)
        if isinstance(self.parameter, Choices):
            return self.indices[json.dumps(known)]
        assert isinstance(known, int | float)
        match self.parameter:
            case FloatRange(step=float(step), log=False) as it:
                return round((known - it.low) / step)
        return known


def dimensions_of(config: SweepConfig) -> tuple[Dimension, ...]:
    """The searched parameters in the config's order, which names no parameter before those of its `when`."""
    return tuple(
        Dimension(name, it, _scale(it), {json.dumps(choice): index for index, choice in enumerate(_choices(it))})
        for name, it in config.parameters().items()
    )


def _scale(parameter: Parameter) -> Scale | None:
    match parameter:
        case FloatRange(step=float(), log=False, count=int(count)):
            return Scale(0, count - 1, log=False, step=1)
        case FloatRange() as it:
            return Scale(it.low, it.high, it.log, step=0)
        case IntRange() as it:
            return Scale(it.low, it.high, it.log, it.step)
        case Choices():
            return None


def _choices(parameter: Parameter) -> tuple[Value, ...]:
    return parameter.choices if isinstance(parameter, Choices) else ()
