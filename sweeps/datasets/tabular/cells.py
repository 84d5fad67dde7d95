"""Cells of a column as numbers and categories: NumPy out of Arrow, without pandas.

Arrow's own ways to NumPy import pandas, 0.2 s for nothing, so values are looked up in its buffers
(https://arrow.apache.org/docs/format/Columnar.html).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from sweeps.datasets.canonical import Array

_WHOLE = re.compile(r"^(-?\d+)\.0+$")
_STORED: dict[pa.DataType, type[np.generic]] = {pa.int64(): np.int64, pa.float64(): np.float64}
"""Types whose buffers NumPy reads as they are: those of numbers in a CSV file."""


def is_text(column: pa.Array) -> bool:
    """Whether cells are text."""
    kind = column.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_number(column: pa.Array) -> bool:
    """Whether cells are numbers, or true and false, or all missing."""
    kind = column.type
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_null)
    return any(test(kind) for test in tests)


def numbers(column: pa.Array) -> Array:
    """A column as float64, NaN where a cell is missing or, in a column of text, no number."""
    stored = _STORED.get(column.type)
    if stored is not None:  # without Arrow's `cast`, which takes longer than all else for each column of a wide table
        floats = _values(column, stored).astype(np.float64)
    elif is_text(column):
        return np.array([number(cell) for cell in column.to_pylist()])
    elif not is_number(column):
        return np.full(len(column), np.nan)
    else:
        plain = column.cast(pa.uint8()) if is_truth(column) else column
        floats = _values(plain.cast(pa.float64(), safe=False), np.float64)
    nulls = _nulls(column)
    return floats if nulls is None else np.where(nulls, np.nan, floats)


def are_missing(column: pa.Array) -> Array:
    """Which cells are missing: empty ones and NaN, bool `[rows]`."""
    nulls = _nulls(column)
    if not pa.types.is_floating(column.type):
        return np.zeros(len(column), bool) if nulls is None else nulls
    are_nan = np.isnan(numbers(column))
    return are_nan if nulls is None else are_nan | nulls


def _nulls(column: pa.Array) -> Array | None:
    """Which cells Arrow marks as missing, bool `[rows]`; None where it marks none."""
    if column.null_count == 0:
        return None
    return _values(column.is_null().cast(pa.uint8()), np.uint8).astype(bool)


class Categories(NamedTuple):
    """A column as categories: `codes` i64 `[rows]` are places in `names`, -1 where a cell is missing."""

    codes: Array
    names: list[str]


def categories(column: pa.Array) -> Categories:
    """The categories of a column's cells, in their order (`in_order`)."""
    encoded, given = column.dictionary_encode(), ~are_missing(column)
    met, indices = np.unique(_values(encoded.indices, np.int32)[given], return_inverse=True)
    cells = encoded.dictionary.to_pylist()
    found = [category(text_of(cells[index])) for index in met]
    names = in_order(found)
    place = {name: number for number, name in enumerate(names)}
    codes = np.full(len(column), -1)
    codes[given] = np.array([place[name] for name in found], int)[indices]
    return Categories(codes, names)


def texts(column: pa.Array) -> list[str]:
    """Cells, none of which is missing, as names of categories."""
    codes, names = categories(column)
    return [names[code] for code in codes]


def whole_numbers(column: pa.Array) -> Array:
    """A column of Arrow's integers, none of which is missing, as i64 `[rows]`."""
    return _values(column.cast(pa.int64()), np.int64)


def is_truth(column: pa.Array) -> bool:
    """Whether cells are true and false."""
    return bool(pa.types.is_boolean(column.type))


def has_fractions(column: pa.Array) -> bool:
    """Whether cells are numbers, or texts of numbers, that need not be whole."""
    return not (pa.types.is_integer(column.type) or is_truth(column))


def text_of(cell: object) -> str:
    """One cell as the name of a category: 3 and 3.0 are the same.

    >>> text_of(3.0), text_of(True), text_of("b")
    ('3', 'true', 'b')
    """
    if isinstance(cell, bool):
        return str(cell).lower()
    is_whole = isinstance(cell, float) and cell.is_integer()
    return str(int(cell)) if is_whole else str(cell)  # type: ignore[call-overload]  # a float, as just seen


def category(text: str) -> str:
    """Text as the name of a category: blanks around it do not count, and 1.0, as pandas writes a 1, is 1.

    >>> category(" 1.0"), category("007"), category("1.10"), category("yes ")
    ('1', '007', '1.10', 'yes')
    """
    return _WHOLE.sub(r"\1", text.strip())


def value_of(name: str) -> int | float | bool:
    """What `text_of` has made the name of a category of: true, false or a number.

    >>> value_of("true"), value_of("3"), value_of("0.5")
    (True, 3, 0.5)
    """
    if name in ("true", "false"):
        return name == "true"
    try:
        return int(name)
    except ValueError:
        return float(name)


def words(column: pa.Array) -> list[str]:
    """The different cells of a column of text that are not empty; none of any other column."""
    return [cell for cell in column.unique().to_pylist() if cell] if is_text(column) else []


def in_order(names: Iterable[str]) -> list[str]:
    """Names of categories, each once: numbers by their size and before words.

    >>> in_order(["b", "10", "9", "a", "9"])
    ['9', '10', 'a', 'b']
    """
    return sorted(set(names), key=lambda name: (np.isnan(number(name)), np.nan_to_num(number(name)), name))


def number(cell: object) -> float:
    """What a cell of text is as a number, NaN where it is none.

    >>> number(" 1.5"), number("1_5")
    (1.5, nan)
    """
    text = str(cell)
    try:
        return float("nan") if "_" in text else float(text)  # Python takes 1_2 for 12, and in tables it is a name
    except ValueError:
        return float("nan")


def _values(column: pa.Array, dtype: type[np.generic]) -> Array:
    """What a column of numbers holds, anything where a cell is missing."""
    return np.frombuffer(column.buffers()[1], dtype, column.offset + len(column))[column.offset :]
