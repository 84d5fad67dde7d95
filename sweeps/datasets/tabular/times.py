"""The order of a column in time: numbers and dates by what they are, text only where its form is known.

Text is never ordered by its letters, by which 10:00 comes before 9:00 and 01/02/2021 before 31/01/2020.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from sweeps.datasets.canonical import Array
from sweeps.datasets.tabular import cells
from sweeps.datasets.tabular.table import Table
from sweeps.errors import DataError

Moment: TypeAlias = float | datetime | time
USUAL_FORMS = (
    *(f"%d{mark}%m{mark}%{year}" for year in "Yy" for mark in "/.-"),
    *(f"%m{mark}%d{mark}%{year}" for year in "Yy" for mark in "/.-"),
    *(f"%Y{mark}%m{mark}%d" for mark in "-/."),
    "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%B %d, %Y", "%b %Y", "%B %Y", "%m/%Y",
    "%H:%M", "%H:%M:%S", "%I:%M %p", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S",
    "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S", "%Y-%m-%d %H:%M",
)  # fmt: skip
"""What is tried to say which `time_format` a column may need."""
RULE = "a number, or a time in ISO form such as 2020-01-31 or 09:30"
_ISO_DATE = re.compile(r"\s*\d{4}-\d{2}")
_MONTH = re.compile(r"\d{4}-\d{2}")
_WEEK_WITHOUT_DAY = re.compile(r"%[UW]")
_WEEKDAY = re.compile(r"%[aAwu]")


def check_format(time: str | None, time_format: str | None) -> None:
    """Hold `time_format` against what Python's `strptime` takes.

    Raises:
        DataError: there is no column that it is of, or it is no such format.
    """
    if time_format is None:
        return
    if time is None:
        raise DataError("time_format says how the column `time` is written, but `time` is not given")
    fault = "a week needs a day of it, such as %a" if _WEEK_WITHOUT_DAY.search(time_format) else ""
    if not fault or _WEEKDAY.search(time_format):
        fault = "" if "%" in time_format else "it has none"
        try:
            datetime.strptime("", time_format)
        except (ValueError, re.error) as error:
            fault = fault or ("" if "does not match" in str(error) else str(error))
    if fault:
        raise DataError(
            f"time_format must have the directives of Python's strptime, such as %d/%m/%Y, but got {time_format!r}: "
            f"{fault}"
        )


def places(table: Table, name: str, time_format: str | None = None) -> Array:
    """The place of each row's time among all, i64 `[rows]`; equal times have one place. No cell is missing.

    Numbers, dates and times of Arrow's types are ordered as they are; text as `time_format` says, or as numbers or ISO
    8601 where all of it is so.

    Raises:
        DataError: a cell of another form, or numbers that are dates with the day or the month first.
    """
    column = table.column(name)
    if time_format is not None and (cells.is_text(column) or cells.is_number(column)):
        return _read(table, name, _reading(time_format), f"a time as `time_format: {time_format}` says")
    if cells.is_number(column):
        _check_not_day_first(table, name, cells.numbers(column))
        return _ranked(column)
    if pa.types.is_temporal(column.type):
        return _ranked(column)
    if not cells.is_text(column):
        raise DataError(f"{table.path}: column {name!r} must hold times, but holds {column.type}")
    found = _distinct(column)[0]
    if _are(found, number):
        _check_not_day_first(table, name, np.array([number(cell) for cell in found]))
        return _read(table, name, number, RULE)
    return _read(table, name, iso, RULE, "" if _are(found, iso) else _advice(found))


class Figures(NamedTuple):
    """Times as numbers, f64 `[rows]`; `are_seconds` where they are dates or times of day."""

    values: Array
    are_seconds: bool


def figures(table: Table, name: str, time_format: str | None = None) -> Figures:
    """How far apart the times of a column are, of which `places` has said that they are times."""
    column = table.column(name)
    if pa.types.is_temporal(column.type):
        return Figures(cells.numbers(_in_microseconds(column).cast(pa.int64())) / 1e6, are_seconds=True)
    is_plain = cells.is_number(column) and time_format is None
    found, numbers = ([], np.zeros(0, int)) if is_plain else _distinct(column)
    if is_plain or (time_format is None and _are(found, number)):
        return Figures(cells.numbers(column), are_seconds=False)
    parse = iso if time_format is None else _reading(time_format)
    return Figures(np.array([_seconds(parse(cell)) for cell in found])[numbers], are_seconds=True)


def _in_microseconds(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_time(kind):
        return column.cast(pa.time64("us"), safe=False)
    if pa.types.is_duration(kind):
        return column.cast(pa.duration("us"), safe=False)
    return column.cast(pa.timestamp("us", tz=getattr(kind, "tz", None)), safe=False)


def _seconds(moment: datetime | time) -> float:
    """Since 1970, or since midnight."""
    if isinstance(moment, time):
        return timedelta(
            hours=moment.hour, minutes=moment.minute, seconds=moment.second, microseconds=moment.microsecond
        ).total_seconds()
    return (moment - datetime(1970, 1, 1, tzinfo=UTC if moment.tzinfo else None)).total_seconds()


def are_dates(column: pa.Array) -> bool:
    """Whether a column holds dates, each cell: of Arrow's types, or text in ISO form."""
    if len(column) == column.null_count or column.null_count:
        return False
    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        return True
    if not (cells.is_text(column) and _ISO_DATE.match(column[0].as_py())):
        return False
    found = _distinct(column)[0]
    return (
        all(isinstance(_moment(cell, iso), datetime) for cell in found)
        and len({_kind(_moment(cell, iso)) for cell in found}) == 1
    )


def iso(cell: str) -> datetime | time:
    """A date, a month, a time of day or both, in ISO 8601.

    >>> iso("2020-01"), iso("09:30")
    (datetime.datetime(2020, 1, 1, 0, 0), datetime.time(9, 30))

    Raises:
        ValueError: it is none.
    """
    if _MONTH.fullmatch(cell):
        cell = f"{cell}-01"
    try:
        return datetime.fromisoformat(cell)
    except ValueError:
        return time.fromisoformat(cell)


def number(cell: str) -> float:
    """A finite number.

    Raises:
        ValueError: it is none.
    """
    found = cells.number(cell)
    if not math.isfinite(found):
        raise ValueError(cell)
    return found


def _reading(time_format: str) -> Callable[[str], datetime]:
    """What reads a time of this form.

    Where it is of digits alone, all cells must have their full number of them, but for the first zero of a day, a month
    or an hour, which a column of numbers has lost: `strptime` would guess what 1022020 is.
    """
    full = datetime(2020, 12, 31, 23, 59, 59).strftime(time_format)
    if not full.isdigit():
        return lambda cell: datetime.strptime(cell, time_format)

    def read(cell: str) -> datetime:
        has_lost_zero = len(cell) == len(full) - 1 and not time_format.startswith(("%Y", "%y"))
        cell = f"0{cell}" if has_lost_zero else cell
        if len(cell) != len(full):
            raise ValueError(cell)
        return datetime.strptime(cell, time_format)

    return read


def _ranked(column: pa.Array) -> Array:
    from pyarrow import compute  # only where rows are in an order of time

    return cells.whole_numbers(compute.rank(column, "ascending", tiebreaker="dense"))


def _distinct(column: pa.Array) -> tuple[list[str], Array]:
    """The different cells as text, and the number of each row's among them."""
    if not cells.is_text(column):
        codes, names = cells.categories(column)
        return names, codes
    encoded = column.dictionary_encode()
    return [cell.strip() for cell in encoded.dictionary.to_pylist()], cells.whole_numbers(encoded.indices)


def _are(found: Iterable[str], parse: Callable[[str], Moment]) -> bool:
    """Whether all cells can be read so."""
    return all(_moment(cell, parse) is not None for cell in found)


def _moment(cell: str, parse: Callable[[str], Moment]) -> Moment | None:
    try:
        return parse(cell)
    except ValueError:
        return None


def _read(table: Table, name: str, parse: Callable[[str], Moment], rule: str, advice: str = "") -> Array:
    """The places of a column of text whose cells `parse` reads."""
    found, numbers = _distinct(table.column(name))
    moments = [_moment(cell, parse) for cell in found]
    table.check(name, np.array([moment is not None for moment in moments])[numbers], rule, advice)
    kinds = [_kind(moment) for moment in moments]
    first = kinds[numbers[0]]
    table.check(name, np.array([kind == first for kind in kinds])[numbers], f"{first}, as the first is")
    _, ranks = np.unique(np.array(moments, object), return_inverse=True)
    return np.asarray(ranks)[numbers].astype(np.int64)


def _kind(moment: Moment | None) -> str:
    """What a time is; only times of one kind have an order."""
    if isinstance(moment, datetime):
        return f"a date with{'' if moment.tzinfo else 'out'} a time zone"
    if isinstance(moment, time):
        return f"a time of day with{'' if moment.tzinfo else 'out'} a time zone"
    return "a number"


def _advice(found: Sequence[str]) -> str:
    """Which formats a column may have."""
    fit = [form for form in USUAL_FORMS if _are(found, _reading(form))]
    if not fit:
        return 'Say how it is written, such as `time_format: "%d/%m/%Y"`'
    return f"Say how it is written: {' or '.join(f'`time_format: {chr(34)}{form}{chr(34)}`' for form in fit[:2])}"


def _check_not_day_first(table: Table, name: str, figures: Array) -> None:
    """Numbers such as 31012020 are dates, and their size is not their order.

    Raises:
        DataError: all of these are such.
    """
    if not ((figures >= 10**6) & (figures < 10**8) & (figures == np.floor(figures))).all():
        return
    found = [f"{int(figure):08}" for figure in np.unique(figures)]
    fit = [form for form in ("%d%m%Y", "%m%d%Y") if _are(found, _reading(form))]
    if fit and not _are(found, _reading("%Y%m%d")):
        ways = " or ".join(f"`time_format: {form}`" for form in fit)
        raise DataError(f"{table.path}: column {name!r} holds dates that begin with the day or the month. Say {ways}")
