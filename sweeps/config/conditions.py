"""The rules of `when` and of `enqueue`, where parameters name other parameters.

A config comes from outside, so a chain of conditions may be long or run in a circle; nothing here recurses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from sweeps.config.parameters import Choices, Parameter
from sweeps.config.sections import Sections
from sweeps.config.space import unmet
from sweeps.config.values import FrozenDict, Value
from sweeps.config.wording import Fault, Path, did_you_mean, one_line, show

Space = Mapping[str, Parameter | Value]


def parameter_faults(sections: Sections) -> Iterator[Fault]:
    """What is wrong with any `when`, and with the configurations to try first."""
    wrong = list(_condition_faults(sections))
    yield from wrong
    for index, known in enumerate(sections.enqueue or () if sections.names else ()):
        if not known:
            yield Fault(("enqueue", index), "must name at least one parameter", "{}", "Remove it")
        for name, value in known.items():
            path, space = ("enqueue", index, name), sections.search_space
            if name not in sections.names:
                yield _unknown(path, name, sections.names)
            elif name in space:
                outside = list(_outside(path, value, space[name]))
                yield from outside or (() if wrong else _inactive(path, known, space))


def parents_first(space: Space) -> FrozenDict[str, Parameter | Value]:
    """`space` with every parameter after those that its `when` names, and otherwise in its order."""
    ordered: dict[str, Parameter | Value] = {}
    conditions = _conditions(space)
    waiting = list(space)
    while waiting:
        name = next(name for name in waiting if ordered.keys() >= conditions.get(name, {}).keys())
        waiting.remove(name)
        ordered[name] = space[name]
    return FrozenDict(ordered)


def canonical(known: Mapping[str, Value], space: Space) -> FrozenDict[str, Value]:
    """An entry of `enqueue` as a proposal would be: values in their parameter's type, and the fixed ones left out."""
    searched = ((name, value, space[name]) for name, value in known.items())
    return FrozenDict({name: entry.canonical(value) for name, value, entry in searched if isinstance(entry, Parameter)})


def _conditions(space: Space) -> dict[str, Mapping[str, Value]]:
    return {name: entry.when for name, entry in space.items() if isinstance(entry, Parameter) and entry.when}


def _condition_faults(sections: Sections) -> Iterator[Fault]:
    space = sections.search_space
    for name, when in _conditions(space).items():
        for parent, wanted in when.items():
            path = ("search_space", name, "when", parent)
            if parent == name:
                yield Fault(path, "a parameter must not depend on itself")
            elif parent not in sections.names:
                yield _unknown(path, parent, sections.names - {name})
            elif parent in space:
                yield from _impossible(path, space[parent], wanted)
    for cycle in _cycles(space):
        circle = one_line(" → ".join((*cycle, cycle[0])), 200)
        yield Fault(("search_space", cycle[0], "when"), "conditions must not run in a circle", circle)


def _unknown(path: Path, name: str, names: frozenset[str]) -> Fault:
    return Fault(path, "unknown parameter", advice=did_you_mean(name, sorted(names), "Name one of the search space"))


def _impossible(path: Path, parent: Parameter | Value, wanted: Value) -> Iterator[Fault]:
    """A fixed parent makes the condition true or false for good, which an override may well want."""
    if not isinstance(parent, Parameter) or parent.contains(wanted):
        return
    for value in wanted if isinstance(wanted, tuple) else (wanted,):
        if not parent.contains(value):
            choices = parent.choices if isinstance(parent, Choices) else ()
            advice = did_you_mean(value, [choice for choice in choices if isinstance(choice, str)])
            yield Fault(path, f"must be a value that it can have, {parent}", show(value), advice)


def _cycles(space: Space) -> Iterator[list[str]]:
    """Circles of two or more parameters, each once, from its first parameter in the file to what that depends on."""
    parents = {name: when.keys() - {name} for name, when in _conditions(space).items()}
    while True:
        try:
            TopologicalSorter(parents).prepare()
        except CycleError as error:
            cycle = error.args[1][:0:-1]  # it comes from parent to child, with the first one again at the end
            first = min(range(len(cycle)), key=lambda at: list(space).index(cycle[at]))
            yield cycle[first:] + cycle[:first]
            for name in cycle:
                del parents[name]
        else:
            return


def _outside(path: Path, value: Value, entry: Parameter | Value) -> Iterator[Fault]:
    if isinstance(entry, Parameter):
        if not entry.contains(value):
            yield Fault(path, f"must be in the search space, {entry}", show(value))
    elif value != entry:
        yield Fault(path, f"is fixed at {show(entry)} by `search_space.{path[-1]}`", show(value), "Remove it here")


def _inactive(path: Path, known: Mapping[str, Value], space: Space) -> Iterator[Fault]:
    name = str(path[-1])
    condition = unmet(space, known, name)
    if condition is not None:
        parent, wanted = condition
        got = show(known[parent]) if parent in known else "none"
        words = f"one of {show(wanted)}" if isinstance(wanted, tuple) else show(wanted)
        yield Fault(path, f"needs `{parent}` to be {words} in the same entry", got, f"Add it, or remove `{name}`")
