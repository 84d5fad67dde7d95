"""What TPE has seen of a study, in columns: a trial is one row, and its end changes that row alone.

The best trials are kept apart as trials end, so that no proposal has to sort them all. Inside, less is better: values
are multiplied by `sign`, which is -1 where the objective is maximized.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState

MOST_GOOD = 25
"""The best tenth of the trials that have ended is good, but no more than so many."""
_CONSTRAINT = "constraints:"


class Observations:
    """All trials of a study, by number; `positions` place a value of each parameter along its axis."""

    def __init__(self, positions: Mapping[str, Callable[[Any], float]], sign: int) -> None:
        self._positions, self._sign = positions, sign
        self._places = {name: place for place, name in enumerate(positions)}
        self._columns = np.empty((len(positions), 64))  # NaN where a parameter is not active
        self._counts = np.zeros(64, bool)  # whether a row is learnt from
        self._running: set[int] = set()
        self._good: list[tuple[tuple[float, float, float], int]] = []  # rank and row of the best, in order
        self._first_with: dict[frozenset[str], int] = {}  # the first row of each set of parameters that has ended
        self._length = 0
        self.ended = 0
        """How many trials have ended that can be learnt from."""

    def follow(self, trials: Sequence[FrozenTrial]) -> None:
        """Take note of what has changed since: new trials at the end, and the ends of those that were running."""
        for trial in trials[self._length :]:
            self._add(trial)
        for row in sorted(row for row in self._running if trials[row].state.is_finished()):
            self._running.remove(row)
            self._end(row, trials[row])

    def split(self, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """The good trials and the others, running ones included, that have all the parameters `names`.

        Each is f64 `[len(names), trials]`, in the order of trial numbers.
        """
        rows = [row for _, row in self._good[: math.ceil(0.1 * self.ended)]]
        return self._split(names, rows, self._counts[: self._length])

    def _split(self, names: Sequence[str], rows: Sequence[int], counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The trials in `rows` and the others, of those that count and have all the parameters."""
        places = [self._places[name] for name in names]
        is_good = np.zeros(self._length, bool)
        is_good[rows] = True
        fits = counts.copy()
        for place in places:
            fits &= ~np.isnan(self._columns[place, : self._length])
        good, others = np.flatnonzero(fits & is_good), np.flatnonzero(fits & ~is_good)
        columns = [self._columns[place] for place in places]
        return np.stack([each.take(good) for each in columns]), np.stack([each.take(others) for each in columns])

    def groups(self) -> list[list[str]]:
        """The parameters of ended trials in groups, each of which every such trial has as a whole or not at all."""
        return groups_of(sorted(self._first_with, key=self._first_with.__getitem__))

    def _add(self, trial: FrozenTrial) -> None:
        row, self._length = self._length, self._length + 1
        if row == len(self._counts):
            self._columns = np.concatenate((self._columns, np.empty_like(self._columns)), axis=1)
            self._counts = np.concatenate((self._counts, np.zeros_like(self._counts)))
        params = trial.params
        given = self._positions.items()
        self._columns[:, row] = [place(params[name]) if name in params else math.nan for name, place in given]
        self._counts[row] = True
        self._running.add(row)

    def _end(self, row: int, trial: FrozenTrial) -> None:
        """Nothing is learnt from a trial that failed."""
        if trial.state is TrialState.FAIL:
            self._counts[row] = False
            return
        self.ended += 1
        insort(self._good, (self._rank(trial), row))
        del self._good[MOST_GOOD:]
        present = frozenset(trial.params)
        self._first_with[present] = min(row, self._first_with.get(present, row))

    def _rank(self, trial: FrozenTrial) -> tuple[float, float, float]:
        """Complete trials by value, then pruned ones by how long they lived, then those that break a constraint."""
        violation = sum(max(value, 0.0) for key, value in trial.system_attrs.items() if key.startswith(_CONSTRAINT))
        if violation > 0:
            return 2.0, violation, 0.0
        if trial.state is TrialState.COMPLETE:
            assert trial.value is not None
            return 0.0, self._sign * trial.value, 0.0
        last = trial.last_step
        return (1.0, 1.0, 0.0) if last is None else (1.0, -last, self._sign * trial.intermediate_values[last])


def groups_of(sets: Iterable[frozenset[str]]) -> list[list[str]]:
    """Names in groups, each of which is a part of every one of the sets or has nothing in common with it."""
    groups: list[set[str]] = []
    for present in sets:
        rest = set(present)
        parts = [part for group in groups for part in (group & present, group - present)]
        for group in groups:
            rest -= group
        groups = [part for part in (*parts, rest) if part]
    return [sorted(group) for group in groups]
