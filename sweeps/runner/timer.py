"""Time and speed of a run, over the runs before it where the budget asks for that."""

from __future__ import annotations

import time

from sweeps.config import SweepConfig
from sweeps.runner.journal import Journal


class Timer:
    """Starts when it is made."""

    def __init__(self, config: SweepConfig, journal: Journal) -> None:
        self._minutes = config.budget.minutes
        self._started = time.monotonic()
        self._done_before = sum(1 for entry in journal.trials.values() if entry.ending)
        self._examples = 0
        self._training_since: float | None = None  # compilation says nothing of what the rest will take
        self._used_before_s = journal.seconds_used()

    def count(self, examples: int, seconds: float) -> None:
        """Take note of an epoch that took `seconds`."""
        self._examples += examples
        if self._training_since is None:
            self._training_since = time.monotonic() - seconds

    def examples_per_second(self) -> float:
        return self._examples / max(self._training_s(), 1e-9)

    def minutes_used(self) -> float:
        """Over all runs of the sweep."""
        return (self._used_before_s + time.monotonic() - self._started) / 60

    def seconds_left(self, done: int, total: int | None) -> float | None:
        elapsed, newly = self._training_s(), done - self._done_before
        by_trials = None if total is None or newly == 0 else elapsed / newly * (total - done)
        by_time = None if self._minutes is None else 60 * (self._minutes - self.minutes_used())
        known = [seconds for seconds in (by_trials, by_time) if seconds is not None]
        return max(min(known), 0.0) if known else None

    def _training_s(self) -> float:
        return 0.0 if self._training_since is None else time.monotonic() - self._training_since
