"""Time and speed of a run, over the runs before it where the budget asks for that."""

from __future__ import annotations

import time

from sweeps.config import SweepConfig
from sweeps.journal import Journal


class Stopwatch:
    """Starts when it is made."""

    def __init__(self, config: SweepConfig, journal: Journal) -> None:
        self._minutes = config.budget.minutes
        self._started = time.monotonic()
        self._done_before = sum(1 for entry in journal.trials.values() if entry.ending)
        self._examples = 0
        self._used_before_s = journal.seconds_used()

    def count(self, examples: int) -> None:
        self._examples += examples

    def examples_per_second(self) -> float:
        return self._examples / max(time.monotonic() - self._started, 1e-9)

    def minutes_used(self) -> float:
        """Over all runs of the sweep."""
        return (self._used_before_s + time.monotonic() - self._started) / 60

    def seconds_left(self, done: int, total: int | None) -> float | None:
        elapsed, newly = time.monotonic() - self._started, done - self._done_before
        by_trials = None if total is None or newly == 0 else elapsed / newly * (total - done)
        by_time = None if self._minutes is None else 60 * (self._minutes - self.minutes_used())
        known = [seconds for seconds in (by_trials, by_time) if seconds is not None]
        return max(min(known), 0.0) if known else None
