"""What must hold between the sections of a config. The rule: only what is right by itself is judged.

So one mistake is told once, and never as three that follow from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import PydanticCustomError

from sweeps.config.entries import DOTTED, NEEDED
from sweeps.config.formulas import formula_faults
from sweeps.config.methods import method_faults
from sweeps.config.names import METRICS, check_loss, check_metric, check_schedule, metric_column
from sweeps.config.parameters import IntRange, Parameter
from sweeps.config.pydantic_words import missing
from sweeps.config.sections import Sections
from sweeps.config.wording import Fault, Path, did_you_mean, listing, path_text, show

MAX_GRID = 100_000


def spanning_faults(tree: Mapping[str, Any], sections: Sections) -> Iterator[Fault]:
    """Every rule between sections that does not hold, except those of `when` and `enqueue`."""
    yield from _needed(tree, sections)
    yield from _argument_names(tree)
    yield from _given_twice(tree, sections)
    yield from _losses_and_metrics(tree, sections)
    yield from formula_faults(sections)
    yield from _objective(tree, sections)
    for section, component in (("sampler", sections.sampler), ("pruner", sections.pruner)):
        if component is not None:
            yield from method_faults(section, component)
    yield from _rounds(sections)
    yield from _grid(sections)
    yield from _budget(tree, sections)


def _needed(tree: Mapping[str, Any], sections: Sections) -> Iterator[Fault]:
    if isinstance(tree.get("search_space"), Mapping):
        yield from (missing(("search_space", name)) for name in NEEDED if name not in sections.names)


def _argument_names(tree: Mapping[str, Any]) -> Iterator[Fault]:
    for section in DOTTED:
        component = tree.get(section)
        for key in component if isinstance(component, Mapping) else ():
            if not key.isidentifier():
                yield Fault((section, key), "an argument's name must be a Python name")


def _given_twice(tree: Mapping[str, Any], sections: Sections) -> Iterator[Fault]:
    """A value of the search space would silently win over the same key in its own section."""
    for section in (*DOTTED, "augmentation"):
        component = tree.get(section)
        for key in component if isinstance(component, Mapping) else ():
            name = f"{section}.{key}"
            if name in sections.names and name != "loss.use":  # which is unknown, and told as such
                yield _twice((section, key), name)
    optimizer = tree.get("optimizer")
    if isinstance(optimizer, Mapping) and "learning_rate" in optimizer and "learning_rate" in sections.names:
        yield _twice(("optimizer", "learning_rate"), "learning_rate")
    if {"learning_rate", "optimizer.learning_rate"} <= sections.names:
        yield _twice(("search_space", "optimizer.learning_rate"), "learning_rate")

    loss = tree.get("loss")
    if isinstance(loss, Mapping) and "use" in loss and "loss" in sections.names:
        yield _twice(("loss",), "loss")


def _twice(path: Path, name: str) -> Fault:
    other = path_text(("search_space", name))
    return Fault(path, "must be given in one place", f"`{other}` as well", f"Remove `{path_text(path)}` or `{other}`")


def _losses_and_metrics(tree: Mapping[str, Any], sections: Sections) -> Iterator[Fault]:
    for section, check in (("loss", check_loss), ("schedule", check_schedule)):
        component, given = getattr(sections, section), tree.get(section)
        if component is not None and isinstance(given, Mapping) and "use" in given:
            yield from _tried(check, component.use, (section,))
    columns: dict[str, str] = {"valid_loss": "the loss"}
    for index, metric in enumerate(sections.metrics or ()):
        column = metric_column(metric)
        if column in columns:
            rule = "metrics must have columns of their own"
            yield Fault(
                ("metrics", index), rule, f"`{column}`, which is that of {columns[column]} as well", "Remove one"
            )
        columns.setdefault(column, f"`{metric}`")
        yield from _tried(check_metric, metric, ("metrics", index))


def _tried(check: Any, value: object, path: Path) -> Iterator[Fault]:
    try:
        check(value)
    except PydanticCustomError as error:
        yield from (fault._replace(path=path) for fault in (error.context or {})["faults"])


def _objective(tree: Mapping[str, Any], sections: Sections) -> Iterator[Fault]:
    if sections.objective is None or sections.metrics is None:
        return
    metric = sections.objective.metric
    if "metrics" not in tree and metric.startswith("valid_"):
        return  # the model may bring it; `from_model` settles what it brings, and this is asked again
    columns = ("train_loss", "valid_loss", *(metric_column(each) for each in sections.metrics))
    if metric not in columns:
        unlisted = f"Add `{metric[6:]}` to `metrics`" if metric in map(metric_column, METRICS) else ""
        advice = unlisted or did_you_mean(metric, columns, "A metric is `valid_` and one of `metrics`")
        yield Fault(("objective", "metric"), f"must be {listing(columns)}", show(metric), advice)


def _rounds(sections: Sections) -> Iterator[Fault]:
    """Hyperband whose first round is longer than any trial would silently stop nothing."""
    epochs = sections.search_space.get("epochs")
    if sections.pruner is None or sections.pruner.use != "hyperband" or epochs is None:
        return
    fewest = sections.pruner.arguments.get("min_resource", 1)
    most = _highest(epochs)
    if isinstance(fewest, int) and fewest > most:
        yield Fault(("pruner", "min_resource"), f"must be at most the highest number of epochs, {most:g}", show(fewest))


def _highest(entry: Any) -> float:
    return float(entry.high if isinstance(entry, IntRange) else max(getattr(entry, "choices", (entry,))))


def _grid(sections: Sections) -> Iterator[Fault]:
    if sections.sampler is None or sections.sampler.use != "grid":
        return
    counts = {name: entry.count for name, entry in sections.search_space.items() if isinstance(entry, Parameter)}
    for name, count in counts.items():
        if count is None:
            yield Fault(
                ("search_space", name), "a grid needs a finite number of values", advice="Give it a `step`, or choices"
            )
    points = math.prod(count for count in counts.values() if count is not None)
    bounded = sections.budget is None or sections.budget.trials or sections.budget.minutes
    if points > MAX_GRID and not bounded:
        rule = f"a grid without a budget must have at most {MAX_GRID:,} points"
        yield Fault(("sampler",), rule, f"{points:,}", "Use fewer values, or give `budget: {trials: …}`")


def _budget(tree: Mapping[str, Any], sections: Sections) -> Iterator[Fault]:
    budget = sections.budget
    if budget is None or sections.sampler is None or sections.sampler.use == "grid":
        return
    if "budget" not in tree:
        yield missing(("budget",))
    elif budget.trials is None and budget.minutes is None:
        got = "`target` alone" if budget.target is not None else "neither"
        yield Fault(("budget",), "`trials` or `minutes` must be given", got, "For instance `budget: {trials: 64}`")
