"""`sweep run`: what is said before, during and after a sweep."""

from __future__ import annotations

import contextlib
import gc
import logging
import time
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import cast

from rich.console import Console

from sweeps.amounts import clock, count
from sweeps.command import display, report
from sweeps.command.display import line
from sweeps.command.show import failures
from sweeps.command.signals import Signals
from sweeps.config import SweepConfig, read_draft
from sweeps.datasets.loading import Datasets
from sweeps.log.trials import LoggedTrial, LoggedTrials
from sweeps.results.summary import read_summary
from sweeps.runner.progress import Progress
from sweeps.stop_request import StopRequest
from sweeps.storage.retry import LOGGER
from sweeps.user_code import project_folders

MOST_WARNINGS = 12


class End(Enum):
    """How a run ended: `STOPPED` by a signal or `--minutes`, or at the sweep's end, with a completed trial or none."""

    COMPLETE = auto()
    NOTHING_COMPLETED = auto()
    STOPPED = auto()


def run(
    console: Console,
    file: Path,
    results: Path,
    overrides: Sequence[str],
    signals: Signals,
    *,
    allow_changed: bool = False,
) -> End:
    """Check the file, train, and say where the tables are.

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
        signals.say = partial(line, console)
        signals.is_patient = True
        # Closed at once when the display or a Ctrl-C ends it, so that the tables are written before this is said.
        updates = start.follow(config, results, datasets, allow_changed=allow_changed, request=signals.request)
        with warnings_on(console), contextlib.closing(cast("Generator[Progress]", updates)):
            last = display.watch(console, config.objective.metric, attended(console, updates, signals.request))
    logged = read_summary(results / config.name).logged
    seconds = time.monotonic() - started
    summary(console, config, results / config.name, logged, last, seconds)
    if last is not None and last.is_stopped:
        return End.STOPPED  # at once: whoever stops a run waits for it, or will not wait long
    report.after_a_run(console, results / config.name, seconds)
    return End.COMPLETE if logged.best(config.objective.direction) else End.NOTHING_COMPLETED


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


def attended(console: Console, updates: Iterable[Progress], request: StopRequest) -> Iterator[Progress]:
    """The same progress, with lines on what a person must know: what is continued, what went wrong, that it stops.

    From the first on garbage is collected again.
    """
    is_first, is_stopping, shown = True, False, 0
    for each in updates:
        if not gc.isenabled():
            gc.freeze()
            gc.enable()
        if is_first and any(each.continued):
            line(console, continues(each))
        for warning in each.warnings:
            shown += 1
            if shown <= MOST_WARNINGS:
                line(console, warning)
            elif shown == MOST_WARNINGS + 1:
                line(console, "more such lines are left out; `sweep show` counts the failures by reason")
        if request.reason and not is_stopping:
            is_stopping = True
            line(console, f"stopping when these epochs have ended ({request.reason}); Ctrl-C stops at once")
        is_first = False
        yield each


def continues(first: Progress) -> str:
    """What a run takes over from those before it."""
    ended, under_way = first.continued
    of_all = "" if first.total is None else f" of {first.total:,}"
    return f"continues: {ended:,}{of_all} trials ended, {under_way:,} under way"


def headline(config: SweepConfig, results: Path) -> str:
    """What is about to run, in one line."""
    budget = config.budget
    amount = "" if budget.trials is None else f", {count(budget.trials, 'trial')}"
    amount += "" if budget.minutes is None else f", {budget.minutes:g} min"
    pruner = "" if config.pruner.use == "none" else f" and {config.pruner.use}"
    return f"sweep {config.name}: {config.sampler.use}{pruner}{amount} -> {results / config.name}"


def summary(
    console: Console, config: SweepConfig, folder: Path, logged: LoggedTrials, last: Progress | None, seconds: float
) -> None:
    """What came of the sweep, and how to read it."""
    if last is None:
        ended = count(len(logged.trials), "trial")
        line(console, f"nothing left to do: {ended} have ended. {more(config, logged.trials.values())}")
    else:
        counts = ", ".join(f"{count} {outcome}" for outcome, count in last.outcomes.items())
        earlier = f" ({last.continued[0]:,} of them before)" if last.continued[0] else ""
        amount = f"{count(last.done, 'trial')} in {clock(seconds)}{earlier}"
        line(console, f"{amount}{counts and ': '}{counts}")
        if last.under_way[0]:
            epochs = count(last.under_way[1], "epoch")
            line(console, f"under way {count(last.under_way[0], 'trial')} with {epochs}, which will go on")
        line(console, f"training program {compiled(last)}")
    for text in failures(logged):
        line(console, text)
    best = logged.best(config.objective.direction)
    if best is None:
        if last is None or not last.is_stopped:
            line(console, "best      none: no trial has completed")
    else:
        line(console, f"best      {config.objective.metric} {best.value:.5g}, trial {best.number}")
        for each in display.parameter_lines(console, best.params):
            line(console, each)
        if best.test:
            line(console, f"{display.INDENT}{display.scores(best.test)}")
    ascending = config.objective.direction == "minimize"
    line(console, f"tables    {folder}/trials and history, .parquet and .csv; to read them:\n")
    for code in (
        "import pandas as pd",
        f'trials = pd.read_parquet("{folder}/trials.parquet")',
        f'print(trials.sort_values("value", ascending={ascending}).head())',
    ):
        line(console, f"    {code}", is_code=True)


def compiled(last: Progress) -> str:
    """How often the training program was compiled, and how fast it then was."""
    never = "taken from the cache" if last.examples_per_second else "not compiled"
    times = {0: never, 1: "compiled once"}.get(last.compilations, f"compiled {last.compilations} times")
    return f"{times}, {last.examples_per_second:,.0f} examples/s" if last.examples_per_second else times


def more(config: SweepConfig, trials: Collection[LoggedTrial]) -> str:
    """How to go on with a sweep that is complete with these trials."""
    from sweeps.runner.budget import exhaustion  # the search space's arithmetic

    if exhausted := exhaustion(config, trials):
        return exhausted[0].upper() + exhausted[1:]
    return "" if config.sampler.use == "grid" else "More: --trials N, or another budget"
