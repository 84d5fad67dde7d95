"""CSV files: their signs, encoding and header, and what to say of a file that is something else."""

from __future__ import annotations

import bz2
import codecs
import csv as standard_csv
import gzip
import itertools
import lzma
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from sweeps.datasets.memory import Unpacked
from sweeps.datasets.tabular import cells
from sweeps.datasets.tabular.numerals import Numerals
from sweeps.errors import DataError

SEPARATORS = ",;\t|"
OPENED_BY: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
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


class CsvForm(NamedTuple):
    """How a CSV file is written, in pandas' words; three of them are for text in Parquet too (`of_parquet`).

    `separator` is what the header has most of where it is None. `header` is the number of the line that names the
    columns, from 0; None where there is none, and columns are called 0, 1, ….
    """

    separator: str | None = None
    decimal: str = "."
    thousands: str | None = None
    encoding: str = "utf-8"
    missing_values: tuple[str | float, ...] = ()
    header: int | None = 0

    def check(self, *, is_parquet: bool = False) -> None:
        """Raises: DataError where it is none that a file can have."""
        for name in ("separator", "encoding", "header"):
            if is_parquet and getattr(self, name) != CsvForm._field_defaults[name]:
                raise DataError(f"{name} is for CSV, but this is a Parquet file. Remove it")
        for name in ("separator", "decimal", "thousands"):
            sign = getattr(self, name)
            if sign is not None and (len(sign) != 1 or sign in '"\r\n' or (name != "separator" and sign.isalnum())):
                raise DataError(f"{name} must be one sign, such as a comma, but got {sign!r}")
        if self.decimal == self.thousands:
            raise DataError(f"decimal and thousands must differ, but both are {self.decimal!r}")
        if self.header is not None and self.header < 0:
            raise DataError(f"header must be at least 0, or null for none, but got {self.header}")
        try:
            "".encode(self.encoding)
        except LookupError:
            known = "encoding must be one that Python knows, such as latin-1"
            raise DataError(f"{known}, but got {self.encoding!r}") from None

    @property
    def numerals(self) -> Numerals:
        return Numerals(self.decimal, self.thousands or "")

    @property
    def text_encoding(self) -> str:
        """For Python's reader, which does not skip a byte order mark by itself."""
        return "utf-8-sig" if self.is_utf_8 else self.encoding

    @property
    def is_utf_8(self) -> bool:
        return codecs.lookup(self.encoding).name == "utf-8"

    def advice(self, names: list[str]) -> str:
        """What may be wrong where a column is not found among these."""
        if len(names) == 1 and self.separator is None:
            return ". It has one column; `separator` says what cells are separated by"
        numbers = sum(Numerals().plain(name) is not None for name in names)
        is_row = self.header == 0 and 2 * numbers >= len(names)
        return ". If its first line is a row, say `header: null`" if is_row else ""

    @property
    def of_parquet(self) -> CsvForm:
        """What of it is for a Parquet file, or a DataFrame, too."""
        return CsvForm(decimal=self.decimal, thousands=self.thousands, missing_values=self.missing_values)


PLAIN = CsvForm()


def marks(missing_values: str | float | Iterable[str | float]) -> tuple[str | float, ...]:
    """One mark, or several, as a config gives them."""
    return (missing_values,) if isinstance(missing_values, str | int | float) else tuple(missing_values)


def read(path: str, file: Path, form: CsvForm, as_text: Iterable[str]) -> pa.Table:
    """The columns of a file; those `as_text`, and all where numbers have signs of their own, are text.

    Raises:
        DataError: it is another kind of file, not in its encoding, or rows differ in their number of cells.
    """
    try:
        _check_kind(path, file, form)
        names = _header(file, form)
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
        ragged = _ragged(file, form) if "Expected" in str(error) else ""
        long = f"a line is longer than {MOST_BLOCK // 2**20} MB, or a quote is not closed" if is_long else ""
        fault = ragged or _not_utf_8(file, form) or long or _first_line(error)
        raise DataError(f"{path} cannot be read as CSV: {fault}") from error
    if any(pa.types.is_binary(kind) for kind in found.schema.types):
        raise DataError(f"{path} cannot be read as CSV: {_not_utf_8(file, form)}")
    return found


def _read(file: Path, form: CsvForm, names: Sequence[str], as_text: Iterable[str], block: int) -> pa.Table:
    from pyarrow import csv  # when there is such a file

    types = names if form.numerals != Numerals() else as_text
    with _opened(file, "rb") as content:
        return csv.read_csv(
            Unpacked(file.name, content) if file.suffix.lower() in OPENED_BY else content,
            read_options=csv.ReadOptions(
                block_size=block,
                skip_rows=form.header or 0,
                encoding="utf8" if form.is_utf_8 else form.encoding,
                column_names=names if form.header is None else None,
            ),
            parse_options=csv.ParseOptions(delimiter=_separator(file, form), newlines_in_values=True),
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


def line(file: Path, form: CsvForm, row: int) -> int:
    """The line in the file where a row of the table ends: blank lines, and line breaks within quotes, count too."""
    lines = (line for line, _ in _records(file, form))
    return next(line for number, line in enumerate(lines, 0 if form.header is None else -1) if number == row)


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
    with _opened(file, "rb") as content:
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


def _not_utf_8(file: Path, form: CsvForm) -> str:
    """Which line is not in the encoding, and what it may be in; "" where all are."""
    if not form.is_utf_8:
        return ""
    with _opened(file, "rb") as content:
        for number, found in enumerate(content, 1):
            try:
                found.decode("utf-8")
            except UnicodeDecodeError as error:
                other = "cp1252" if any(0x80 <= byte < 0xA0 for byte in found) else "latin-1"  # as Windows has it
                strange = found[error.start : error.start + 8]
                return f"line {number:,} is not UTF-8 ({strange!r}). Say `encoding: {other}`"
    return ""


def _ragged(file: Path, form: CsvForm) -> str:
    """Which line has another number of cells than the header."""
    header = 0
    for number, record in _records(file, form):
        header = header or len(record)
        if len(record) != header:
            return (
                f"rows must not have {'more' if len(record) > header else 'fewer'} cells than the "
                f"{'first' if form.header is None else 'header'}, which has {header}, but line {number:,} has "
                f"{len(record)}"
            )
    return ""


def _header(file: Path, form: CsvForm) -> list[str]:
    """The names of the columns; their numbers where the file has no names."""
    first = next((record for _, record in _records(file, form)), [])
    return list(map(str, range(len(first)))) if form.header is None else first


def _records(file: Path, form: CsvForm) -> Iterator[tuple[int, list[str]]]:
    """The header and the rows of a CSV file, each with the line that it ends in."""
    skipped = form.header or 0
    standard_csv.field_size_limit(MOST_BLOCK)  # of the process, which reads no other CSV so
    with _opened(file, "rt", encoding=form.text_encoding, errors="replace", newline="") as lines:
        reader = standard_csv.reader(itertools.islice(lines, skipped, None), delimiter=_separator(file, form))
        yield from ((reader.line_num + skipped, record) for record in reader if record)


def _separator(file: Path, form: CsvForm) -> str:
    if form.separator is not None:
        return form.separator
    with _opened(file, "rt", encoding=form.text_encoding, errors="replace") as lines:
        for _ in range(form.header or 0):
            lines.readline()
        beginning = lines.read(2**16)
    header = re.sub(r'"[^"]*"', "", beginning).lstrip().partition("\n")[0]  # what is quoted separates nothing
    signs = [sign for sign in SEPARATORS if sign != form.decimal or form.header is not None]
    return max(signs, key=lambda sign: (header.count(sign), sign != form.decimal))


def _opened(file: Path, mode: str, **options: Any) -> Any:
    return OPENED_BY.get(file.suffix.lower(), open)(file, mode, **options)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
