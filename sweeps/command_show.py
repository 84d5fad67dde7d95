"""`sweep show`: the best trials as a table that fits a terminal of 80 columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from sweeps import display
from sweeps.results import load


def show(console: Console, folder: Path, rows: int) -> None:
    """Print the `rows` best trials, and how many there are of each outcome.

    Raises:
        ResultsError: there are no results in `folder`.
    """
    results = load(folder)
    trials = results.trials.sort_values(
        ["value", "number"], ascending=[results.direction == "minimize", True], na_position="last", kind="stable"
    )
    searched = [name for name in trials.columns if name.startswith("params_")]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("trial", results.metric, "outcome", *(name.removeprefix("params_") for name in searched)):
        table.add_column(name, overflow="fold", justify="left" if name == "outcome" else "right")
    for _, trial in trials.head(rows).iterrows():
        cells = [trial["number"], trial["value"], trial["outcome"], *(trial[name] for name in searched)]
        table.add_row(*map(_cell, cells))
    console.print(table)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in results.trials["outcome"].value_counts().items())
    console.print(f"\n{len(trials)} trials: {counts or 'none yet'}", soft_wrap=True, markup=False)
    for damage in results.damaged:
        console.print(f"skipped: {damage.file}:{damage.line}: {damage.reason}", soft_wrap=True, markup=False)


def _cell(value: Any) -> str:
    return "" if pd.isna(value) else display.short(value)
