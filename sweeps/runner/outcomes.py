"""How a trial ends: the decision after each epoch, and the count of those that have ended."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from sweeps.config import SweepConfig
from sweeps.log.early_stopping import kept_epoch, reached, stalled
from sweeps.log.trials import FAILURES, Epoch, LoggedTrial, general_reason


class TrialEnd(NamedTuple):
    """How a trial ends; `value` is the objective of one that came to the end of an epoch."""

    outcome: str
    reason: str
    value: float | None = None


def not_finite(epoch: Epoch, metric: str) -> str:
    """By what a trial has diverged: its losses, or an infinite objective; "" where it has not.

    An objective that is NaN beside finite losses is not defined on these rows, such as an AUC of one class alone.
    """
    figures = {name: epoch.figure(name) for name in ("train_loss", "valid_loss", metric)}
    are_losses = math.isfinite(epoch.train_loss) and math.isfinite(epoch.valid_loss)
    wrong = {name: figure for name, figure in figures.items() if not math.isfinite(figure)}
    return "" if are_losses and math.isnan(epoch.figure(metric)) else ", ".join(f"{n} is {v}" for n, v in wrong.items())


def ending_of(config: SweepConfig, entry: LoggedTrial, number: int, epochs: int, *, is_pruned: bool) -> TrialEnd | None:
    """How a trial of so many `epochs` ends after its epoch `number`, which is in its entry; None where it goes on.

    `is_pruned` is what the study answered to that epoch's report.
    """
    row, metric = entry.epochs[0, number], config.objective.metric
    value = row.figure(metric)
    if wrong := not_finite(row, metric):
        return TrialEnd("diverged", f"not finite from epoch {number}: {wrong}")
    if number >= epochs:
        return _completed(config, entry, "")
    if reason := reached(config, number, value):
        return _completed(config, entry, reason)
    if is_pruned:
        return TrialEnd("pruned", f"by {config.pruner.use} at epoch {number}", value)
    if reason := stalled(config, entry):
        return _completed(config, entry, reason)
    return None


class Tally:
    """The ended trials: `counts` by outcome, of all runs; `ended` are their numbers since the last look at this run.

    `news` has a line for each of those, and for what else the user should know. `warnings` are what went wrong, and of
    each reason of a failure the first; `failures` count them in this run, by outcome and reason.
    """

    def __init__(self, counts: Counter[str]) -> None:
        self.counts = counts
        self.news: list[str] = []
        self.warnings: list[str] = []
        self.ended: list[int] = []
        self.failures = Counter[tuple[str, str]]()

    def add(self, number: int, ending: TrialEnd, metric: str) -> None:
        """A trial has ended."""
        outcome, reason, value = ending
        self.counts[outcome] += 1
        self.ended.append(number)
        figure = "" if value is None else f", {metric} {value:.4g}"
        self.news.append(f"trial {number} {outcome}{figure}{f' ({reason})' if reason else ''}")
        if outcome in FAILURES:
            what = outcome, general_reason(outcome, reason)
            self.failures[what] += 1
            if self.failures[what] == 1 and outcome != "diverged":
                self.warnings.append(f"trial {number} {outcome}: {reason}")

    def warn(self, notes: Sequence[str]) -> None:
        """Add what went wrong without ending a trial."""
        self.news += notes
        self.warnings += notes


def _completed(config: SweepConfig, entry: LoggedTrial, reason: str) -> TrialEnd:
    epochs, metric = entry.epochs_of(0), config.objective.metric
    kept = epochs.get(kept_epoch(config, epochs))  # of an objective that was never defined no epoch is the best
    value = math.nan if kept is None else kept.figure(metric)
    if math.isfinite(value):
        return TrialEnd("completed", reason, value)
    return TrialEnd("failed", f"{metric} is nan though the losses are finite: is it defined on the validation rows?")
