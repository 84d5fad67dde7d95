"""CSV files to Arrow's columns, and what to say of a file that is something else."""

from __future__ import annotations

import codecs
import csv as standard_csv
import lzma
import re
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from sweeps.datasets.memory import Unpacked
from sweeps.datasets.tabular import cells, csv_lines
from sweeps.datasets.tabular.csv_form import CsvForm
from sweeps.datasets.tabular.numerals import Numerals
from sweeps.errors import DataError

MISSING = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "N/A", "NA", "NULL",
    "NaN", "n/a", "nan", "null",
)  # fmt: skip
"""Cells that are missing, besides those that `missing_values` adds: Arrow's, nearly all of which pandas has."""
_SPECIAL = (
    (b"PK\x03\x04", (), "a zip archive or an Excel workbook. Unpack it, or save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", (), "an Excel workbook. Save the sheet as CSV"),
    (b"\x1f\x8b", (".gz",), "compressed with gzip. Let its name end in .gz"),
    (b"BZh", (".bz2",), "compressed with bzip2. Let its name end in .bz2"),
    (b"\xfd7zXZ", (".xz",), "compressed with xz. Let its name end in .xz"),
    (b"PAR1", (), "Parquet. Let its name end in .parquet"),
)
BLOCK, MANY_COLUMNS_BLOCK, MOST_BLOCK = 2**20, 2**25, 2**30
"""Bytes that Arrow reads at a time. Each block is a piece of every column, and 20,000 columns make many pieces."""
MANY_COLUMNS = 1_000
_LONGER_THAN_BLOCK = ("straddl", "cannot infer number of columns")
_JSON = re.compile(rb"\s*(\[\s*)?\{\s*\"")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class CsvColumns(NamedTuple):
    """What is in a file, and what may be a mistake in it, a line each."""

    table: pa.Table
    doubts: tuple[str, ...]


def read(path: str, file: Path, form: CsvForm, as_text: Iterable[str]) -> CsvColumns:
    """The columns of a file; those `as_text`, and all where numbers have signs of their own, are text.

    Raises:
        DataError: it is another kind of file, not in its encoding, rows differ in their number of cells, a quote is not
            closed, or a title is above the names.
    """
    try:
        _check_kind(path, file, form)
        names = csv_lines.names(file, form)
        block = MANY_COLUMNS_BLOCK if len(names) > MANY_COLUMNS else BLOCK
        try:
            found = _read(file, form, names, as_text, block)
        except pa.ArrowInvalid as error:
            if not any(said in str(error) for said in _LONGER_THAN_BLOCK):
                raise
            found = _read(file, form, names, as_text, MOST_BLOCK)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not in {form.encoding}: {error.reason}. Say another `encoding`") from error
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:  # it cannot be read once more
        raise DataError(f"{path} cannot be read as CSV: {_first_line(error)}") from error
    except (ValueError, standard_csv.Error) as error:
        is_long = any(said in str(error) for said in _LONGER_THAN_BLOCK)
        long = f"a line is longer than {MOST_BLOCK // 2**20} MB" if is_long else ""
        looks = (csv_lines.unclosed, csv_lines.title, *([csv_lines.ragged] if "Expected" in str(error) else []))
        told = next(filter(None, (look(file, form) for look in (*looks, csv_lines.not_utf_8))), "")
        raise DataError(f"{path} cannot be read as CSV: {told or long or _first_line(error)}") from error
    if any(pa.types.is_binary(kind) for kind in found.schema.types):
        raise DataError(f"{path} cannot be read as CSV: {csv_lines.not_utf_8(file, form)}")
    return CsvColumns(found, _doubts(path, file, form, found))


def _doubts(path: str, file: Path, form: CsvForm, found: pa.Table) -> tuple[str, ...]:
    """What may be a mistake in what has been read.

    Raises:
        DataError: a quote is not closed, or a title is above the names.
    """
    is_odd = len(found.column_names) == 1 or not all(name.strip() for name in found.column_names[1:])
    if is_odd and (told := csv_lines.title(file, form)):
        raise DataError(f"{path} cannot be read as CSV: {told}")
    if not any("\n" in name for name in found.column_names) and not any(map(_has_line_breaks, found.columns)):
        return ()
    if told := csv_lines.unclosed(file, form):
        raise DataError(f"{path} cannot be read as CSV: {told}")
    told = csv_lines.swallowed(file, form)
    return (f"{path}: {told}",) if told else ()


def _has_line_breaks(column: pa.ChunkedArray) -> bool:
    from pyarrow import compute

    if not pa.types.is_string(column.type):
        return False
    return bool(compute.any(compute.match_substring(column, "\n")).as_py())


def _read(file: Path, form: CsvForm, names: Sequence[str], as_text: Iterable[str], block: int) -> pa.Table:
    from pyarrow import csv  # when there is such a file

    types = names if form.numerals != Numerals() else as_text
    with csv_lines.opened(file, "rb") as content:
        return csv.read_csv(
            Unpacked(file.name, content) if file.suffix.lower() in csv_lines.OPENED_BY else content,
            read_options=csv.ReadOptions(
                block_size=block,
                skip_rows=form.header or 0,
                encoding="utf8" if form.is_utf_8 else form.encoding,
                column_names=names if form.header is None else None,
            ),
            parse_options=csv.ParseOptions(delimiter=csv_lines.separator(file, form), newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                strings_can_be_null=True,
                null_values=[*MISSING, *_spellings(form)],
                column_types=dict.fromkeys(types, pa.string()),
            ),
        )


def typed(column: pa.Array, form: CsvForm, *, is_text: bool) -> pa.Array:
    """A column of text as numbers, or true and false, where that is what `form` makes of all its cells.

    What `missing_values` names is missing; in a CSV file that has been done already.
    """
    from pyarrow import compute

    if form.missing_values and not is_text and cells.is_number(column) and not cells.is_truth(column):
        marks = [float(each) for each in _spellings(form) if Numerals().plain(each)]
        missing = np.isin(cells.numbers(column), marks)
        column = _where_not(column, missing) if missing.any() else column
    if not cells.is_text(column):
        return column
    if form.missing_values:
        missing = np.array([cell in _spellings(form) for cell in column.to_pylist()], bool)
        column = _where_not(column, missing) if missing.any() else column
    if is_text or form.numerals == Numerals():
        return column
    different = column.unique().to_pylist()
    given = [cell for cell in different if cell is not None]
    plain = {cell: form.numerals.plain(cell) for cell in given}
    if given and all(plain.values()):
        values = [None if cell is None else float(plain[cell] or "nan") for cell in column.to_pylist()]
        are_whole = not any("." in (each or "") or "e" in (each or "").lower() for each in plain.values())
        return pa.array(values, pa.float64()).cast(pa.int64()) if are_whole else pa.array(values, pa.float64())
    is_truth = bool(given) and {*map(str.lower, given)} <= {"true", "false"}
    return compute.equal(compute.utf8_lower(column), "true") if is_truth else column


def _where_not(column: pa.Array, missing: np.ndarray[Any, Any]) -> pa.Array:
    from pyarrow import compute

    return compute.if_else(pa.array(missing.tolist()), pa.scalar(None, column.type), column)


def _spellings(form: CsvForm) -> list[str]:
    """What `missing_values` names, numbers in the ways that they are written."""
    found = []
    for given in form.missing_values:
        text = str(given)
        found += [text, *([f"{text}.0"] if re.fullmatch(r"-?\d+", text) else []), text.removesuffix(".0")]
    return list(dict.fromkeys(found))


def _check_kind(path: str, file: Path, form: CsvForm) -> None:
    """Known kinds of files that are no CSV, by their first bytes.

    Raises:
        DataError: it is one.
    """
    with file.open("rb") as content:
        start = content.read(8)
    for mark, suffixes, told in _SPECIAL:
        if start.startswith(mark) and file.suffix.lower() not in suffixes:
            raise DataError(f"{path} cannot be read as CSV: it is {told}")
    if file.suffix.lower() in (".json", ".jsonl", ".ndjson"):
        raise DataError(f"{path} cannot be read as CSV: it is JSON by its name. Write it as CSV or Parquet")
    with csv_lines.opened(file, "rb") as content:
        start = content.read(4096)
    if len(start) < 4096 and not start.strip():
        raise DataError(f"{path} cannot be read as CSV: Empty CSV file")
    if _JSON.match(start):
        raise DataError(f"{path} cannot be read as CSV: it is JSON. Write it as CSV or Parquet")
    if form.is_utf_8 and start.startswith(_UTF_16):
        raise DataError(f"{path} cannot be read as CSV in UTF-8: it is UTF-16. Say `encoding: utf-16`")
    if form.is_utf_8 and b"\x00" in start[:2]:
        zeros = "it has bytes of 0, as UTF-16 has. Say `encoding: utf-16-le`"
        raise DataError(f"{path} cannot be read as CSV in UTF-8: {zeros}")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
