"""The arguments of losses and schedules. The rule: a value is checked wherever it is written, searched or fixed.

Whether each name that can be chosen takes an argument is found out where the choices are tried, in `preflight`; here
an argument is unknown only if none of them takes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic_core import PydanticCustomError

from sweeps.config.names import LOSSES, OWN, SCHEDULES
from sweeps.config.options import Option, Options
from sweeps.config.parameters import Choices, FloatRange, IntRange
from sweeps.config.schema import Component
from sweeps.config.sections import Sections
from sweeps.config.values import Value
from sweeps.config.wording import Fault, Path, did_you_mean, listing

FORMULAS: Mapping[str, Mapping[str, Options]] = {"loss": LOSSES, "schedule": SCHEDULES}


def formula_faults(sections: Sections) -> Iterator[Fault]:
    """What is wrong with the arguments of the loss and of the schedule."""
    for section, known in FORMULAS.items():
        component: Component | None = getattr(sections, section)
        uses = _uses(sections, section, component)
        if component is None or not uses or not all(use in known for use in uses):
            continue  # what a function of one's own takes is its own matter
        taken = {name: option for use in uses for name, option in known[use].items()}
        for name, values in _written(sections, section, component):
            if name not in taken:
                all_taken = f"It takes {listing(taken, 'and')}" if taken else "It takes no arguments"
                rule = f"unknown argument of the {section} {listing(uses)}"
                yield Fault(values[0][0][:2], rule, "", did_you_mean(name, tuple(taken), all_taken))
            else:
                yield from (fault for path, value in values for fault in _tried(taken[name], value, path))


def _uses(sections: Sections, section: str, component: Component | None) -> tuple[str, ...]:
    """The names that can be chosen."""
    entry = sections.search_space.get("loss" if section == "loss" else f"{section}.use")
    if isinstance(entry, Choices):
        return tuple(map(str, entry.choices))
    if entry is not None:
        return (str(entry),)
    return (component.use,) if component is not None and OWN.fullmatch(component.use) is None else ()


def _written(sections: Sections, section: str, component: Component) -> Iterator[tuple[str, list[tuple[Path, Value]]]]:
    """Each argument with its values and where they are written."""
    for name, value in component.arguments.items():
        yield name, [((section, name), value)]
    for dotted, entry in sections.search_space.items():
        first, _, name = dotted.partition(".")
        if first != section or not name or name == "use":
            continue
        path: Path = ("search_space", dotted)
        if isinstance(entry, Choices):
            yield name, [((*path, "choices", index), choice) for index, choice in enumerate(entry.choices)]
        elif isinstance(entry, FloatRange | IntRange):
            yield name, [((*path, "low"), entry.low), ((*path, "high"), entry.high)]
        else:
            yield name, [(path, entry)]


def _tried(option: Option, value: Value, path: Path) -> Iterator[Fault]:
    try:
        option.check(value)
    except PydanticCustomError as error:
        yield from (fault._replace(path=path) for fault in (error.context or {})["faults"])
