"""Each section of a config by itself. The rule: a section that is right is kept even when others are wrong.

So `rules` can judge what spans the right ones, and a person sees all mistakes of a file at once.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import TypeAdapter, ValidationError

from sweeps.config.entries import AUGMENTATION, DOTTED, NAMES, fitted, name_fault, value_faults
from sweeps.config.parameters import Choices, Parameter
from sweeps.config.pydantic_words import faults_of, mapping_wanted, missing
from sweeps.config.schema import (
    Augmentation,
    Budget,
    CheckpointTimes,
    Component,
    EarlyStopping,
    Entry,
    Objective,
    Retries,
    SweepConfig,
)
from sweeps.config.values import FrozenDict, Value
from sweeps.config.wording import Fault, did_you_mean, listing

MAX_PARAMETERS = 1000

_Found = list[Iterable[Fault]]  # worded only when they are shown, since words for thousands take seconds


@dataclass(frozen=True)
class Sections:
    """The sections that are right by themselves; None where one is wrong or missing.

    `search_space` holds the entries that are right, `names` the names of all.
    """

    names: frozenset[str]
    search_space: Mapping[str, Parameter | Value]
    name: str | None = None
    seed: int | None = None
    dataset: Component | None = None
    model: Component | None = None
    loss: Component | None = None
    metrics: tuple[str, ...] | None = None
    optimizer: Component | None = None
    schedule: Component | None = None
    augmentation: Augmentation | None = None
    objective: Objective | None = None
    sampler: Component | None = None
    pruner: Component | None = None
    budget: Budget | None = None
    early_stopping: EarlyStopping | None = None
    keep: Literal["last_epoch", "best_epoch"] | None = None
    enqueue: tuple[Mapping[str, Value], ...] | None = None
    lanes: Literal["auto"] | int | None = None
    micro_batch: Literal["auto"] | int | None = None
    precision: Literal["float32", "bfloat16"] | None = None
    retries: Retries | None = None
    checkpoints: CheckpointTimes | None = None


def check_sections(tree: Mapping[str, Any]) -> tuple[Sections, Iterator[Fault]]:
    """The sections of a config, and everything that is wrong within them."""
    found: _Found = [(_unknown_section(key) for key in tree if key not in SweepConfig.model_fields)]
    names, space = _search_space(tree.get("search_space", {}), found)
    right: dict[str, Any] = {}
    for key, field in SweepConfig.model_fields.items():
        given = _with_searched_use(key, tree, names, space)
        if key not in given and field.is_required():
            found.append([missing((key,))])
        elif key not in given:
            right[key] = field.get_default()
        elif key != "search_space":
            try:
                right[key] = _adapter(key).validate_python(given[key])
            except ValidationError as error:
                found.append(faults_of(error, (key,)))
    return Sections(names=names, search_space=space, **right), itertools.chain.from_iterable(found)


@functools.cache
def _adapter(key: str) -> TypeAdapter[Any]:
    field = SweepConfig.model_fields[key]
    kind: Any = field.annotation
    return TypeAdapter(Annotated[kind, *field.metadata] if field.metadata else kind)


@functools.cache
def _entry_adapter() -> TypeAdapter[Any]:
    return TypeAdapter(Entry)


def _unknown_section(key: str) -> Fault:
    if key in (*NAMES, *AUGMENTATION) or key.partition(".")[0] in DOTTED:
        return Fault((key,), "unknown key", advice="It belongs under `search_space`")
    known = tuple(SweepConfig.model_fields)
    return Fault((key,), "unknown key", advice=did_you_mean(key, known, f"Known are {listing(known, 'and')}"))


def _search_space(given: object, found: _Found) -> tuple[frozenset[str], Mapping[str, Parameter | Value]]:
    if not isinstance(given, Mapping):
        found.append([mapping_wanted(("search_space",), given)])
        return frozenset(), {}
    if len(given) > MAX_PARAMETERS:
        rule = f"there must be at most {MAX_PARAMETERS:,} parameters"
        found.append([Fault(("search_space",), rule, f"{len(given):,}")])
        return frozenset(given), {}
    space: dict[str, Parameter | Value] = {}
    for name, value in given.items():
        faults: list[Fault] = []
        entry = _entry(name, value, faults)
        if faults:
            found.append(faults)
        else:
            space[name] = entry
    return frozenset(given), FrozenDict(space)


def _entry(name: str, value: object, faults: list[Fault]) -> Parameter | Value:
    """The entry at `name`; what is wrong with it is added to `faults`."""
    path = ("search_space", name)
    if fault := name_fault(name):
        faults.append(fault._replace(path=path))
    try:
        entry: Parameter | Value = _entry_adapter().validate_python(value)
    except ValidationError as error:
        faults.extend(faults_of(error, path))
    # What is told twice is shown once.
    faults.extend(fault._replace(path=(*path, *fault.path)) for fault in value_faults(name, value))
    return None if faults else fitted(name, entry)


def _with_searched_use(
    key: str, tree: Mapping[str, Any], names: frozenset[str], space: Mapping[str, Parameter | Value]
) -> Mapping[str, Any]:
    """`tree` with the `use` of the section `key` filled in from the search space, when it is searched and not given."""
    searched = key if key == "loss" else f"{key}.use"
    section = tree.get(key, {})
    # Where the search space is no mapping, nobody knows what it was meant to have.
    is_searched = searched in names or not isinstance(tree.get("search_space", {}), Mapping)
    if not is_searched or key not in DOTTED or not isinstance(section, Mapping) or "use" in section:
        return tree
    entry = space.get(searched)
    use = entry.choices[0] if isinstance(entry, Choices) else entry
    return {**tree, key: {**section, "use": use if isinstance(use, str) else "unknown"}}
