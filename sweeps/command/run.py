"""`sweep run`: what is said before, during and after a sweep."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import cast

from rich.console import Console

from sweeps.command import display
from sweeps.command.display import line
from sweeps.config import SweepConfig, read_draft
from sweeps.datasets.loading import Datasets
from sweeps.locate import project_folders
from sweeps.progress import Progress


def run(console: Console, file: Path, results: Path, overrides: Sequence[str]) -> None:
    """Check the file, train, and say where the tables are.

    Raises:
        SweepError: the config, the data, the model or the folder cannot be used.
    """
    started = time.monotonic()
    draft, datasets = read_draft(file, overrides), Datasets()
    if not draft.complaints:
        line(console, headline(draft.config(), results))
    with project_folders(file):
        from sweeps import start  # noqa: PLC0415  (after the first line, which must not wait)

        config = start.prepare(draft, results, datasets)
        # Closed at once when the display or a Ctrl-C ends it, so that the tables are written before we say so.
        looks = start.follow(config, results, datasets)
        with contextlib.closing(cast("Generator[Progress]", looks)):
            last = display.watch(console, config.objective.metric, looks)
    summary(console, config, results / config.name, last, time.monotonic() - started)


def headline(config: SweepConfig, results: Path) -> str:
    """What is about to run, in one line."""
    amount = "" if config.budget.trials is None else f", {config.budget.trials} trials"
    pruner = "" if config.pruner.use == "none" else f" and {config.pruner.use}"
    return f"sweep {config.name}: {config.sampler.use}{pruner}{amount} -> {results / config.name}"


def summary(console: Console, config: SweepConfig, folder: Path, last: Progress | None, seconds: float) -> None:
    """What came of the sweep, and how to read it."""
    from sweeps.results import load  # noqa: PLC0415  (pandas, when there is something to read)

    results = load(folder)
    if last is None:
        line(console, f"nothing left to do: {display.count(len(results.trials), 'trial')} have ended. {more(config)}")
    else:
        counts = ", ".join(f"{count} {outcome}" for outcome, count in last.outcomes.items())
        times = {0: "not compiled", 1: "compiled once"}.get(last.compilations, f"compiled {last.compilations} times")
        speed = f", {last.examples_per_second:,.0f} examples/s" if last.examples_per_second else ""
        line(console, f"{display.count(last.done, 'trial')} in {display.clock(seconds)}: {counts}")
        line(console, f"training program {times}{speed}")
    if results.best is not None:
        line(console, f"best      {config.objective.metric} {results.best.value:.5g}, trial {results.best.number}")
        for each in display.parameter_lines(console, results.best.params):
            line(console, each)
        if results.best.test:
            tested = ", ".join(f"{name} {value:.5g}" for name, value in results.best.test.items())
            line(console, f"{display.INDENT}{tested}")
    ascending = config.objective.direction == "minimize"
    line(console, f"tables    {folder}/trials and history, .parquet and .csv; to read them:\n")
    line(console, "    import pandas as pd")
    line(console, f'    trials = pd.read_parquet("{folder}/trials.parquet")')
    line(console, f'    print(trials.sort_values("value", ascending={ascending}).head())')


def more(config: SweepConfig) -> str:
    """How to go on with a sweep that is complete."""
    return "" if config.sampler.use == "grid" else "More: --trials N, or another budget"
