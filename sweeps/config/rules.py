"""What must hold between the sections of a config.

Only what is right by itself is judged, so that one mistake is one complaint, and never three that follow from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter

from sweeps.config.entries import DOTTED, NEEDED
from sweeps.config.names import FORMULAS, METHODS, METRICS, OWN, Loss, Options, Schedule, metric_column
from sweeps.config.parameters import Choices, IntRange, Parameter, range_by_range
from sweeps.config.pydantic_words import faults_in, missing
from sweeps.config.rungs import PAUSING, rung_faults
from sweeps.config.schema import Component
from sweeps.config.sections import Sections, meant_sections
from sweeps.config.space import place_of, written_values
from sweeps.config.values import Value
from sweeps.config.wording import Fault, Path, did_you_mean, listing, path_text, show

MAX_GRID = 100_000
_NAMES: dict[str, TypeAdapter[str]] = {"loss": TypeAdapter(Loss), "schedule": TypeAdapter(Schedule)}


def spanning_faults(tree: Mapping[str, Any], sections: Sections) -> Iterator[Fault]:
    """Every rule between sections that does not hold, except those of `when` and `enqueue`."""
    if isinstance(tree.get("search_space"), Mapping):
        yield from (missing(("search_space", name)) for name in NEEDED if name not in sections.names)
    yield from _argument_names(tree)
    yield from _given_twice(tree, sections)
    yield from _columns(sections)
    yield from _formulas(tree, sections)
    yield from _methods(sections)
    yield from _objective(tree, sections)
    yield from _rounds(sections)
    yield from rung_faults(sections)
    yield from _grid(sections)
    yield from _priors(sections)
    yield from _warm_start(sections)
    yield from _budget(tree, sections)


def _argument_names(tree: Mapping[str, Any]) -> Iterator[Fault]:
    for section, key in _keys(tree, DOTTED):
        if not key.isidentifier():
            yield Fault((section, key), "an argument's name must be a Python name")


def _keys(tree: Mapping[str, Any], sections: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for section in sections:
        given = tree.get(section)
        yield from ((section, key) for key in (given if isinstance(given, Mapping) else ()))


def _given_twice(tree: Mapping[str, Any], sections: Sections) -> Iterator[Fault]:
    """A value of the search space would silently win over the same key in its own section."""
    given: list[tuple[Path, str]] = [((section, key), f"{section}.{key}") for section, key in _keys(tree, DOTTED)]
    given += [((section, key), f"{section}.{key}") for section, key in _keys(tree, ("augmentation",))]
    given += [((section, key), key) for section, key in _keys(tree, ("optimizer",)) if key == "learning_rate"]
    given += [(("loss",), "loss") for _, key in _keys(tree, ("loss",)) if key == "use"]
    if "optimizer.learning_rate" in sections.names:
        given.append((("search_space", "optimizer.learning_rate"), "learning_rate"))
    searched = tree.get("search_space")
    searched = searched if isinstance(searched, Mapping) else {}
    for path, name in given:
        if name in searched and name != "loss.use":  # which is unknown, and a fault by itself
            here, other = path_text(path), path_text(("search_space", name))
            yield Fault(path, "must be given in one place", f"`{other}` as well", f"Remove `{here}` or `{other}`")


def _columns(sections: Sections) -> Iterator[Fault]:
    columns: dict[str, str] = {"valid_loss": "the loss"}
    for index, metric in enumerate(sections.metrics or ()):
        column = metric_column(metric)
        if column in columns:
            got = f"`{column}`, which is that of {columns[column]} as well"
            yield Fault(("metrics", index), "metrics must have columns of their own", got, "Remove one")
        columns.setdefault(column, f"`{metric}`")


def _formulas(tree: Mapping[str, Any], sections: Sections) -> Iterator[Fault]:
    """The names and the arguments of the loss and of the schedule, which can be searched.

    Whether each name that can be chosen takes an argument is found out in `validation`, where the choices are tried;
    here an argument is unknown only if none of them takes it.
    """
    for section, known in FORMULAS.items():
        component, given = getattr(sections, section), tree.get(section)
        if component is None:
            continue
        if isinstance(given, Mapping) and "use" in given:
            yield from faults_in(_NAMES[section], component.use, (section,))
        uses = _uses(sections, section, component)
        # What a function of one's own takes is its own matter.
        if uses and all(use in known for use in uses):
            yield from _arguments(section, uses, known, _written(sections, section, component))


def _methods(sections: Sections) -> Iterator[Fault]:
    for section, methods in METHODS.items():
        component = getattr(sections, section)
        if component is None or OWN.fullmatch(component.use):
            continue  # what one of one's own takes is found out in `validation`
        if component.use not in methods:
            rule, near = f"must be {listing((*methods, 'module:name'))}", did_you_mean(component.use, methods)
            yield Fault((section, "use"), rule, show(component.use), near)
        else:
            written: _Written = [((section, name), name, value) for name, value in component.arguments.items()]
            yield from _arguments(section, (component.use,), methods, written)


_Written = list[tuple[Path, str, Value]]
"""Values of arguments, with where they are written and the argument's name."""


def _arguments(section: str, uses: tuple[str, ...], known: Mapping[str, Options], written: _Written) -> Iterator[Fault]:
    taken = {name: kind for use in uses for name, kind in known[use].items()}
    all_taken = f"It takes {listing(taken, 'and')}" if taken else "It takes no arguments"
    for path, name, value in written:
        if name in taken:
            yield from faults_in(taken[name], value, path)
        else:
            rule = f"unknown argument of the {section} {listing(uses)}"
            yield Fault(path[:2], rule, "", did_you_mean(name, taken, all_taken))


def _uses(sections: Sections, section: str, component: Component) -> tuple[str, ...]:
    """The names that can be chosen."""
    entry = sections.search_space.get("loss" if section == "loss" else f"{section}.use")
    if isinstance(entry, Choices):
        return tuple(map(str, entry.choices))
    if entry is not None:
        return (str(entry),)
    return () if OWN.fullmatch(component.use) else (component.use,)


def _written(sections: Sections, section: str, component: Component) -> _Written:
    """The arguments of a section, fixed in it or in the search space, and what they can be where they are searched."""
    found: _Written = [((section, name), name, value) for name, value in component.arguments.items()]
    for dotted, entry in sections.search_space.items():
        first, _, name = dotted.partition(".")
        if first == section and name not in ("", "use"):
            found += [(path, name, value) for path, value in written_values(dotted, entry)]
    return found


def _objective(tree: Mapping[str, Any], sections: Sections) -> Iterator[Fault]:
    if sections.objective is None or sections.metrics is None:
        return
    metric = sections.objective.metric
    if "metrics" not in tree and metric.startswith("valid_"):
        return  # the model may bring it; `keras_defaults` settles what it brings, and this is asked again
    columns = ("train_loss", "valid_loss", *map(metric_column, sections.metrics))
    if metric not in columns:
        unlisted = f"Add `{metric[6:]}` to `metrics`" if metric in map(metric_column, METRICS) else ""
        advice = unlisted or did_you_mean(metric, columns, "A metric is `valid_` and one of `metrics`")
        yield Fault(("objective", "metric"), f"must be {listing(columns)}", show(metric), advice)


def _rounds(sections: Sections) -> Iterator[Fault]:
    """Hyperband whose first round is longer than any trial would silently stop nothing."""
    epochs: Any = sections.search_space.get("epochs")
    if sections.pruner is None or sections.pruner.use != "hyperband" or epochs is None:
        return
    fewest = sections.pruner.arguments.get("min_resource", 1)
    most = epochs.high if isinstance(epochs, IntRange) else max(getattr(epochs, "choices", (epochs,)))
    if isinstance(fewest, int) and fewest > most:
        yield Fault(("pruner", "min_resource"), f"must be at most the highest number of epochs, {most:g}", show(fewest))


def _grid(sections: Sections) -> Iterator[Fault]:
    if sections.sampler is None or sections.sampler.use != "grid":
        return
    ranges = range_by_range(sections.search_space)
    searched = {key: entry for key, entry in ranges.items() if isinstance(entry, Parameter)}
    for key, entry in searched.items():
        if entry.count is None:
            advice = "Give it a `step`, or choices"
            yield Fault(place_of(key), "a grid needs a finite number of values", advice=advice)
    points = math.prod(entry.count for entry in searched.values() if entry.count is not None)
    bounded = sections.budget is None or sections.budget.trials or sections.budget.minutes
    if points > MAX_GRID and not bounded:
        rule = f"a grid without a budget must have at most {MAX_GRID:,} points"
        yield Fault(("sampler",), rule, f"{points:,}", "Use fewer values, or give `budget: {trials: …}`")


PRIORLESS = {
    "grid": "tries all values, likely or not",
    "qmc": "spreads its trials evenly",
    "cmaes": "learns from what it has drawn itself",
}
"""Samplers that cannot prefer some values, and why."""
UNTEACHABLE = {**PRIORLESS, "random": "learns from no trials"}
"""Samplers that cannot learn from trials of another sweep, and why."""


def _priors(sections: Sections) -> Iterator[Fault]:
    use = sections.sampler.use if sections.sampler is not None else ""
    advice = "Use another sampler, or name the value in `enqueue`"
    for key, entry in range_by_range(sections.search_space).items() if use in PRIORLESS else ():
        if isinstance(entry, Parameter) and entry.prior is not None:
            rule = f"the sampler `{use}` {PRIORLESS[use]}, and takes no prior"
            yield Fault((*place_of(key), "prior"), rule, "", advice)
    epochs, pruner = sections.search_space.get("epochs"), _pausing(sections)
    if pruner and isinstance(epochs, Parameter) and epochs.prior is not None:
        rule = f"the pruner `{pruner}` decides how far each trial goes, so `epochs` takes no prior"
        yield Fault(("search_space", "epochs", "prior"), rule, "", "Remove it")


def _pausing(sections: Sections) -> str:
    """The pruner that pauses trials; "" where none does."""
    return sections.pruner.use if sections.pruner is not None and sections.pruner.use in PAUSING else ""


def _warm_start(sections: Sections) -> Iterator[Fault]:
    use = sections.sampler.use if sections.sampler is not None else ""
    if sections.warm_start and use in UNTEACHABLE:
        yield Fault(("warm_start",), f"the sampler `{use}` {UNTEACHABLE[use]}", "", "Use `tpe` or `gp`, or remove it")
    elif sections.warm_start and (pruner := _pausing(sections)):
        rule = f"the pruner `{pruner}` has the sampler learn from scores at its rungs, which other trials lack"
        yield Fault(("warm_start",), rule, "", "Use another pruner, or remove it")


def _budget(tree: Mapping[str, Any], sections: Sections) -> Iterator[Fault]:
    budget = sections.budget
    if budget is None or sections.sampler is None or sections.sampler.use == "grid":
        return
    if "budget" not in tree:
        yield from [] if "budget" in meant_sections(tree).values() else [missing(("budget",))]
    elif budget.trials is None and budget.minutes is None:
        got = "`target` alone" if budget.target is not None else "neither"
        yield Fault(("budget",), "`trials` or `minutes` must be given", got, "For instance `budget: {trials: 64}`")
