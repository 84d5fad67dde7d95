"""`sweep check`: what a sweep will do, or every mistake in its file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from sweeps import preflight
from sweeps.command import data_facts, display
from sweeps.config import Choices, Component, FloatRange, IntRange, SweepConfig, read_draft
from sweeps.datasets.base import Dataset
from sweeps.datasets.loading import Datasets
from sweeps.locate import project_folders
from sweeps.study import Study


def check(console: Console, file: Path, overrides: Sequence[str]) -> None:
    """Print the data, the search space and the budget.

    Raises:
        ConfigError: the file has mistakes; it holds all of them.
    """
    draft = read_draft(file, overrides)
    with project_folders(file):
        dataset = preflight.examine(draft, Datasets())
    config = draft.config()
    assert dataset is not None
    display.line(console, f"{file}: right")
    display.facts(console, facts(config, dataset, Study(config).total))


def facts(config: SweepConfig, dataset: Dataset, grid: int | None) -> list[tuple[str, str]]:
    """What the sweep will do, as rows of a name and a text. `grid` is the number of points where it is a grid."""
    first = display.count(len(config.enqueue), "known configuration")
    return [
        ("sweep", config.name),
        *data_facts.facts(config.dataset.use, dataset),
        ("model", _component(config, "model", config.model)),
        ("loss", _component(config, "loss", config.loss)),
        ("optimizer", _component(config, "optimizer", config.optimizer)),
        *([("schedule", _component(config, "schedule", config.schedule))] if _is_scheduled(config) else []),
        ("objective", f"{config.objective.direction} {config.objective.metric}"),
        (
            "sampler",
            config.sampler.use if config.pruner.use == "none" else f"{config.sampler.use}, {config.pruner.use}",
        ),
        *((f"  {name}", described(entry)) for name, entry in config.search_space.items()),
        ("until", " or ".join(_limits(config, grid))),
        *([("first", first)] if config.enqueue else []),
        ("programs", programs_text(config)),
    ]


def _component(config: SweepConfig, section: str, component: Component) -> str:
    is_searched = {f"{section}.use", section} & config.search_space.keys()
    use = "searched" if is_searched else component.use
    return f"{use} {display.parameters(component.arguments)}".rstrip()


def _is_scheduled(config: SweepConfig) -> bool:
    return config.schedule != Component(use="constant") or any(
        name.startswith("schedule.") for name in config.search_space
    )


def _limits(config: SweepConfig, grid: int | None) -> list[str]:
    budget = config.budget
    target = "" if budget.target is None else f"{config.objective.metric} {budget.target:g}"
    return [
        *([f"{display.count(grid, 'trial')}, the whole grid"] if grid is not None else []),
        *([display.count(budget.trials, "trial")] if budget.trials is not None else []),
        *([f"{budget.minutes:g} minutes"] if budget.minutes is not None else []),
        *([target] if target else []),
    ]


def described(entry: object) -> str:
    """A parameter's range in a few words."""
    if isinstance(entry, Choices):
        text = f"one of {', '.join(map(display.short, entry.choices))}"
    elif isinstance(entry, FloatRange | IntRange):
        step = f", step {display.short(entry.step)}" if entry.step and entry.step != 1 else ""
        text = f"{display.short(entry.low)} to {display.short(entry.high)}{', log' if entry.log else ''}{step}"
    else:
        return f"{display.short(entry)} (fixed)"
    when = ", ".join(f"{name} is {display.short(value)}" for name, value in (entry.when or {}).items())
    return f"{text}, when {when}" if when else text


def programs_text(config: SweepConfig) -> str:
    """How many training programs the sweep can need, and what for."""
    several = {name: count for name, count in program_counts(config).items() if count > 1}
    if not several:
        return "1, compiled once"
    if math.inf in several.values():
        each = " and ".join(name for name, count in several.items() if count == math.inf)
        return f"one for each value of {each}: choices would be fewer"
    factors = " x ".join(f"{count:g} {name}" for name, count in several.items())
    return f"at most {math.prod(several.values()):,g}: {factors}"


def program_counts(config: SweepConfig) -> dict[str, float]:
    """How many programs each searched parameter can ask for by itself; their product is the most that a sweep needs.

    Numbers that a lane holds ask for one: epochs, batch size, learning rate, seed, numeric arguments of the optimizer,
    the loss and the schedule. Every value of what shapes a program asks for its own: data, model, which loss, optimizer
    and schedule, their other arguments.
    """
    counts: dict[str, float] = {}
    for name, entry in config.parameters().items():
        shapes = name.partition(".")[0] in ("dataset", "model") or name in ("loss", "optimizer.use", "schedule.use")
        if shapes:
            counts[name] = math.inf if entry.count is None else entry.count
        elif "." in name and isinstance(entry, Choices):
            counts[name] = len({None if _is_number(choice) else repr(choice) for choice in entry.choices})
        else:
            counts[name] = 1
        # Being there or not is a difference too, unless a parent that is counted already decides it.
        if "." in name and any(counts.get(parent, 1) == 1 for parent in entry.when or {}):
            counts[name] += 1
    return counts


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
