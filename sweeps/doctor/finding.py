"""What the doctor says of one part of a results folder; where something is wrong, with what to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

MOST_LISTED = 12


class Finding(NamedTuple):
    """`part` is what it is about. Where `is_wrong`, something was lost, or is not as a run has left it."""

    part: str
    text: str
    is_wrong: bool = False


def listed(words: Iterable[object]) -> str:
    """Some of many, and how many more there are.

    >>> listed(range(14))
    '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more'
    """
    found = list(map(str, words))
    more = f" and {len(found) - MOST_LISTED:,} more" if len(found) > MOST_LISTED else ""
    return f"{', '.join(found[:MOST_LISTED])}{more}"
