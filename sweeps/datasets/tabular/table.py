"""A table from a CSV or Parquet file or a DataFrame, as its columns are; what is wrong is named by its place in it.

Read by pyarrow, which is loaded for the results' tables in any case.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from sweeps.datasets import memory
from sweeps.datasets.canonical import Array
from sweeps.datasets.tabular import csv_file, csv_lines
from sweeps.datasets.tabular.csv_form import PLAIN, CsvForm
from sweeps.errors import DataError
from sweeps.user_code import find_file

BYTES_OF_A_CELL = 4  # at the end, in float32
MOST_SHOWN = 80  # characters of a cell
_PARQUET = (".parquet", ".pq")
_INDEX_LEVEL = re.compile(r"__index_level_\d+__")
_UNNAMED = re.compile(r"|Unnamed: \d+(\.\d+)?")


class Table(NamedTuple):
    """Columns by name, and the number of each row in the file; `path` is as it was written in the config.

    `form` is that of a CSV file; `index_columns` number the rows, and are no features unless they are listed.
    """

    path: str
    columns: dict[str, pa.Array]
    numbers: Array  # i64 [rows], from 0
    form: CsvForm | None = None
    index_columns: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()  # what may be a mistake in the file, a line each

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
        advice = "" if near or self.form is None else self.form.advice(names)
        which = "nearest" if near else "first"
        raise DataError(f"{self.path}: there is no column {name!r}; the {which} are {known}{advice}")

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
        text = str(cell) if hasattr(cell, "isoformat") else cell
        if isinstance(text, str) and len(text) > MOST_SHOWN:
            got = f"{text[:MOST_SHOWN]!r} and {len(text) - MOST_SHOWN:,} characters more"
        else:
            got = "an empty cell" if is_empty else repr(text)
        more = f" ({wrong:,} cells of the column are so)" if wrong > 1 else ""
        place = self.place(row)
        raise DataError(
            f"{place}: every cell of column {name!r} must be {rule}, but got {got}{more}"
            + (f". {advice}" if advice else "")
        )

    def index_notes(self, used: Collection[str]) -> list[str]:
        """For a person: columns that number the rows and are not used."""
        return [
            f"column {name!r} numbers the rows, and is no feature" for name in self.index_columns if name not in used
        ]

    def place(self, row: int) -> str:
        """Where a row is in its file."""
        row = int(self.numbers[row])
        if self.form is None:
            return f"{self.path}, row {row:,} from 0"
        return f"{self.path}:{csv_lines.line(find_file(self.path, DataError), self.form, row)}"


def read(path: str, as_text: Iterable[str] = (), form: CsvForm = PLAIN) -> Table:
    """The table in a file: Parquet by its suffix, `.parquet` or `.pq`, else CSV as `form` says.

    CSV may be compressed (`.gz`, `.bz2`, `.xz`). Empty cells, `NA`, `NaN`, `null` and their like are missing. A column
    is numbers where all its cells are, unless it is named in `as_text`, so that a category "007" stays as it is
    among numbers.

    Raises:
        DataError: no such file, or it is no table with a name for every column, or it has no rows.
    """
    file = find_file(path, DataError)
    if file.is_dir():
        raise DataError(f"{path} is a folder, and a table is one file")
    is_csv = not is_parquet(path)
    form.check(is_parquet=not is_csv)
    found, doubts = csv_file.read(path, file, form, as_text) if is_csv else (_read_parquet(path, file), ())
    if not found.num_rows:
        raise DataError(f"{path} must have rows{' below its header' if is_csv else ''}, but it has none")
    return of_arrow(path, found, as_text, form, is_csv=is_csv)._replace(doubts=doubts)


def of_arrow(
    path: str, found: pa.Table, as_text: Iterable[str] = (), form: CsvForm = PLAIN, *, is_csv: bool = False
) -> Table:
    """A table of Arrow, as of a file; `path` says in messages what it is.

    Raises:
        DataError: two columns of one name, or a name that is not UTF-8.
    """
    names = _names(path, found)
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise DataError(f"{path}: there must be one column of each name, but {twice[0]!r} is there twice")
    columns = {name: _whole(found.column(name)) for name in names}
    texts = {*as_text}
    columns = {name: csv_file.typed(column, form, is_text=name in texts) for name, column in columns.items()}
    table = Table(path, columns, np.arange(found.num_rows), form if is_csv else None)
    return table._replace(index_columns=tuple(_index_columns(table, found)))


def of_frame(frame: Any, form: CsvForm = PLAIN) -> Table:
    """A DataFrame of pandas, of polars, or anything else that Arrow makes a table of.

    Raises:
        DataError: it is no such frame.
    """
    try:
        if isinstance(frame, pa.Table):
            found = frame
        elif hasattr(frame, "to_arrow"):  # polars
            found = frame.to_arrow()
        else:
            found = pa.Table.from_pandas(frame, preserve_index=False)
    except Exception as error:
        raise DataError(f"a {type(frame).__name__} cannot be read as a table: {_first_line(error)}") from error
    return of_arrow("the DataFrame", found, form=form.of_parquet)


def _index_columns(table: Table, found: pa.Table) -> Iterator[str]:
    """Columns that number the rows: the index of pandas in a Parquet file, or what `to_csv` has written of it."""
    of_pandas = (found.schema.pandas_metadata or {}).get("index_columns", ())
    for name, column in table.columns.items():
        is_unnamed = table.form is not None and _UNNAMED.fullmatch(name) and pa.types.is_integer(column.type)
        numbers_rows = is_unnamed and not column.null_count and len(column.unique()) == len(column)
        if numbers_rows or name in of_pandas or _INDEX_LEVEL.fullmatch(name):
            yield name


def _names(path: str, found: pa.Table) -> list[str]:
    try:
        return list(found.column_names)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: the name of a column is not UTF-8: {error}") from error


def is_parquet(path: str) -> bool:
    """Whether a file is Parquet by its name."""
    return path.lower().endswith(_PARQUET)


def _read_parquet(path: str, file: Path) -> pa.Table:
    from pyarrow import parquet

    try:
        opened = parquet.ParquetFile(file)
        told = opened.metadata  # in whose sizes a column of one number is a few bytes
        sizes = sum(told.row_group(number).total_byte_size for number in range(told.num_row_groups))
        memory.check_fits(path, max(sizes, BYTES_OF_A_CELL * told.num_rows * told.num_columns))
        return opened.read()
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as Parquet: {_first_line(error)}") from error


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece, dictionaries as what they stand for."""
    found = column.combine_chunks()
    if isinstance(found, pa.ChunkedArray):  # where there were no chunks
        found = pa.concat_arrays(found.chunks) if found.num_chunks else pa.array([], found.type)
    return found.dictionary_decode() if pa.types.is_dictionary(found.type) else found


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
