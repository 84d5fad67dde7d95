"""The rules of `when` and of `enqueue`, where parameters name other parameters.

A config comes from outside, so a chain of conditions may be long or run in a circle; nothing here recurses.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from sweeps.config.parameters import Choices, Parameter, Ranges, Space
from sweeps.config.sections import Sections
from sweeps.config.space import entry_for, unmet
from sweeps.config.values import FrozenDict, Value
from sweeps.config.wording import Fault, Path, did_you_mean, listing, one_line, show


def parameter_faults(sections: Sections) -> Iterator[Fault]:
    """What is wrong with any `when`, and with the configurations to try first."""
    wrong = list(_condition_faults(sections))
    yield from wrong
    for index, known in enumerate(sections.enqueue or () if sections.names else ()):
        if not known:
            yield Fault(("enqueue", index), "must name at least one parameter", "{}", "Remove it")
        for name in known:
            path, space = ("enqueue", index, name), sections.search_space
            if name not in sections.names:
                yield _unknown(path, name, sections.names)
            elif name in space:
                yield from _known_faults(path, known, space, check_conditions=not wrong)


def _known_faults(path: Path, known: Mapping[str, Value], space: Space, *, check_conditions: bool) -> Iterator[Fault]:
    name = str(path[-1])
    entry = space[name]
    if isinstance(entry, Ranges):
        entry = entry_for(space, known, name)
        if entry is None and check_conditions:
            parents = listing(dict.fromkeys(parent for each in space[name] for parent in each.when), "and")  # type: ignore[union-attr]
            yield Fault(path, f"needs {parents} in the same entry, to say which of its ranges holds", "", "Add it")
        if entry is None:
            return
    outside = list(_outside(path, known[name], entry))
    yield from outside or (_inactive(path, known, space) if check_conditions else ())


def parents_first(space: Space) -> FrozenDict[str, Parameter | Ranges | Value]:
    """`space` with every parameter after those that its `when` names, and otherwise in its order."""
    ordered: dict[str, Parameter | Ranges | Value] = {}
    parents = _parents(space)
    waiting = list(space)
    while waiting:
        name = next(name for name in waiting if ordered.keys() >= parents.get(name, set()))
        waiting.remove(name)
        ordered[name] = space[name]
    return FrozenDict(ordered)


def canonical(known: Mapping[str, Value], space: Space) -> FrozenDict[str, Value]:
    """An entry of `enqueue` as a proposal would be: values in their parameter's type, and the fixed ones left out."""
    searched = ((name, value, entry_for(space, known, name)) for name, value in known.items())
    return FrozenDict({name: entry.canonical(value) for name, value, entry in searched if isinstance(entry, Parameter)})


def _parents(space: Space) -> dict[str, set[str]]:
    """The parameters that each conditional one depends on."""
    found: dict[str, set[str]] = {}
    for name, _, when in _conditions(space):
        found.setdefault(name, set()).update(when)
    return found


def _conditions(space: Space) -> Iterator[tuple[str, Path, Mapping[str, Value]]]:
    """Each `when`: its parameter, its path and what it says."""
    for name, entry in space.items():
        for index, each in enumerate(entry) if isinstance(entry, Ranges) else ():
            yield name, ("search_space", name, index, "when"), each.when or {}
        if isinstance(entry, Parameter) and entry.when:
            yield name, ("search_space", name, "when"), entry.when


def _condition_faults(sections: Sections) -> Iterator[Fault]:
    space = sections.search_space
    for name, place, when in _conditions(space):
        for parent, wanted in when.items():
            path = (*place, parent)
            if parent == name:
                yield Fault(path, "a parameter must not depend on itself")
            elif parent not in sections.names:
                yield _unknown(path, parent, sections.names - {name})
            elif isinstance(space.get(parent), Ranges):
                yield Fault(path, "must have one range where others depend on it", "several", "Name another parameter")
            elif parent in space:
                yield from _impossible(path, space[parent], wanted)
    for cycle in _cycles(space):
        circle = one_line(" → ".join((*cycle, cycle[0])), 200)
        yield Fault(("search_space", cycle[0], "when"), "conditions must not run in a circle", circle)
    for name, entry in space.items():
        yield from _overlaps(name, entry) if isinstance(entry, Ranges) else ()


def _overlaps(name: str, ranges: Ranges) -> Iterator[Fault]:
    """Two ranges hold in different trials if one parameter decides between them."""
    for later, earlier in itertools.combinations(range(len(ranges) - 1, -1, -1), 2):
        one, other = ranges[earlier].when or {}, ranges[later].when or {}
        if all(_values(one[parent]) & _values(other[parent]) for parent in one.keys() & other.keys()):
            rule = f"no trial must have two ranges of a parameter, but some would have `{name}[{earlier}]` too"
            advice = "Give both a value of the same parameter in `when`, each another one"
            yield Fault(("search_space", name, later, "when"), rule, "", advice)


def _values(wanted: Value) -> set[Value]:
    """All values that meet a condition."""
    return {wanted, *wanted} if isinstance(wanted, tuple) else {wanted}


def _unknown(path: Path, name: str, names: frozenset[str]) -> Fault:
    return Fault(path, "unknown parameter", advice=did_you_mean(name, sorted(names), "Name one of the search space"))


def _impossible(path: Path, parent: Parameter | Ranges | Value, wanted: Value) -> Iterator[Fault]:
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
    parents = {name: others - {name} for name, others in _parents(space).items()}
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
