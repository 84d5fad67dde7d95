"""The search space at work: which parameters a trial has, and what they make of the config.

Names of parameters: `epochs`, `batch_size`, `learning_rate`, `seed`, `loss`, or an argument of a component by its
dotted name, such as `optimizer.b1`, `model.hidden` or `dataset.use`; `augmentation.shift` and `augmentation.flip`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from sweeps.config.parameters import (
    Choices,
    FloatRange,
    IntRange,
    Parameter,
    Ranges,
    Space,
    name_of,
    range_at,
    range_by_range,
)
from sweeps.config.schema import Component, SweepConfig
from sweeps.config.values import FrozenDict, Value
from sweeps.config.wording import Path

MAX_BATCH_SIZES = 64
MAX_COMBINATIONS = 10_000


@dataclass(frozen=True)
class Trial:
    """A config with one trial's parameters in their places.

    `learning_rate` is None when the search space has none; then the optimizer's own argument or default holds.
    `seed` is None unless it is a parameter. `augmentation` holds what is done to images, by name.
    """

    epochs: int
    batch_size: int
    learning_rate: float | None
    seed: int | None
    dataset: Component
    model: Component
    loss: Component
    optimizer: Component
    schedule: Component
    augmentation: Mapping[str, float] = FrozenDict()


def resolve(config: SweepConfig, params: Mapping[str, Value]) -> Trial:
    """The trial that `params`, the active searched parameters, make of `config`.

    Raises:
        ValueError: `params` are not those of this config's search space, or it still leaves its loss to its model.
    """
    if config.loss is None:
        raise ValueError("a trial needs a loss")
    values = config.fixed()
    unknown = params.keys() - set(map(name_of, config.parameters()))
    if unknown:
        raise ValueError(f"the search space has no parameter {', '.join(sorted(unknown))}")
    values.update(params)
    missing = {"epochs", "batch_size"} - values.keys()
    if missing:
        raise ValueError(f"a trial needs {' and '.join(sorted(missing))}")
    learning_rate, seed = values.get("learning_rate"), values.get("seed")
    return Trial(
        epochs=int(cast("int", values["epochs"])),
        batch_size=int(cast("int", values["batch_size"])),
        learning_rate=None if learning_rate is None else float(cast("float", learning_rate)),
        seed=None if seed is None else int(cast("int", seed)),
        dataset=_placed(config.dataset, "dataset", values),
        model=_placed(config.model, "model", values),
        loss=_placed(config.loss, "loss", values),
        optimizer=_placed(config.optimizer, "optimizer", values),
        schedule=_placed(config.schedule, "schedule", values),
        augmentation=_augmentation(config, values),
    )


def _augmentation(config: SweepConfig, values: Mapping[str, Value]) -> Mapping[str, float]:
    prefix = "augmentation."
    searched = {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
    given = {name: float(cast("float", value)) for name, value in searched.items()}
    return FrozenDict(config.augmentation.given | given)


def _placed(component: Component, section: str, values: Mapping[str, Value]) -> Component:
    """`component` with the values whose dotted names begin with `section`; the name of a loss is `loss` alone."""
    prefix = f"{section}."
    changes = {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
    if section in values:
        changes["use"] = values[section]
    return component.with_arguments(**changes) if changes else component


def only_numbers_searched(config: SweepConfig) -> Trial | None:
    """A sample trial, if every searched parameter is a number that no choice depends on; otherwise None.

    Then all trials have one program, unless an optimizer or a model refuses some number of its own as a tracer.
    """
    sample: dict[str, Value] = {}
    for name, entry in config.parameters().items():
        if isinstance(entry, Choices):
            if name not in {"epochs", "batch_size", "learning_rate", "seed"}:
                return None
            sample[name] = entry.choices[0]
        elif entry.when or name.startswith("dataset.") or (name.startswith("model.") and isinstance(entry, IntRange)):
            return None
        else:
            # The middle, for a model may treat an end of a range as a case of its own.
            sample[name] = entry.low if isinstance(entry, IntRange) else entry.low / 2 + entry.high / 2
    return resolve(config, sample)


def active(config: SweepConfig, chosen: Mapping[str, Value], key: str) -> bool:
    """Whether a trial has the parameter at a key of `config.parameters()`, given those `chosen` for it so far.

    A parameter with `when` is active if each parameter that it names is active and has the wanted value, or one of
    them where the wanted value is a list. `config.parameters()` lists parents first, so asking in its order is enough.
    """
    return unmet(config.search_space, chosen, key) is None


def active_params(config: SweepConfig, chosen: Mapping[str, Value]) -> dict[str, Value]:
    """The parameters of a trial by name, of values `chosen` for all keys of `config.parameters()`."""
    return {name_of(key): chosen[key] for key in config.parameters() if active(config, chosen, key)}


def unmet(space: Space, chosen: Mapping[str, Value], key: str) -> tuple[str, Value] | None:
    """The first condition for `key` that `chosen` and the fixed values of `space` do not meet: (parameter, wanted)."""
    pending, seen = [key], {key}
    while pending:
        entry = range_at(space, pending.pop())
        for parent, wanted in (_when(entry) or {}).items():
            value = chosen.get(parent, space.get(parent))
            if isinstance(value, Parameter | Ranges) or parent not in space or not meets(value, wanted):
                return parent, wanted
            if parent not in seen:
                seen.add(parent)
                pending.append(parent)
    return None


def _when(entry: Parameter | Ranges | Value) -> Mapping[str, Value] | None:
    return entry.when if isinstance(entry, Parameter) else None


def entry_for(space: Space, known: Mapping[str, Value], name: str) -> Parameter | Value:
    """The entry of a parameter in trials with the values `known`; of several ranges the one whose `when` they meet.

    None if they meet no `when` of several.
    """
    return range_at(space, key_for(space, known, name))


def key_for(space: Space, known: Mapping[str, Value], name: str) -> str:
    """Where `range_by_range` has that entry; `name` itself unless one of several ranges holds."""
    entry = space.get(name)
    keys = (f"{name}[{index}]" for index in range(len(entry))) if isinstance(entry, Ranges) else ()
    return next((key for key in keys if unmet(space, known, key) is None), name)


def kinds_of_trials(space: Space, name: str, other: str) -> Iterator[tuple[dict[str, Value], bool]]:
    """Values of all that decides whether a trial has the parameter `name`, and of the `other` one; whether it has it.

    Of a range that is not listed choice by choice, the values that conditions name are tried, and one more.
    """
    keys = [key for key in range_by_range(space) if name_of(key) == name]
    parents, pending = [other] if other in space else [], [*keys, other]
    while pending:
        for parent in _when(range_at(space, pending.pop())) or {}:
            if parent not in parents:
                parents.append(parent)
                pending.append(parent)
    if not all(parent in space for parent in parents):
        return  # which is a mistake of its own
    values = {parent: _deciding(space, parent) for parent in parents}
    for each in itertools.islice(itertools.product(*values.values()), MAX_COMBINATIONS):
        every = dict(zip(values, each, strict=True))
        chosen = {parent: value for parent, value in every.items() if unmet(space, every, parent) is None}
        yield chosen, any(unmet(space, chosen, key) is None for key in keys)


def _deciding(space: Space, parent: str) -> list[Value]:
    """Values of a parameter of which each meets other conditions than the rest."""
    entry = space[parent]
    if isinstance(entry, Choices):
        return list(entry.choices)
    if not isinstance(entry, FloatRange | IntRange):
        return [value for _, value in written_values(parent, entry)]
    wanted = [(_when(each) or {}).get(parent) for each in range_by_range(space).values()]
    named = {value for each in wanted for value in (each if isinstance(each, tuple) else (each,))}
    others = (entry.low + (entry.high - entry.low) * part / len(named) for part in range(len(named) + 1))
    other = next((value for value in map(entry.canonical, others) if value not in named), None)
    return [value for value in (*named, other) if value is not None and entry.contains(value)]


def meets(value: Value, wanted: Value) -> bool:
    """Whether `value` is the wanted one, or one of them.

    >>> meets("sgd", ("sgd", "adam")), meets((64,), (64,)), meets("lion", "sgd")
    (True, True, False)
    """
    return value == wanted or (isinstance(wanted, tuple) and value in wanted)


def written_values(key: str, entry: Parameter | Ranges | Value) -> list[tuple[Path, Value]]:
    """The choices, the ends of ranges or the fixed value of a parameter, each with where it is written."""
    if isinstance(entry, Ranges):
        return [each for index, one in enumerate(entry) for each in written_values(f"{key}[{index}]", one)]
    place = place_of(key)
    if isinstance(entry, Choices):
        return [((*place, "choices", index), choice) for index, choice in enumerate(entry.choices)]
    if isinstance(entry, FloatRange | IntRange):
        return [((*place, "low"), entry.low), ((*place, "high"), entry.high)]
    return [(place, entry)]


def place_of(key: str) -> Path:
    """Where the parameter at a key of `range_by_range` is written."""
    name, _, index = key.partition("[")
    return ("search_space", name, int(index[:-1])) if index else ("search_space", name)


def epochs_high(config: SweepConfig) -> int:
    """The most epochs that a trial can have."""
    return _bounds(config, "epochs")[1]


def batch_size_bounds(config: SweepConfig) -> tuple[int, int]:
    """The smallest and the largest batch size."""
    return _bounds(config, "batch_size")


def batch_sizes(config: SweepConfig) -> tuple[int, ...]:
    """Batch sizes that a trial can have, in ascending order, both ends included.

    All of them when they are at most 64; otherwise about 64, evenly spread over the range, by ratio when it is `log`.
    """
    entry = config.search_space["batch_size"]
    if isinstance(entry, Choices):
        sizes = sorted(cast("tuple[int, ...]", entry.choices))
        spread = (round(part * (len(sizes) - 1)) for part in _parts(len(sizes)))
        return tuple(dict.fromkeys(sizes[index] for index in spread))
    low, high = _bounds(config, "batch_size")
    step = entry.step if isinstance(entry, IntRange) else 1
    count = (high - low) // step + 1
    if isinstance(entry, IntRange) and entry.log and count > MAX_BATCH_SIZES:
        return tuple(dict.fromkeys(round(low * (high / low) ** part) for part in _parts(count)))
    return tuple(low + step * round(part * (count - 1)) for part in _parts(count))


def _parts(count: int) -> list[float]:
    """At most 64 even parts of the way from 0 to 1, one for each of `count` things when they are fewer."""
    points = min(count, MAX_BATCH_SIZES)
    return [index / (points - 1) for index in range(points)] if points > 1 else [0.0]


def _bounds(config: SweepConfig, name: str) -> tuple[int, int]:
    entry = config.search_space[name]
    if isinstance(entry, IntRange):
        return entry.low, entry.high
    values = cast("tuple[int, ...]", entry.choices if isinstance(entry, Choices) else (entry,))
    return min(values), max(values)
