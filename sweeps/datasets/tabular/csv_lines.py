"""A CSV file line by line, by Python's reader: where its rows are, and what is wrong with them.

Arrow reads the cells; this finds the place and the words where it cannot, or where it has read what nobody meant.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import itertools
import lzma
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sweeps.datasets.tabular.csv_form import CsvForm
from sweeps.datasets.tabular.numerals import Numerals

SEPARATORS = ",;\t|"
OPENED_BY: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
LONGEST_CELL = 2**30  # bytes
MOST_TITLE_LINES, LOOKED_AT = 10, 40
_END = "the end of the file"


def opened(file: Path, mode: str, **options: Any) -> Any:
    """A file, unpacked where its name says that it is compressed."""
    return OPENED_BY.get(file.suffix.lower(), open)(file, mode, **options)


def separator(file: Path, form: CsvForm) -> str:
    """What cells are separated by: what the header has most of, unless it is said."""
    if form.separator is not None:
        return form.separator
    with opened(file, "rt", encoding=form.text_encoding, errors="replace") as lines:
        for _ in range(form.header or 0):
            lines.readline()
        beginning = lines.read(2**16)
    header = re.sub(r'"[^"]*"', "", beginning).lstrip().partition("\n")[0]  # what is quoted separates nothing
    signs = [sign for sign in SEPARATORS if sign != form.decimal or form.header is not None]
    return max(signs, key=lambda sign: (header.count(sign), sign != form.decimal))


def names(file: Path, form: CsvForm) -> list[str]:
    """The names of the columns; their numbers where the file has no names."""
    first = next((record for _, record in _records(file, form)), [])
    return list(map(str, range(len(first)))) if form.header is None else first


def line(file: Path, form: CsvForm, row: int) -> int:
    """The line in the file where a row of the table ends: blank lines, and line breaks within quotes, count too."""
    lines = (line for line, _ in _records(file, form))
    return next(line for number, line in enumerate(lines, 0 if form.header is None else -1) if number == row)


def not_utf_8(file: Path, form: CsvForm) -> str:
    """Which line is not in the encoding, and what it may be in; "" where all are."""
    if not form.is_utf_8:
        return ""
    with opened(file, "rb") as content:
        for number, found in enumerate(content, 1):
            try:
                found.decode("utf-8")
            except UnicodeDecodeError as error:
                other = "cp1252" if any(0x80 <= byte < 0xA0 for byte in found) else "latin-1"  # as Windows has it
                strange = found[error.start : error.start + 8]
                return f"line {number:,} is not UTF-8 ({strange!r}). Say `encoding: {other}`"
    return ""


def ragged(file: Path, form: CsvForm) -> str:
    """Which line has another number of cells than the header; "" where none has."""
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


def unclosed(file: Path, form: CsvForm) -> str:
    """Which line opens a quote that is never closed; "" where none does."""
    begins = ends = form.header or 0
    sign = separator(file, form)
    for number, record in _records(file, form, end=[_END]):
        if sign.join(record) == _END:
            return ""
        begins, ends = ends + 1, number
    return (
        f"a quote that is opened in line {begins:,} is never closed, so that all after it is one cell. Close it; one "
        f'that belongs to the text is written twice, `""`'
    )


def swallowed(file: Path, form: CsvForm) -> str:
    """Which lines are one row by their quotes, though each looks like a row of its own; "" where none are."""
    sign, width, last = separator(file, form), 0, form.header or 0
    for number, record in _records(file, form):
        width = width or len(record)
        parts = sign.join(record).splitlines()
        if number - last > 1 and width > 1 and len(parts) > 1 and all(part.count(sign) == width - 1 for part in parts):
            first = number - len(parts) + 1
            return f"lines {first:,} to {number:,} are one row, for a quote holds them together. Is one lacking there?"
        last = number
    return ""


def title(file: Path, form: CsvForm) -> str:
    """What to say where lines above the one with the names have fewer cells, as a title has; "" where none have."""
    if form.header != 0:
        return ""
    for sign in SEPARATORS if form.separator is None else form.separator:
        records = itertools.islice(_records(file, form._replace(separator=sign)), LOOKED_AT)
        found = [(number, [cell for cell in record if cell.strip()]) for number, record in records]
        width, count = max(Counter(len(cells) for _, cells in found).items(), key=lambda each: each[1], default=(0, 0))
        first = next((place for place, (_, cells) in enumerate(found) if len(cells) == width), 0)
        are_short = all(len(cells) < width for _, cells in found[:first])
        if width < 2 or not 0 < first <= MOST_TITLE_LINES or not are_short or 2 * count <= len(found):
            continue
        number, cells = found[first]
        if not any(Numerals().plain(cell) is not None for cell in cells):  # they are names
            has = f"line {found[0][0]} has {len(found[0][1])} of the {width} cells that line {number} has"
            return f"{has}: if it is a title, say `header: {number - 1}`, the line of the names, from 0"
    return ""


def _records(file: Path, form: CsvForm, end: list[str] | None = None) -> Iterator[tuple[int, list[str]]]:
    """The header and the rows of a CSV file, each with the line that it ends in; at last `end`, as a line more."""
    skipped, sign = form.header or 0, separator(file, form)
    csv.field_size_limit(LONGEST_CELL)  # of the process, which reads no other CSV so
    with opened(file, "rt", encoding=form.text_encoding, errors="replace", newline="") as lines:
        reader = csv.reader(itertools.chain(itertools.islice(lines, skipped, None), end or []), delimiter=sign)
        yield from ((reader.line_num + skipped, record) for record in reader if record)
