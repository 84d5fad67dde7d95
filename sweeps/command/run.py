"""`sweep run`: what is said before, during and after a sweep."""

from __future__ import annotations

import contextlib
import gc
import logging
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import cast

from rich.console import Console

from sweeps.command import display
from sweeps.command.display import line
from sweeps.command.signals import Signals
from sweeps.config import SweepConfig, read_draft
from sweeps.datasets.loading import Datasets
from sweeps.results.summary import read_summary
from sweeps.runner.progress import Progress
from sweeps.stop_request import StopRequest
from sweeps.storage.retry import LOGGER
from sweeps.user_code import project_folders


def run(
    console: Console,
    file: Path,
    results: Path,
    overrides: Sequence[str],
    signals: Signals,
    *,
    allow_changed: bool = False,
) -> bool:
    """Check the file, train, and say where the tables are; whether a signal or `--minutes` stopped it before its end.

    Raises:
        SweepError: the config, the data, the model or the folder cannot be used.
    """
    started = time.monotonic()
    draft, datasets = read_draft(file, overrides), Datasets()
    if not draft.complaints:
        line(console, headline(draft.config(), results))
    with project_folders(file):
        from sweeps.runner import start  # after the first line, which must not wait

        config = start.prepare(draft, results, datasets)
        signals.is_patient = True
        # Closed at once when the display or a Ctrl-C ends it, so that the tables are written before we say so.
        looks = start.follow(config, results, datasets, allow_changed=allow_changed, request=signals.request)
        with warnings_on(console), contextlib.closing(cast("Generator[Progress]", looks)):
            last = display.watch(console, config.objective.metric, attended(console, looks, signals.request))
    summary(console, config, results / config.name, last, time.monotonic() - started)
    return last is not None and last.is_stopped


@contextlib.contextmanager
def warnings_on(console: Console) -> Iterator[None]:
    """Print the warnings of the logger `sweeps` (a disk that refuses, a damaged log) among the other lines only."""
    handler, propagate = logging.Handler(logging.WARNING), LOGGER.propagate
    handler.emit = lambda record: line(console, record.getMessage())  # type: ignore[method-assign]
    LOGGER.addHandler(handler)
    LOGGER.propagate = False
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.propagate = propagate


def attended(console: Console, looks: Iterable[Progress], request: StopRequest) -> Iterator[Progress]:
    """The same looks. From the first on garbage is collected again, and a request to stop is told when it comes."""
    is_told = False
    for each in looks:
        if not gc.isenabled():
            gc.freeze()
            gc.enable()
        if request.reason and not is_told:
            is_told = True
            line(console, f"stopping when these epochs have ended ({request.reason}); Ctrl-C stops at once")
        yield each


def headline(config: SweepConfig, results: Path) -> str:
    """What is about to run, in one line."""
    amount = "" if config.budget.trials is None else f", {config.budget.trials} trials"
    pruner = "" if config.pruner.use == "none" else f" and {config.pruner.use}"
    return f"sweep {config.name}: {config.sampler.use}{pruner}{amount} -> {results / config.name}"


def summary(console: Console, config: SweepConfig, folder: Path, last: Progress | None, seconds: float) -> None:
    """What came of the sweep, and how to read it."""
    logged = read_summary(folder).logged
    if last is None:
        line(console, f"nothing left to do: {display.count(len(logged.trials), 'trial')} have ended. {more(config)}")
    else:
        counts = ", ".join(f"{count} {outcome}" for outcome, count in last.outcomes.items())
        line(console, f"{display.count(last.done, 'trial')} in {display.clock(seconds)}{counts and ': '}{counts}")
        line(console, f"training program {compiled(last)}")
    best = logged.best(config.objective.direction)
    if best is not None:
        line(console, f"best      {config.objective.metric} {best.value:.5g}, trial {best.number}")
        for each in display.parameter_lines(console, best.params):
            line(console, each)
        if best.test:
            line(console, f"{display.INDENT}{display.scores(best.test)}")
    ascending = config.objective.direction == "minimize"
    line(console, f"tables    {folder}/trials and history, .parquet and .csv; to read them:\n")
    line(console, "    import pandas as pd")
    line(console, f'    trials = pd.read_parquet("{folder}/trials.parquet")')
    line(console, f'    print(trials.sort_values("value", ascending={ascending}).head())')


def compiled(last: Progress) -> str:
    """How often the training program was compiled, and how fast it then was."""
    never = "taken from the cache" if last.examples_per_second else "not compiled"
    times = {0: never, 1: "compiled once"}.get(last.compilations, f"compiled {last.compilations} times")
    return f"{times}, {last.examples_per_second:,.0f} examples/s" if last.examples_per_second else times


def more(config: SweepConfig) -> str:
    """How to go on with a sweep that is complete."""
    return "" if config.sampler.use == "grid" else "More: --trials N, or another budget"
