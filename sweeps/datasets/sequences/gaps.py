"""Whether the steps of a series are equally far apart, as its windows take them to be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sweeps.amounts import count
from sweeps.datasets.canonical import Array
from sweeps.datasets.tabular import times
from sweeps.datasets.tabular.table import Table

NEAR = 0.1
"""So much longer or shorter than most a step may be: months have 28 to 31 days."""
DAY = 86_400.0
FEWEST_STEPS = 3
_UNITS = ((DAY, "day"), (3_600.0, "hour"), (60.0, "minute"), (1.0, "second"))


def doubts(table: Table, time: str, time_format: str | None) -> Iterator[str]:
    """What is to be looked at in a table that is in the order of the column `time`, a line each."""
    values, is_clock = times.figures(table, time, time_format)
    if len(values) <= FEWEST_STEPS:
        return
    steps, unit = np.diff(values), ""
    if is_clock and (days := _working_days(values)) is not None:
        steps, unit, is_clock = np.busday_count(days[:-1], days[1:]).astype(np.float64), " working days", False
    usual = float(np.median(steps))
    is_regular = np.abs(steps - usual) <= NEAR * usual

    def words(step: float) -> str:
        return _span(step) if is_clock else f"{step:g}{unit}"

    if is_regular.mean() < 0.5:
        ends = f"{words(steps.min())} to {words(steps.max())}"
        yield f"{table.path}: times in {time!r} are {ends} apart; windows take them as equally far apart"
        return
    is_longer = ~is_regular & (steps > usual)
    if is_longer.any():
        first, lacking = int(is_longer.argmax()), int(np.maximum(np.round(steps[is_longer] / usual) - 1, 1).sum())
        where = f"{count(int(is_longer.sum()), 'gap')} in {time!r}, where {count(lacking, 'step')} may be missing"
        after = f"the first is of {words(steps[first])} after {table.column(time)[first].as_py()}"
        told = f"{where}: {after}, and most steps are {words(usual)}"
        yield f"{table.place(first)}: {told}. Windows run across them"
    if (is_shorter := ~is_regular & (steps < usual)).any():
        first = int(is_shorter.argmax())
        told = f"{count(int(is_shorter.sum()), 'step')} of {time!r} shorter than most, {words(usual)}"
        yield f"{table.place(first)}: {told}: the first is {words(steps[first])}. Windows take all as equally long"


def _working_days(values: Array) -> Array | None:
    """The days, where all are whole and none is of a weekend; None of other times."""
    days = values / DAY
    if not (days == np.floor(days)).all() or len(days) < 10:
        return None
    dates = days.astype(np.int64).astype("datetime64[D]")
    return dates if np.is_busday(dates).all() else None


def _span(seconds: float) -> str:
    """A time in its largest unit.

    >>> _span(86400), _span(5400), _span(0.25)
    ('1 day', '1.5 hours', '0.25 seconds')
    """
    size, unit = next((pair for pair in _UNITS if seconds >= pair[0]), _UNITS[-1])
    amount = f"{seconds / size:.4g}"
    return f"{amount} {unit}{'' if amount == '1' else 's'}"
