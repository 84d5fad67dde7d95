"""The grid: all combinations of a search space, each once, without the parameters that are not active in it.

Combinations that would differ only in an inactive parameter are therefore one. A combination is built when it is asked
for, so that a grid may be larger than can be run.
"""

from __future__ import annotations

import functools
import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from sweeps.config.parameters import Choices, FloatRange, IntRange, Parameter, name_of
from sweeps.config.schema import SweepConfig
from sweeps.config.space import active
from sweeps.config.values import Value
from sweeps.study.arguments import sampler_arguments, seed_of

MOST_COUNTED = 20_000
"""A search space of more configurations is taken for one without an end."""

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

    def extended(chosen: Combination, key: str) -> Iterator[Combination]:
        name = name_of(key)
        if active(config, chosen, key):
            of = (pinned[name],) if name in pinned else values(parameters[key])
            return ({**chosen, name: value} for value in of)
        return iter((chosen,))

    levels: list[Iterator[Combination]] = [iter(({},))]
    while levels:
        chosen = next(levels[-1], None)
        if chosen is None:
            levels.pop()
        elif len(levels) > len(keys):
            yield chosen
        else:
            levels.append(extended(chosen, keys[len(levels) - 1]))


def shuffled(config: SweepConfig) -> Iterator[Combination]:
    """Every combination, in an order drawn by the sweep's seed as one goes along.

    What is shuffled is the product of all parameters. Of its points that differ in a parameter that is not active, the
    one with that parameter's first value stands for all.
    """
    parameters = config.parameters()
    every = [values(parameter) for parameter in parameters.values()]
    for number in permutation(math.prod(map(len, every)), seed_of(config.seed, "grid")):
        rest, places = number, list[int]()
        for size in reversed([len(of) for of in every]):
            rest, place = divmod(rest, size)
            places.append(place)
        chosen: Combination = {}
        is_first = True
        for key, of, place in zip(parameters, every, reversed(places), strict=True):
            if active(config, chosen, key):
                chosen[name_of(key)] = of[place]
            else:
                is_first = is_first and place == 0
        if is_first:
            yield chosen


def permutation(count: int, seed: int) -> Iterator[int]:
    """The numbers below `count` in a random order: Fisher and Yates' shuffle, without a list of them all.

    >>> sorted(permutation(5, seed=0)), list(permutation(5, seed=0)) == list(permutation(5, seed=0))
    ([0, 1, 2, 3, 4], True)
    """
    draw = random.Random(seed)  # noqa: S311  (it keeps no secret)
    moved: dict[int, int] = {}  # what is no longer at its own place
    for last in range(count - 1, -1, -1):
        place = draw.randrange(last + 1)
        yield moved.get(place, place)
        moved[place] = moved.pop(last, last)


def grid(config: SweepConfig) -> Iterator[Combination]:
    """The trials of a grid: those of `enqueue` first, then the rest in order, or shuffled.

    What an enqueued configuration leaves open is filled by the first combination that fits and has not been taken.
    Each combination comes once, unless `enqueue` asks for it again.
    """
    taken: set[frozenset[tuple[str, Value]]] = set()
    for known in config.enqueue:
        first = next(walk(config, known))
        chosen = next((each for each in walk(config, known) if frozenset(each.items()) not in taken), first)
        taken.add(frozenset(chosen.items()))
        yield chosen
    for each in shuffled(config) if sampler_arguments(config)["shuffle"] else walk(config, {}):
        if not taken or frozenset(each.items()) not in taken:
            yield each


def most_trials(config: SweepConfig) -> int | None:
    """How many trials a sweep has at most, by its search space; None where that sets no end."""
    if config.sampler.use == "grid":
        return grid_size(config)
    size = configurations(config) if config.duplicates == "skip" else None
    return None if size is None else size + _enqueued_again(config)


def grid_size(config: SweepConfig) -> int:
    """How many trials `grid` has, those of `enqueue` that lie off it included."""
    parameters = config.parameters().values()
    if config.enqueue or any(parameter.when for parameter in parameters):
        in_order = config.model_copy(update={"sampler": config.sampler.with_arguments(shuffle=False)})
        return sum(1 for _ in grid(in_order))
    return math.prod(len(values(parameter)) for parameter in parameters)


@functools.lru_cache(maxsize=4)  # a run asks several times, and to count takes up to a tenth of a second
def configurations(config: SweepConfig) -> int | None:
    """How many configurations there are to try; None where they are too many to count, or nothing is searched."""
    parameters = config.parameters().values()
    counts = [parameter.count for parameter in parameters]
    fewest = math.prod(each.count or 1 for each in parameters if not each.when)
    if None in counts or fewest > MOST_COUNTED:
        return None
    is_product = not any(each.when for each in parameters)
    size = fewest if is_product else sum(1 for _ in itertools.islice(walk(config, {}), MOST_COUNTED + 1))
    return size if 1 < size <= MOST_COUNTED else None


def _enqueued_again(config: SweepConfig) -> int:
    """How many of `enqueue` may repeat one before them, for there is nothing else that fits them."""
    count = 0
    for index, known in enumerate(config.enqueue):
        before = sum(
            all(known.get(name, value) == value for name, value in other.items()) for other in config.enqueue[:index]
        )
        count += sum(1 for _ in itertools.islice(walk(config, known), before + 1)) <= before
    return count
