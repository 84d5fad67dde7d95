"""A table from a CSV or Parquet file, as its columns are. The rule: what is wrong is named by its place in the file.

Read by pyarrow, which is loaded for the results' tables in any case.
"""

from __future__ import annotations

import bz2
import csv as standard_csv
import difflib
import gzip
import lzma
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from sweeps.datasets.canonical import Array
from sweeps.errors import DataError
from sweeps.user_code import find_file

_OPENED_BY: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_PARQUET = (".parquet", ".pq")
SEPARATORS = ",;\t"


class Table(NamedTuple):
    """Columns by name, and the number of each row in the file; `path` is as it was written in the config."""

    path: str
    columns: dict[str, pa.Array]
    numbers: Array  # i64 [rows], from 0

    @property
    def rows(self) -> int:
        return len(self.numbers)

    def column(self, name: str) -> pa.Array:
        """The column of this name.

        Raises:
            DataError: there is none; the nearest names are told.
        """
        if name in self.columns:
            return self.columns[name]
        names = list(self.columns)
        near = difflib.get_close_matches(str(name), names, n=3)
        known = ", ".join(map(repr, near or names[:8]))
        raise DataError(f"{self.path}: there is no column {name!r}; the {'nearest' if near else 'first'} are {known}")

    def taken(self, keep: Array) -> Table:
        """The rows where `keep`, bool `[rows]`, is true."""
        bits = pa.py_buffer(np.packbits(keep, bitorder="little").tobytes())
        mask = pa.Array.from_buffers(pa.bool_(), len(keep), [None, bits])
        columns = {name: column.filter(mask) for name, column in self.columns.items()}
        return self._replace(columns=columns, numbers=self.numbers[keep])

    def sorted_by(self, order: Array) -> Table:
        """The rows in another order, i64 `[rows]`."""
        places = pa.Array.from_buffers(pa.int64(), len(order), [None, pa.py_buffer(order.astype(np.int64).tobytes())])
        columns = {name: column.take(places) for name, column in self.columns.items()}
        return self._replace(columns=columns, numbers=self.numbers[order])

    def check(self, name: str, are_right: Array, rule: str, advice: str = "") -> None:
        """Name the first cell of a column that is not right.

        Raises:
            DataError: there is one.
        """
        if are_right.all():
            return
        row = int(np.argmin(are_right))
        cell, wrong = self.columns[name][row].as_py(), int((~are_right).sum())
        is_empty = cell is None or cell != cell  # noqa: PLR0124  (NaN, whatever its type)
        got = "an empty cell" if is_empty else repr(str(cell) if hasattr(cell, "isoformat") else cell)
        more = f" ({wrong:,} cells of the column are so)" if wrong > 1 else ""
        place = self.place(row)
        raise DataError(
            f"{place}: every cell of column {name!r} must be {rule}, but got {got}{more}"
            + (f". {advice}" if advice else "")
        )

    def place(self, row: int) -> str:
        """Where a row is in its file."""
        row = int(self.numbers[row])
        if _is_parquet(self.path):
            return f"{self.path}, row {row:,} from 0"
        return f"{self.path}:{_line(self.path, row)}"


def read(path: str, as_text: Iterable[str] = ()) -> Table:
    """The table in a file: Parquet by its suffix, `.parquet` or `.pq`, else CSV in UTF-8, a header first.

    CSV may be compressed (`.gz`, `.bz2`, `.xz`). Cells are separated by what its header has most of: commas, semicolons
    or tabs. Empty cells, `NA`, `NaN` and `null` are missing. A column is numbers where all its cells are, unless it is
    named in `as_text`, so that a category is "007" whatever its neighbours are.

    Raises:
        DataError: no such file, or it is no table with a name for every column, or it has no rows.
    """
    file = find_file(path, DataError)
    found = _read_parquet(path, file) if _is_parquet(path) else _read_csv(path, file, as_text)
    names = _names(path, found)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path}: there must be one column of each name, but {twice[0]!r} is there twice")
    if not found.num_rows:
        raise DataError(f"{path} must have rows{'' if _is_parquet(path) else ' below its header'}, but it has none")
    columns = {name: _whole(found.column(name)) for name in names}
    return Table(path, columns, np.arange(found.num_rows))


def _names(path: str, found: pa.Table) -> list[str]:
    try:
        return list(found.column_names)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: the name of a column is not UTF-8: {error}") from error


def _is_parquet(path: str) -> bool:
    return path.lower().endswith(_PARQUET)


def _read_parquet(path: str, file: Path) -> pa.Table:
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(file).read()
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as Parquet: {_first_line(error)}") from error


def _read_csv(path: str, file: Path, as_text: Iterable[str]) -> pa.Table:
    from pyarrow import csv

    try:
        with _opened(file, "rb") as content:
            return csv.read_csv(
                content,
                parse_options=csv.ParseOptions(delimiter=_separator(file), newlines_in_values=True),
                convert_options=csv.ConvertOptions(
                    strings_can_be_null=True, column_types=dict.fromkeys(as_text, pa.string())
                ),
            )
    except (OSError, EOFError, ValueError, lzma.LZMAError, standard_csv.Error) as error:
        ragged = _ragged(file) if "Expected" in str(error) else ""
        raise DataError(f"{path} cannot be read as CSV: {ragged or _first_line(error)}") from error


def _ragged(file: Path) -> str:
    """Which line has another number of cells than the header."""
    header = 0
    for line, record in _records(file):
        header = header or len(record)
        if len(record) != header:
            return (
                f"rows must not have {'more' if len(record) > header else 'fewer'} cells than the header, which "
                f"has {header}, but line {line:,} has {len(record)}"
            )
    return ""


def _line(path: str, row: int) -> int:
    """The line in the file where a row of the table ends: blank lines, and line breaks within quotes, count too."""
    lines = (line for line, _ in _records(find_file(path, DataError)))
    return next(line for number, line in enumerate(lines, -1) if number == row)


def _records(file: Path) -> Iterator[tuple[int, list[str]]]:
    """The header and the rows of a CSV file, each with the line that it ends in."""
    with _opened(file, "rt", encoding="utf-8-sig", errors="replace", newline="") as lines:
        reader = standard_csv.reader(lines, delimiter=_separator(file))
        yield from ((reader.line_num, record) for record in reader if record)


def _separator(file: Path) -> str:
    with _opened(file, "rt", encoding="utf-8-sig", errors="replace") as lines:
        beginning = lines.read(2**16)
    header = re.sub(r'"[^"]*"', "", beginning).lstrip().partition("\n")[0]  # what is quoted separates nothing
    return max(SEPARATORS, key=header.count)


def _opened(file: Path, mode: str, **options: Any) -> Any:
    return _OPENED_BY.get(file.suffix, open)(file, mode, **options)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece, dictionaries as what they stand for."""
    found = column.combine_chunks()
    if isinstance(found, pa.ChunkedArray):  # where there were no chunks
        found = pa.concat_arrays(found.chunks) if found.num_chunks else pa.array([], found.type)
    return found.dictionary_decode() if pa.types.is_dictionary(found.type) else found


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
