"""What TPE has seen of a study, in columns: a trial is one row, and its end changes that row alone.

The best trials are kept apart as trials end, so that no proposal has to sort them all. Inside, less is better: values
are multiplied by `sign`, which is -1 where the objective is maximized.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Mapping, Sequence

import numpy as np

from sweeps.study.dimensions import Code, Dimension
from sweeps.study.sampling import Ending

MOST_GOOD = 25
"""The best tenth of the trials that have ended is good, but no more than so many."""


class Observations:
    """All trials, each added in the order of its number."""

    def __init__(self, dimensions: Sequence[Dimension], sign: int) -> None:
        self._dimensions, self._sign = dimensions, sign
        self._codes = np.empty((len(dimensions), 64))  # NaN where a parameter is not active
        self._counts = np.zeros(64, bool)  # whether a row is learnt from
        self._rows: dict[int, int] = {}  # of running trials, by number
        self._good: list[tuple[tuple[float, float, float], int]] = []  # rank and row of the best, in order
        self._first_with: dict[frozenset[str], int] = {}  # the first row of each set of parameters that has ended
        self._length = 0
        self.ended = 0
        """How many trials have ended that can be learnt from."""

    def add(self, number: int, codes: Mapping[str, Code]) -> None:
        """A trial is running with `codes`."""
        row, self._length = self._length, self._length + 1
        if row == len(self._counts):
            self._codes = np.concatenate((self._codes, np.empty_like(self._codes)), axis=1)
            self._counts = np.concatenate((self._counts, np.zeros_like(self._counts)))
        self._codes[:, row] = [self._position(dimension, codes) for dimension in self._dimensions]
        self._counts[row] = True
        self._rows[number] = row

    def end(self, number: int, ending: Ending) -> None:
        """A running trial has ended; nothing is learnt from one that failed."""
        row = self._rows.pop(number)
        if ending.state == "failed":
            self._counts[row] = False
            return
        self.ended += 1
        insort(self._good, (self._rank(ending), row))
        del self._good[MOST_GOOD:]
        is_absent = np.isnan(self._codes[:, row]).tolist()
        present = frozenset(each.name for each, absent in zip(self._dimensions, is_absent, strict=True) if not absent)
        self._first_with[present] = min(row, self._first_with.get(present, row))

    def split(self, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """The good trials and the others, running ones included, that have all the parameters `names`.

        Each is f64 `[len(names), trials]`, in the order of trial numbers: numbers after the logarithm where their
        scale has one, choices as indices.
        """
        places = [index for name in names for index, each in enumerate(self._dimensions) if each.name == name]
        rows = [row for _, row in self._good[: math.ceil(0.1 * self.ended)]]
        is_good = np.zeros(self._length, bool)
        is_good[rows] = True
        fits = self._counts[: self._length].copy()
        for place in places:
            fits &= ~np.isnan(self._codes[place, : self._length])
        good, others = np.flatnonzero(fits & is_good), np.flatnonzero(fits & ~is_good)
        columns = [self._codes[place] for place in places]
        return np.stack([each.take(good) for each in columns]), np.stack([each.take(others) for each in columns])

    def groups(self) -> list[list[str]]:
        """The parameters of ended trials in groups, each of which every such trial has as a whole or not at all."""
        groups: list[set[str]] = []
        for present in sorted(self._first_with, key=self._first_with.__getitem__):
            rest = set(present)
            parts = [part for group in groups for part in (group & present, group - present)]
            for group in groups:
                rest -= group
            groups = [part for part in (*parts, rest) if part]
        return [sorted(group) for group in groups]

    def _rank(self, ending: Ending) -> tuple[float, float, float]:
        """Complete trials by value, then pruned ones by how long they lived, then those that fell apart."""
        if ending.state == "complete" and ending.value is not None:
            return 0.0, self._sign * ending.value, 0.0
        if ending.state == "infeasible":
            return 2.0, 0.0, 0.0
        return (1.0, 1.0, 0.0) if ending.last is None else (1.0, -ending.last.epoch, self._sign * ending.last.value)

    @staticmethod
    def _position(dimension: Dimension, codes: Mapping[str, Code]) -> float:
        code = codes.get(dimension.name, math.nan)
        return float(np.log(code)) if dimension.scale is not None and dimension.scale.log else code
