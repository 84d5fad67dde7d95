"""`sweep show`: the best trials as a table that fits the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from sweeps.command import display
from sweeps.command.display import line
from sweeps.results import Results, load

PREFIX = "params_"


def show(console: Console, folder: Path, rows: int) -> None:
    """Print the `rows` best trials, and how many there are of each outcome.

    Raises:
        ResultsError: there are no results in `folder`.
    """
    results = load(folder)
    best_first = [results.direction == "minimize", True]
    trials = results.trials.sort_values(["value", "number"], ascending=best_first, na_position="last", kind="stable")
    if len(trials):
        table = columns(results.metric, trials.head(rows))
        width = Measurement.get(console, console.options.update(max_width=10**6), table).maximum
        if not console.is_terminal:
            console.width = max(console.width, width)
        elif width > console.width:
            table = compact(results.metric, trials.head(rows))
        console.print(table, markup=False)
        line(console, "")
    _totals(console, results)


def columns(metric: str, trials: pd.DataFrame) -> Table:
    """A column for every searched parameter; long names go on two lines."""
    searched = [name for name in trials.columns if name.startswith(PREFIX)]
    names = ["trial", metric, "outcome", *(name.removeprefix(PREFIX) for name in searched)]
    table = _table([_in_two(name) for name in names])
    for _, trial in trials.iterrows():
        table.add_row(*_outline(trial), *(_cell(trial[name]) for name in searched))
    return table


def compact(metric: str, trials: pd.DataFrame) -> Table:
    """All parameters in one column of several lines, where they do not fit side by side."""
    searched = [name for name in trials.columns if name.startswith(PREFIX)]
    table = _table(["trial", metric, "outcome"])
    table.add_column("parameters", overflow="fold")
    for _, trial in trials.iterrows():
        given = [f"{name.removeprefix(PREFIX)}={_cell(trial[name])}" for name in searched if _cell(trial[name])]
        # A space within a value would let it be broken there.
        table.add_row(*_outline(trial), "  ".join(each.replace(", ", ",") for each in given))
    return table


def _table(names: list[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    tallest = max(name.count("\n") for name in names)
    for name in names:
        heading = "\n" * (tallest - name.count("\n")) + name
        table.add_column(heading, overflow="fold", justify="left" if name == "outcome" else "right")
    return table


def _outline(trial: pd.Series) -> list[str]:
    return [_cell(trial["number"]), _cell(trial["value"]), _cell(trial["outcome"])]


def _in_two(name: str) -> str:
    """`learning_rate` and `optimizer.b1` on two lines each."""
    return name.replace("." if "." in name else "_", "\n", 1)


def _totals(console: Console, results: Results) -> None:
    counts = ", ".join(f"{count} {outcome}" for outcome, count in results.trials["outcome"].value_counts().items())
    line(console, f"{display.count(len(results.trials), 'trial')}{f': {counts}' if counts else ' yet'}")
    if results.best is not None and results.best.test:
        tested = ", ".join(f"{name} {value:.5g}" for name, value in results.best.test.items())
        line(console, f"trial {results.best.number} on the test split: {tested}")
    for damage in results.damaged:
        line(console, f"skipped: {damage.file}:{damage.line}: {damage.reason}")


def _cell(value: Any) -> str:
    return "" if pd.isna(value) else display.short(value)
