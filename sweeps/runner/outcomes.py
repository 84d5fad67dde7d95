"""How a trial ends: the decision after each epoch, and the count of those that have ended."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from sweeps.config import SweepConfig
from sweeps.log.early_stopping import kept_epoch, reached, stalled
from sweeps.log.trials import Epoch, LoggedTrial


class TrialEnd(NamedTuple):
    """How a trial ends; `value` is the objective of one that came to the end of an epoch."""

    outcome: str
    reason: str
    value: float | None = None


def is_finite(epoch: Epoch, metric: str) -> bool:
    """Whether the losses and the objective of an epoch are numbers. A trial without has diverged."""
    return all(map(math.isfinite, (epoch.train_loss, epoch.valid_loss, epoch.figure(metric))))


def ending_of(config: SweepConfig, entry: LoggedTrial, number: int, epochs: int, *, is_pruned: bool) -> TrialEnd | None:
    """How a trial of so many `epochs` ends after its epoch `number`, which is in its entry; None where it goes on.

    `is_pruned` is what the study answered to that epoch's report.
    """
    row, metric = entry.epochs[0, number], config.objective.metric
    value = row.figure(metric)
    if not is_finite(row, metric):
        return TrialEnd("diverged", f"not finite from epoch {number}")
    if number >= epochs:
        return TrialEnd("completed", "", _kept_value(config, entry))
    if reason := reached(config, number, value):
        return TrialEnd("completed", reason, _kept_value(config, entry))
    if is_pruned:
        return TrialEnd("pruned", f"by {config.pruner.use} at epoch {number}", value)
    if reason := stalled(config, entry):
        return TrialEnd("completed", reason, _kept_value(config, entry))
    return None


class Tally:
    """The ended trials: `counts` by outcome, of all runs; `ended` are their numbers since the last look at this run.

    `news` has a line for each of those, and for what else the user should know. `warnings` are what went wrong, and of
    each reason of a failure the first.
    """

    def __init__(self, counts: Counter[str]) -> None:
        self.counts = counts
        self.news: list[str] = []
        self.warnings: list[str] = []
        self.ended: list[int] = []
        self._reasons: set[str] = set()

    def add(self, number: int, ending: TrialEnd, metric: str) -> None:
        """A trial has ended."""
        outcome, reason, value = ending
        self.counts[outcome] += 1
        self.ended.append(number)
        figure = "" if value is None else f", {metric} {value:.4g}"
        self.news.append(f"trial {number} {outcome}{figure}{f' ({reason})' if reason else ''}")
        if outcome in ("failed", "out_of_memory") and reason not in self._reasons:
            self._reasons.add(reason)
            self.warnings.append(f"trial {number} {outcome}: {reason}")

    def warn(self, notes: Sequence[str]) -> None:
        """Add what went wrong without ending a trial."""
        self.news += notes
        self.warnings += notes


def _kept_value(config: SweepConfig, entry: LoggedTrial) -> float:
    epochs = entry.epochs_of(0)
    return epochs[kept_epoch(config, epochs)].figure(config.objective.metric)
