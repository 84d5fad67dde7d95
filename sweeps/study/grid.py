"""The grid: all combinations of a search space, each once, without the parameters that are not active in it.

Combinations that would differ only in an inactive parameter are therefore one. A combination is built when it is asked
for, so that a grid may be larger than can be run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from sweeps.config.parameters import Choices, FloatRange, IntRange, Parameter, name_of
from sweeps.config.schema import SweepConfig
from sweeps.config.space import active
from sweeps.config.values import Value

Combination = dict[str, Value]  # the active parameters of one trial


def stepped(low: float, step: float, index: int) -> float:
    """The value `index` steps above `low`, computed in decimal, as it would be written down.

    >>> stepped(0.1, 0.1, 2), 0.1 + 2 * 0.1
    (0.3, 0.30000000000000004)
    """
    return float(Decimal(repr(low)) + index * Decimal(repr(step)))


def values(parameter: Parameter) -> Sequence[Value]:
    """Every value of a parameter, in order.

    Raises ValueError for a range of real numbers without a step.
    """
    match parameter:
        case Choices():
            return parameter.choices
        case IntRange():
            return range(parameter.low, parameter.high + 1, parameter.step)
        case FloatRange(step=float(step), count=int(count)):
            return tuple(stepped(parameter.low, step, index) for index in range(count))
        case FloatRange(count=1):
            return (parameter.low,)
    raise ValueError(f"a grid needs a `step` for {parameter}")


def walk(config: SweepConfig, pinned: Mapping[str, Value]) -> Iterator[Combination]:
    """Every combination, the last parameter changing fastest; `pinned` parameters keep their one value."""
    parameters = config.parameters()
    keys = tuple(parameters)

    def descend(depth: int, chosen: Combination) -> Iterator[Combination]:
        if depth == len(keys):
            yield chosen
            return
        key, name = keys[depth], name_of(keys[depth])
        if not active(config, chosen, key):
            yield from descend(depth + 1, chosen)
            return
        for value in (pinned[name],) if name in pinned else values(parameters[key]):
            yield from descend(depth + 1, {**chosen, name: value})

    return descend(0, {})


def grid(config: SweepConfig) -> Iterator[Combination]:
    """The trials of a grid: those of `enqueue` first, then the rest in order.

    What an enqueued configuration leaves open is filled by the first combination that fits and has not been taken.
    Each combination comes once, unless `enqueue` asks for it again.
    """
    taken: set[frozenset[tuple[str, Value]]] = set()
    for known in config.enqueue:
        first = next(walk(config, known))
        chosen = next((each for each in walk(config, known) if frozenset(each.items()) not in taken), first)
        taken.add(frozenset(chosen.items()))
        yield chosen
    for each in walk(config, {}):
        if not taken or frozenset(each.items()) not in taken:
            yield each


def grid_total(config: SweepConfig) -> int | None:
    """How many trials a grid has, those of `enqueue` that lie off it included; None for other samplers."""
    return grid_size(config) if config.sampler.use == "grid" else None


def grid_size(config: SweepConfig) -> int:
    """How many trials `grid` has."""
    parameters = config.parameters().values()
    if config.enqueue or any(parameter.when for parameter in parameters):
        return sum(1 for _ in grid(config))
    return math.prod(len(values(parameter)) for parameter in parameters)
