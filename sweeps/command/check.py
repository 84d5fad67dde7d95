"""`sweep check`: what a sweep will do, or every mistake in its file."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from sweeps.command import data_facts, display
from sweeps.config import Choices, Component, FloatRange, IntRange, SweepConfig, read_draft
from sweeps.datasets import targets
from sweeps.datasets.dataset import Dataset
from sweeps.datasets.loading import Datasets
from sweeps.study import Study
from sweeps.user_code import project_folders
from sweeps.validation import validate


def check(console: Console, file: Path, overrides: Sequence[str]) -> None:
    """Print the data, the search space and the budget.

    Raises:
        ConfigError: the file has mistakes; it holds all of them.
    """
    draft, datasets = read_draft(file, overrides), Datasets()
    with project_folders(file):
        dataset = validate.examine(draft, datasets)
        config = draft.config()
        in_lanes = _in_lanes(config, datasets)
    assert dataset is not None
    if config.loss is not None:
        dataset = targets.under(config.loss.use, dataset)
    display.line(console, f"{file}: right")
    if draft.brought:
        display.line(console, f"from the compiled model: {', '.join(draft.brought)}")
    display.facts(console, facts(config, dataset, Study(config).total, in_lanes))


def facts(
    config: SweepConfig, dataset: Dataset, grid: int | None, in_lanes: Collection[str] = ()
) -> list[tuple[str, str]]:
    """What the sweep will do, as rows of a name and a text. `grid` is the number of points where it is a grid."""
    stopping = config.early_stopping.model_dump(exclude_defaults=True)
    first = display.count(len(config.enqueue), "known configuration")
    return [
        ("sweep", config.name),
        *data_facts.facts(config.dataset.use, dataset),
        ("model", _component(config, "model", config.model)),
        ("loss", _component(config, "loss", config.loss or Component(use="the model's"))),
        *([("metrics", ", ".join(config.metrics))] if config.metrics else []),
        ("optimizer", _component(config, "optimizer", config.optimizer)),
        *([("schedule", _component(config, "schedule", config.schedule))] if _is_scheduled(config) else []),
        *([("augmentation", _augmentation(config))] if _is_augmented(config) else []),
        ("objective", f"{config.objective.direction} {config.objective.metric}"),
        *([("early_stopping", _numbers(stopping))] if stopping else []),
        *([("keep", config.keep)] if stopping or config.keep != "last_epoch" else []),
        (
            "sampler",
            config.sampler.use if config.pruner.use == "none" else f"{config.sampler.use}, {config.pruner.use}",
        ),
        *((f"  {name}", described(entry)) for name, entry in config.search_space.items()),
        ("until", " or ".join(_limits(config, grid))),
        *([("first", first)] if config.enqueue else []),
        ("programs", programs_text(config, in_lanes)),
    ]


def _component(config: SweepConfig, section: str, component: Component) -> str:
    is_searched = {f"{section}.use", section} & config.search_space.keys()
    use = "searched" if is_searched else component.use
    return f"{use} {display.parameters(component.arguments)}".rstrip()


def _is_scheduled(config: SweepConfig) -> bool:
    return config.schedule != Component(use="constant") or any(
        name.startswith("schedule.") for name in config.search_space
    )


def _is_augmented(config: SweepConfig) -> bool:
    return bool(config.augmentation.given) or any(name.startswith("augmentation.") for name in config.search_space)


def _augmentation(config: SweepConfig) -> str:
    entries = {name: entry for name, entry in config.search_space.items() if name.startswith("augmentation.")}
    own = {f"augmentation.{name}": value for name, value in config.augmentation.given.items()}
    return ", ".join(f"{name.partition('.')[2]} {described(entry)}" for name, entry in {**own, **entries}.items())


def _numbers(told: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {display.short(value)}" for name, value in told.items())


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


def _in_lanes(config: SweepConfig, datasets: Datasets) -> tuple[str, ...]:
    """What rides in lanes, where a parameter is the model's: the others are known without making it."""
    if not any(name.startswith("model.") for name in config.parameters()):
        return ()
    from sweeps.validation.program_plan import numbers_in_lanes

    return numbers_in_lanes(config, datasets)


def programs_text(config: SweepConfig, in_lanes: Collection[str] = ()) -> str:
    """How many training programs the sweep can need, and what for."""
    several = {name: count for name, count in program_counts(config, in_lanes).items() if count > 1}
    if not several:
        return "1, compiled once"
    if math.inf in several.values():
        each = " and ".join(name for name, count in several.items() if count == math.inf)
        return f"one for each value of {each}: choices would be fewer"
    factors = " x ".join(f"{count:g} {name}" for name, count in several.items())
    return f"at most {math.prod(several.values()):,g}: {factors}"


def program_counts(config: SweepConfig, in_lanes: Collection[str] = ()) -> dict[str, float]:
    """How many programs each searched parameter can ask for by itself; their product is the most that a sweep needs.

    Numbers that a lane holds ask for one: epochs, batch size, learning rate, seed, numeric arguments of the optimizer,
    the loss and the schedule, those of the augmentation, those of the model that are `in_lanes`. Every value of what
    shapes a program asks for its own: data, model, which loss, optimizer and schedule, their other arguments.
    """
    counts: dict[str, float] = {}
    for name, entry in config.parameters().items():
        shapes = name.partition(".")[0] in ("dataset", "model") or name in ("loss", "optimizer.use", "schedule.use")
        if shapes and name not in in_lanes:
            counts[name] = math.inf if entry.count is None else entry.count
        elif "." in name and name not in in_lanes and isinstance(entry, Choices):
            counts[name] = len({None if _is_number(choice) else repr(choice) for choice in entry.choices})
        else:
            counts[name] = 1
        # Being there or not is a difference too, unless a parent that is counted already decides it.
        if "." in name and any(counts.get(parent, 1) == 1 for parent in entry.when or {}):
            counts[name] += 1
    return counts


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
