"""A table of numbers over time as windows, and what a column comes to after each.

Rows of the table are steps. Its columns are prepared as any table's, by what the training steps hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from sweeps.datasets.canonical import Array
from sweeps.datasets.dataset import Dataset
from sweeps.datasets.sequences import gaps
from sweeps.datasets.sequences import windows as cutting
from sweeps.datasets.sequences.windows import SequenceWindows
from sweeps.datasets.tabular import cells, csv_form, numerals, preprocessing, times
from sweeps.datasets.tabular import table as tables
from sweeps.datasets.tabular.csv_form import CsvForm
from sweeps.datasets.tabular.preprocessing import Wishes
from sweeps.datasets.tabular.table import Table
from sweeps.errors import DataError


def series(  # noqa: PLR0913  (the keys of a config, always given by name)
    *,
    path: str,
    target: str,
    window: int,
    stride: int = 1,
    horizon: int = 1,
    features: tuple[str, ...] | None = None,
    time: str | None = None,
    time_format: str | None = None,
    missing: str = "refuse",
    standardize: bool = False,
    separator: str | None = None,
    decimal: str = ".",
    thousands: str | None = None,
    encoding: str = "utf-8",
    missing_values: tuple[str | float, ...] = (),
    header: int | None = 0,
    valid_fraction: float = 0.2,
    test_fraction: float = 0.0,
) -> Dataset:
    """Windows of a CSV or Parquet file: `x` is float32 `[rows, window, features]`, `y` the `target` `horizon` later.

    Steps are in the order of the file, or of the column `time`, written as `time_format` says, as in a table. Features
    are all other columns, the target among them, unless they are listed. `missing` fills empty cells with `mean` or
    `median`, of features alone; `standardize` is as for tables. The latest steps are for the test, those before for
    validation. Windows take `4 * window * features / stride` bytes for each step.

    Raises:
        DataError: no such file or column, a cell that is no number, or too few steps.
    """
    windows = SequenceWindows(window, stride, horizon)
    windows.check()
    if missing not in ("refuse", *preprocessing.FILLING):
        raise DataError(f"missing must be one of refuse, mean, median for a series, but got {missing!r}")
    times.check_format(time, time_format)
    form = CsvForm(separator, decimal, thousands, encoding, csv_form.marks(missing_values), header)
    table = tables.read(path, [] if time is None or time_format is None else [time], form)
    if time is not None:
        table = _in_order(table, time, time_format)
    named = (features,) if isinstance(features, str) else features
    names = list(
        named or (name for name in table.columns if name == target or name not in (time, *table.index_columns))
    )
    wishes = Wishes(one_hot=(), ordinal={}, missing=missing, standardize=standardize, leave_out="features")
    table.check(target, ~cells.are_missing(table.column(target)), "given, since it is what is predicted")
    words = cells.words(table.column(target))
    are_numbers = ~np.isnan(cells.numbers(table.column(target)))
    table.check(target, are_numbers, "a number, for it is the target of a series", numerals.advice(words))
    plan = preprocessing.planned(table, list(dict.fromkeys([*names, target])), wishes)
    parts = cutting.pieces(table.rows, valid_fraction, test_fraction)
    done = preprocessing.fitted(plan, table, np.arange(table.rows)[parts["train"]], wishes)
    y = preprocessing.apply(
        [{**column, "center": 0.0, "spread": 1.0} for column in done if column["name"] == target], table
    )
    done = [column for column in done if column["name"] in names]
    dataset = cutting.windowed(path, preprocessing.apply(done, table), y[:, 0], parts, windows)
    return replace(
        dataset,
        preprocessing={
            "kind": "series",
            "columns": done,
            "target": target,
            "time": time,
            "time_format": time_format,
            "form": form._asdict(),
            **windows._asdict(),
        },
        notes=(
            *cutting.notes(path, table.rows, dataset, windows),
            *table.index_notes({*names, target, time or target}),
            *preprocessing.notes(done, table),
        ),
        doubts=(*table.doubts, *(() if time is None else gaps.doubts(table, time, time_format))),
    )


def unanswered(source: Any, done: Mapping[str, Any]) -> tuple[Array, list[str]]:
    """The window that ends at each step of a new file or DataFrame, f32 `[rows, window, features]`, and its step.

    A step is called by the column `time`, or by the number of its row from 0. `done` is the description that `series`
    gave; the last window is that of the file's last step, so that what is predicted for it is yet to come.

    Raises:
        DataError: no such file or column, a cell that is no number, or fewer steps than a window has.
    """
    time, table = done["time"], preprocessing.read_for(done["columns"], source, done)
    if time is not None:
        table = _in_order(table, time, done.get("time_format"))
    x, steps = cutting.ends(table.path, preprocessing.apply(done["columns"], table), done["window"])
    names = list(map(str, range(table.rows))) if time is None else cells.texts(table.column(time))
    return x, [names[step] for step in steps]


def _in_order(table: Table, time: str, time_format: str | None) -> Table:
    """The table in the order of a column."""
    table.check(time, ~cells.are_missing(table.column(time)), "given, since steps are in its order")
    places = times.places(table, time, time_format)
    if len(np.unique(places)) < len(places):
        raise DataError(f"{table.path}: every step must have a time of its own, but {time!r} has one twice")
    return table.sorted_by(np.argsort(places))
