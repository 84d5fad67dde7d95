"""How a config's components can look, over its whole search space. The rule: each choice once, not each combination.

Every choice and every end of a range is tried with the first value of all others, and with such parents as make it
active. A mistake that only a combination makes is met by the trial that has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sweeps.config import Choices, Component, Draft, FloatRange, IntRange, Value, space
from sweeps.config.wording import Path


class SampleConfig(NamedTuple):
    """A component as some trials have it; `place` is where the choice is written that makes it so."""

    use: str
    arguments: dict[str, Value]
    place: Path


def sample_configs(draft: Draft, section: str) -> dict[str, list[SampleConfig]]:
    """How a component can look, by `use`: each choice and each end of a range once; {} where the section is wrong.

    So it is where it is still left to the model, because that cannot be made.
    """
    component: Component | None = None if draft.leaves_to_model(section) else getattr(draft.sections, section)
    found: dict[Component, SampleConfig] = {}
    for place, chosen in assignments(draft.sections.search_space) if component is not None else ():
        active = {
            name.partition(".")[2]: value
            for name, value in chosen.items()
            if name.startswith(f"{section}.") and space.unmet(draft.sections.search_space, chosen, name) is None
        }
        if section in chosen:
            active["use"] = chosen[section]  # the name of a loss is `loss` alone
        made = component.with_arguments(**active) if component is not None else Component(use="")
        found.setdefault(made, SampleConfig(made.use, made.arguments, place or (section,)))
    by_use: dict[str, list[SampleConfig]] = {}
    for variant in found.values():
        by_use.setdefault(variant.use, []).append(variant)
    return by_use


def assignments(parameters: Mapping[str, Any]) -> Iterator[tuple[Path, dict[str, Value]]]:
    """Values for all parameters: the first of each, and then every other one of one parameter at a time."""
    first = {name: next(iter(samples(name, entry)))[1] for name, entry in parameters.items()}
    yield (), first
    for name, entry in parameters.items():
        for place, value in samples(name, entry):
            chosen = {**first, name: value}
            _reach(name, parameters, chosen)
            yield place, chosen


def _reach(name: str, parameters: Mapping[str, Any], chosen: dict[str, Value]) -> None:
    """Choose the parents of a conditional parameter so that it is active."""
    pending, seen = [name], {name}
    while pending:
        for parent, wanted in (getattr(parameters[pending.pop()], "when", None) or {}).items():
            if parent in parameters and parent not in seen:
                seen.add(parent)
                pending.append(parent)
                fitting = (value for _, value in samples(parent, parameters[parent]) if space.meets(value, wanted))
                chosen[parent] = next(fitting, wanted)


def samples(name: str, entry: Any) -> list[tuple[Path, Value]]:
    """The values of a parameter that are worth trying, each with where it is written."""
    place: Path = ("search_space", name)
    if isinstance(entry, Choices):
        return [((*place, "choices", index), choice) for index, choice in enumerate(entry.choices)]
    if isinstance(entry, FloatRange | IntRange):
        return [((*place, "low"), entry.low), ((*place, "high"), entry.high)]
    return [(place, entry)]
