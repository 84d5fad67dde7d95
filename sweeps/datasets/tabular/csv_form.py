"""How a CSV file is written: its signs, encoding and header, in pandas' words."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from typing import NamedTuple

from sweeps.datasets.tabular.numerals import Numerals
from sweeps.errors import DataError


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
