"""Tables as CSV text: a cell reads back as the value that it was, and is safe to open in a spreadsheet.

The text is what pandas' `to_csv` writes: floats in the shortest text that reads back as the same float, an empty cell
for a missing value (NaN included), times as `2026-11-22 04:00:10.500000`, durations as `0 days 00:00:30.500000`. Beyond
that, text with a carriage return is quoted, for it would otherwise end its line, and text that a spreadsheet would run
as a formula has an apostrophe before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta

from sweeps.results.columns import TableColumn

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NEEDS_QUOTES = re.compile('[,"\n\r]')


def header(names: Iterable[str]) -> bytes:
    """The first line."""
    return _lines([list(map(_quoted, names))])


def rows(columns: Sequence[TableColumn]) -> bytes:
    """The lines of some rows, each with its line end."""
    return _lines(zip(*map(_cells, columns), strict=True))


def _lines(lines: Iterable[Sequence[str]]) -> bytes:
    return "".join(",".join(line) + "\n" for line in lines).encode()


def _cells(column: TableColumn) -> list[str]:
    values = column.values
    if column.kind in ("float64", "Float64"):
        return ["" if value is None or value != value else repr(value) for value in values]  # noqa: PLR0124  (NaN)
    if column.kind == "datetime64[us]":
        return ["" if value is None else value.isoformat(" ", "microseconds") for value in values]
    if column.kind == "timedelta64[us]":
        return ["" if value is None else duration(value) for value in values]
    if column.kind == "string":
        return ["" if value is None else _quoted(harmless(value)) for value in values]
    return ["" if value is None else str(value) for value in values]


def harmless(text: str) -> str:
    """The text with an apostrophe before it, if a spreadsheet would take it for a formula.

    >>> harmless("=1+1"), harmless("a=1")
    ("'=1+1", 'a=1')
    """
    return f"'{text}" if text.startswith(_FORMULA) else text


def duration(value: timedelta) -> str:
    """A duration as pandas writes it.

    >>> duration(timedelta(days=1, hours=2, seconds=3, microseconds=4))
    '1 days 02:00:03.000004'
    """
    seconds, fraction = value.seconds, f".{value.microseconds:06}" if value.microseconds else ""
    sign = "+" if value.days < 0 else ""
    return f"{value.days} days {sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _NEEDS_QUOTES.search(text) else text
