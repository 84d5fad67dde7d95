"""When a sweep is over: its trials have run, its time is used up, or a trial has reached the target."""

from __future__ import annotations

from sweeps.config import SweepConfig
from sweeps.log.early_stopping import is_good_enough
from sweeps.runner.journal import Journal
from sweeps.study import Study


def total_trials(config: SweepConfig, study: Study) -> int | None:
    """How many trials the sweep has; None where only time or a target ends it."""
    bounds = [bound for bound in (config.budget.trials, study.total) if bound is not None]
    return min(bounds, default=None)


def reaches_target(config: SweepConfig, value: float) -> bool:
    """Whether an objective's value is good enough to end the sweep."""
    return is_good_enough(config, value, config.budget.target)


def is_used_up(config: SweepConfig, journal: Journal) -> bool:
    """Whether the runs so far have left nothing to do. A run that did not end in order leaves at least its ending."""
    if not journal.past or journal.past[-1]["kind"] != "finish":
        return False
    best, minutes = journal.best(), config.budget.minutes
    if best is not None and reaches_target(config, best.value):
        return True
    if minutes is not None and journal.seconds_used() >= 60 * minutes:
        return True
    total = total_trials(config, Study(config))
    return total is not None and len(journal.trials) >= total and not journal.unfinished()
