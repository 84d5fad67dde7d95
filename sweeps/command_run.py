"""`sweep run`: what is said before, during and after a sweep."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from sweeps import display
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
        _print(console, headline(draft.config(), results))
    with project_folders(file):
        from sweeps import start  # noqa: PLC0415  (after the first line, which must not wait)

        config = start.prepare(draft, results, datasets)
        last = display.watch(console, config.objective.metric, start.follow(config, results, datasets))
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
        _print(console, f"nothing left to do: all {len(results.trials)} trials have ended. More: --trials N")
    else:
        counts = ", ".join(f"{count} {outcome}" for outcome, count in last.outcomes.items())
        times = {0: "not compiled", 1: "compiled once"}.get(last.compilations, f"compiled {last.compilations} times")
        _print(console, f"{last.done} trials in {display.clock(seconds)}: {counts}. Training program {times}.")
    best = results.best
    if best is not None:
        test = "".join(f", {name} {value:.5g}" for name, value in best.test.items())
        _print(console, f"best: trial {best.number}, {config.objective.metric} {best.value:.5g}{test}")
        _print(console, f"      {display.parameters(best.params)}")
    ascending = config.objective.direction == "minimize"
    _print(console, f"tables: {folder}/trials and history, .parquet and .csv. To read them:\n")
    _print(console, "    import pandas as pd")
    _print(console, f'    trials = pd.read_parquet("{folder}/trials.parquet")')
    _print(console, f'    print(trials.sort_values("value", ascending={ascending}).head())')


def _print(console: Console, line: str) -> None:
    console.print(line, soft_wrap=True, markup=False)
