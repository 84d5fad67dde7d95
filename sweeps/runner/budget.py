"""What a sweep may use and has used: its trials, its time, and the value of the objective that ends it."""

from __future__ import annotations

import time
from collections.abc import Collection

from sweeps.amounts import count
from sweeps.config import SweepConfig
from sweeps.log.early_stopping import is_good_enough
from sweeps.log.trials import LoggedTrial
from sweeps.runner.earlier_runs import EarlierRuns
from sweeps.runner.journal import Journal
from sweeps.study.duplicates import CUT_OFF
from sweeps.study.grid import configurations, most_trials


def total_trials(config: SweepConfig, trials: Collection[LoggedTrial]) -> int | None:
    """How many trials the sweep has, of which there are these so far; None where only time or a target ends it."""
    most = most_trials(config)
    if most is not None and config.sampler.use != "grid":
        most += sum(trial.outcome in CUT_OFF for trial in trials)
    return min((bound for bound in (config.budget.trials, most) if bound is not None), default=None)


def exhaustion(config: SweepConfig, trials: Collection[LoggedTrial]) -> str:
    """Why a sweep of these trials is over before its budget is: all that it searches is tried; "" where it is not."""
    budget, size = config.budget, None if config.duplicates == "repeat" else configurations(config)
    if size is None or config.sampler.use == "grid" or len(trials) == budget.trials:
        return ""
    if (
        len({frozenset(trial.params.items()) for trial in trials if trial.is_known and trial.outcome not in CUT_OFF})
        < size
    ):
        return ""
    before = f"{budget.minutes:g} minutes" if budget.trials is None else count(budget.trials, "trial")
    every = f"all {size:,} configurations of the search space have been tried"
    return f"{every}, which ends the sweep before its {before}; `duplicates: repeat` would try them again"


def reaches_target(config: SweepConfig, value: float) -> bool:
    """Whether an objective's value is good enough to end the sweep."""
    return is_good_enough(config, value, config.budget.target)


def is_used_up(config: SweepConfig, journal: Journal, earlier: EarlierRuns) -> bool:
    """Whether earlier runs have left nothing to do. A run that did not end in order leaves at least its ending."""
    if not earlier.is_finished:
        return False
    best, minutes = journal.best(), config.budget.minutes
    if best is not None and reaches_target(config, best.value):
        return True
    if minutes is not None and earlier.seconds_used() >= 60 * minutes:
        return True
    trials = journal.trials.values()
    total = total_trials(config, trials)
    is_all = (total is not None and len(trials) >= total) or bool(exhaustion(config, trials))
    return is_all and not journal.unfinished()


class Timer:
    """Time and speed of a run, which starts when the timer is made.

    `minutes` is the budget over all runs, of which earlier ones have used `used_before_s`; `done_before` trials had
    ended in them.
    """

    def __init__(self, minutes: float | None, used_before_s: float, done_before: int) -> None:
        self._minutes, self._used_before_s, self._done_before = minutes, used_before_s, done_before
        self._started = time.monotonic()
        self._examples = 0
        self._training_since: float | None = None  # compilation says nothing of what the rest will take

    def count(self, examples: int, seconds: float) -> None:
        """Take note of an epoch that took `seconds`."""
        self._examples += examples
        if self._training_since is None:
            self._training_since = time.monotonic() - seconds

    @property
    def is_over(self) -> bool:
        """Whether the budget of minutes is used up."""
        return self._minutes is not None and self._minutes_used() >= self._minutes

    def elapsed_s(self) -> float:
        """Since this run began."""
        return time.monotonic() - self._started

    def examples_per_second(self) -> float:
        return self._examples / max(self._training_s(), 1e-9)

    def seconds_left(self, done: int, total: int | None) -> float | None:
        """About how long the sweep will take; None where that cannot be said yet."""
        elapsed, newly = self._training_s(), done - self._done_before
        by_trials = None if total is None or newly == 0 else elapsed / newly * (total - done)
        by_time = None if self._minutes is None else 60 * (self._minutes - self._minutes_used())
        known = [seconds for seconds in (by_trials, by_time) if seconds is not None]
        return max(min(known), 0.0) if known else None

    def _minutes_used(self) -> float:
        """Over all runs of the sweep."""
        return (self._used_before_s + time.monotonic() - self._started) / 60

    def _training_s(self) -> float:
        return 0.0 if self._training_since is None else time.monotonic() - self._training_since
