"""Numbers as people write them: with a comma for the point, marks between thousands, a currency or a per cent sign."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

MARKS = {"'": "'", "\u2019": "'", "\u00a0": " ", "\u202f": " "}
"""Marks between thousands by those that they are taken for: apostrophes, and spaces at which no line is broken."""
MOST_MARKS = 2  # that may stand for missing cells among numbers
MARKS_OF_MISSING = ("missing", "unknown", "none", "nil", "n.a.", "na", "k.a.", "not available", "undefined")
_AFFIX = re.compile(r"^([^\d+\-.,]*)(.*?)([^\d.,]*)$")


class Numerals(NamedTuple):
    """The sign before the fraction, and the one between thousands, "" for none."""

    decimal: str = "."
    thousands: str = ""

    def plain(self, cell: str) -> str | None:
        """A number as Python writes it; None where the cell is no number with these signs.

        >>> Numerals(",", ".").plain("1.234,5"), Numerals(",", ".").plain("1.23"), Numerals().plain("1e3")
        ('1234.5', None, '1e3')
        """
        cell = cell.strip()
        for mark, common in MARKS.items():
            cell = cell.replace(mark, common)
        mark = re.escape(self.thousands)
        whole = rf"\d{{1,3}}(?:{mark}\d{{3}})+|\d+" if self.thousands else r"\d+"
        decimal = re.escape(self.decimal)
        found = re.fullmatch(rf"([+-]?)({whole})?(?:{decimal}(\d*))?([eE][+-]?\d+)?", cell)
        if found is None or not (found[2] or found[3]):
            return None
        digits = (found[2] or "0").replace(self.thousands, "") if self.thousands else found[2] or "0"
        return f"{found[1]}{digits}{'.' + found[3] if found[3] else ''}{found[4] or ''}"

    @property
    def keys(self) -> str:
        """These signs as keys of a config."""
        thousands = f'`thousands: "{self.thousands}"`' if self.thousands else ""
        decimal = f'`decimal: "{self.decimal}"`' if self.decimal != "." else ""
        return " and ".join(key for key in (decimal, thousands) if key)


USUAL = (
    Numerals(".", ","), Numerals(",", ""), Numerals(",", "."), Numerals(".", " "), Numerals(",", " "),
    Numerals(".", "'"), Numerals(",", "'"),
)  # fmt: skip


def advice(found: Sequence[str]) -> str:
    r"""What to say in a config, or do to a file, so that these cells are numbers; "" where they are none.

    >>> advice(["1,5", "23,92"]), advice(["$1,290,604", "$8,158"])
    ('Say `decimal: ","`', 'Remove \'$\' from its cells, and say `thousands: ","`')
    """
    fit = _fitting(found)
    if fit:
        return f"Say {' or '.join(numerals.keys for numerals in fit)}"
    strange = [cell for cell in found if Numerals().plain(cell) is None]
    if 0 < len(strange) <= MOST_MARKS < len(found) and all(map(_is_mark, strange)):
        written = ", ".join(f'"{cell}"' for cell in strange)
        return f"Say `missing_values: [{written}]` if that stands for a missing cell"
    parts = [_AFFIX.match(cell.strip()) for cell in found]
    affixes = {(part[1].strip(), part[3].strip()) for part in parts if part}
    inner = [part[2] for part in parts if part]
    if len(affixes) != 1 or not all(inner) or any(" " in each for pair in affixes for each in pair):
        return ""  # what has a blank in it is a sentence
    affix = " and ".join(repr(each) for each in next(iter(affixes)) if each)
    if all(Numerals().plain(cell) for cell in inner):
        return f"Remove {affix} from its cells"
    fit = _fitting(inner)
    return f"Remove {affix} from its cells, and say {' or '.join(numerals.keys for numerals in fit)}" if fit else ""


def _is_mark(cell: str) -> bool:
    return not any(map(str.isalnum, cell)) or cell.strip().lower() in MARKS_OF_MISSING


def _fitting(found: Sequence[str]) -> list[Numerals]:
    """The usual signs with which all cells are numbers, at most two."""
    if not found or all(Numerals().plain(cell) for cell in found):
        return []
    fit = [numerals for numerals in USUAL if all(numerals.plain(cell) for cell in found)]
    # One of several fits the others too where no cell has its second sign.
    plainer = [numerals for numerals in fit if not (numerals.thousands and numerals._replace(thousands="") in fit)]
    return plainer[:2]
