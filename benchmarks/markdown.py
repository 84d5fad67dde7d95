"""Markdown: tables, and numbers as they stand in them. A median comes with its spread."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows under heads.

    >>> print(table(("a", "b"), [(1, "x")]))
    | a | b |
    | --- | --- |
    | 1 | x |
    """
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def spread(numbers: Sequence[float], digits: int = 2) -> str:
    """`median (min–max)`; one number alone; nothing for none.

    >>> spread([3.0, 1.0, 2.0], digits=1), spread([4.0]), spread([])
    ('2.0 (1.0–3.0)', '4.00', '')
    """
    if not numbers:
        return ""
    median, low, high = (f"{each:,.{digits}f}" for each in (statistics.median(numbers), min(numbers), max(numbers)))
    return median if len(numbers) == 1 else f"{median} ({low}–{high})"


def at_least(figure: float, goal: float, words: str = "≥ {:g}") -> str:
    """A goal and whether a figure reaches it.

    >>> at_least(2.6, 2.5), at_least(0.94, 0.95, "≥ {:.0%}")
    ('≥ 2.5: met', '≥ 95%: **missed**')
    """
    return f"{words.format(goal)}: {_verdict(figure >= goal)}"


def at_most(figure: float, goal: float, words: str = "≤ {:g}") -> str:
    """A goal that is a limit from above, and whether a figure keeps it.

    >>> at_most(0.01, 0.02, "≤ {:.0%}")
    '≤ 2%: met'
    """
    return f"{words.format(goal)}: {_verdict(figure <= goal)}"


def _verdict(is_met: bool) -> str:
    return "met" if is_met else "**missed**"
