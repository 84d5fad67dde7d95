"""`sweep check`: what a sweep will do, or every mistake in its file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sweeps import display, preflight
from sweeps.config import Choices, FloatRange, IntRange, SweepConfig, read_draft
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
    table = Table.grid(padding=(0, 2))
    for name, text in facts(config, dataset, Study(config).total):
        table.add_row(f"  {name}", text)
    console.print(f"{file}: right", soft_wrap=True, markup=False)
    console.print(table, markup=False)


def facts(config: SweepConfig, dataset: Dataset, grid: int | None) -> list[tuple[str, str]]:
    """What the sweep will do, as rows of a name and a text."""
    shape = " x ".join(map(str, dataset.input_shape))
    classes = f", {dataset.classes} classes" if dataset.classes else ""
    rows = ", ".join(f"{split.rows:,} {name}" for name, split in dataset.splits.items())
    searched = [(name, described(entry)) for name, entry in config.search_space.items()]
    limits = [
        *([f"{grid} trials (the whole grid)"] if grid is not None else []),
        *([f"{config.budget.trials} trials"] if config.budget.trials is not None else []),
        *([f"{config.budget.minutes:g} minutes"] if config.budget.minutes is not None else []),
        *([f"{config.objective.metric} {config.budget.target:g}"] if config.budget.target is not None else []),
    ]
    return [
        ("sweep", config.name),
        ("data", f"{config.dataset.use}: {rows} rows of {shape} {dataset.train.x.dtype}{classes}"),
        ("model", config.model.use),
        ("train", f"{config.loss.use} by {config.optimizer.use}"),
        (
            "search",
            f"{config.sampler.use}, pruner {config.pruner.use}, {config.objective.direction} {config.objective.metric}",
        ),
        *((f"  {name}", text) for name, text in searched),
        ("until", " or ".join(limits)),
        *([("first", f"{len(config.enqueue)} known configurations")] if config.enqueue else []),
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
