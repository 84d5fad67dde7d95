"""Samples of how a config's components can be, over its whole search space: each choice once, not each combination.

Every choice and every end of a range is tried with the first value of all others, and with such parents as make it
active. A mistake that only a combination makes is met by the trial that has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sweeps.config import Component, Draft, Value, space
from sweeps.config.parameters import Space, name_of, range_by_range
from sweeps.config.wording import Path


class SampleConfig(NamedTuple):
    """A component as some trials have it; `place` is where the choice is written that makes it so."""

    use: str
    arguments: dict[str, Value]
    place: Path


def sample_configs(draft: Draft, section: str) -> dict[str, list[SampleConfig]]:
    """How a component can be, by `use`: each choice and each end of a range once; {} where the section or it is wrong.

    So it is where it is still left to the model, because that cannot be made.
    """
    component: Component | None = None if draft.leaves_to_model(section) else getattr(draft.sections, section)
    use = "loss" if section == "loss" else f"{section}.use"
    if use in draft.sections.names and use not in draft.sections.search_space:
        return {}
    found: dict[Component, SampleConfig] = {}
    for place, chosen in assignments(draft.sections.search_space) if component is not None else ():
        active = {
            name_of(key).partition(".")[2]: value
            for key, value in chosen.items()
            if key.startswith(f"{section}.") and space.unmet(draft.sections.search_space, chosen, key) is None
        }
        if section in chosen:
            active["use"] = chosen[section]  # the name of a loss is `loss` alone
        made = component.with_arguments(**active) if component is not None else Component(use="")
        found.setdefault(made, SampleConfig(made.use, made.arguments, place or (section,)))
    by_use: dict[str, list[SampleConfig]] = {}
    for sample in found.values():
        by_use.setdefault(sample.use, []).append(sample)
    return by_use


def assignments(search_space: Space) -> Iterator[tuple[Path, dict[str, Value]]]:
    """Values for all ranges of parameters: the first of each, and then every other one of one at a time."""
    parameters = range_by_range(search_space)
    written = {name: space.written_values(name, entry) for name, entry in parameters.items()}
    first = {name: values[0][1] for name, values in written.items()}
    yield (), first
    for name, values in written.items():
        for place, value in values:
            yield place, reach(name, parameters, {**first, name: value})


def reach(name: str, parameters: Mapping[str, Any], chosen: dict[str, Value]) -> dict[str, Value]:
    """`chosen`, with the parents of a conditional parameter chosen so that it is active."""
    pending, seen = [name], {name}
    while pending:
        for parent, wanted in (getattr(parameters[pending.pop()], "when", None) or {}).items():
            if parent in parameters and parent not in seen:
                seen.add(parent)
                pending.append(parent)
                values = (chosen[parent], *(value for _, value in space.written_values(parent, parameters[parent])))
                inside = wanted[0] if isinstance(wanted, tuple) else wanted  # of a range, where no end is wanted
                chosen[parent] = next((value for value in values if space.meets(value, wanted)), inside)
    return chosen
