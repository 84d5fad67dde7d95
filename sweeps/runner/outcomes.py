"""Outcomes: how a trial ends, and everybody who is told of it. The rule: told in one order, whatever ended the trial.

The study first, then the log, then people, then the best trial.
"""

from __future__ import annotations

import math
from collections import Counter

from sweeps.config import SweepConfig
from sweeps.engine.lane_group import LaneGroup
from sweeps.engine.programs import LaneTrial
from sweeps.log.early_stopping import kept_epoch, reached, stalled
from sweeps.log.trials import Entry
from sweeps.runner.best_trial import BestTrial
from sweeps.runner.budget import reaches_target
from sweeps.runner.recorder import Recorder, TrialEnd
from sweeps.study import Study


class Outcomes:
    """`counts` has the ended trials of all runs, `news` is a line for each of this one, `ended` their numbers.

    `warnings` are what went wrong, and of each reason of a failure the first.

    `closing` is why the sweep is over before its trials are; "" while it is not.
    """

    def __init__(
        self, config: SweepConfig, study: Study, recorder: Recorder, best_trial: BestTrial, counts: Counter[str]
    ) -> None:
        self._config, self._study, self._recorder, self._best_trial = config, study, recorder, best_trial
        self.counts, self.closing = counts, ""
        self.news: list[str] = []
        self.warnings: list[str] = []
        self._reasons: set[str] = set()
        self.ended: list[int] = []
        if best_trial.standing is not None:
            self._close_if_reached(best_trial.standing.number, best_trial.standing.value)

    def is_ended_by(self, lane_trial: LaneTrial, number: int, entry: Entry, group: LaneGroup | None) -> bool:
        """End a trial after its epoch `number`, which is in the log, if that was its last; whether it was.

        It still rides in `group`; in none if it was an earlier run that recorded the epoch, and no more.
        """
        value = entry.epochs[0, number].figure(self._config.objective.metric)
        ending = self._ending(lane_trial, number, entry, value)
        if self._config.keep == "best_epoch" and ending is None and group is not None:
            self._best_trial.remember(lane_trial.number, number, value, group)
        if ending is not None:
            self.end(lane_trial.number, ending)
            if ending.outcome == "completed" and ending.value is not None:
                self._best_trial.challenge(lane_trial, ending.value, group, at_epoch=number)
            self._best_trial.forget(lane_trial.number)
        return ending is not None

    def end(self, number: int, ending: TrialEnd, virtual_time: float | None = None) -> None:
        """End a trial; at a `virtual_time` if an epoch without a result did it."""
        outcome, reason, value = ending
        self._study.tell(number, outcome, value)
        self._recorder.outcome(number, ending, virtual_time)
        self.counts[outcome] += 1
        self.ended.append(number)
        figure = "" if value is None else f", {self._config.objective.metric} {value:.4g}"
        self.news.append(f"trial {number} {outcome}{figure}{f' ({reason})' if reason else ''}")
        if outcome in ("failed", "out_of_memory") and reason not in self._reasons:
            self._reasons.add(reason)
            self.warnings.append(f"trial {number} {outcome}: {reason}")
        if outcome == "completed" and value is not None:
            self._close_if_reached(number, value)

    def warn(self, notes: list[str]) -> None:
        """Add what went wrong without ending a trial."""
        self.news += notes
        self.warnings += notes

    def _ending(self, lane_trial: LaneTrial, number: int, entry: Entry, value: float) -> TrialEnd | None:
        """How a trial ends after an epoch, or None; an epoch that was reported before is answered as it was."""
        epoch = entry.epochs[0, number]
        if not all(map(math.isfinite, (epoch.train_loss, epoch.valid_loss, value))):
            return TrialEnd("diverged", f"not finite from epoch {number}")
        is_pruned = self._study.report(lane_trial.number, number, value)
        if number >= lane_trial.epochs:
            return TrialEnd("completed", "", self._kept_value(entry))
        if reason := reached(self._config, number, value):
            return TrialEnd("completed", reason, self._kept_value(entry))
        if is_pruned:
            return TrialEnd("pruned", f"by {self._config.pruner.use} at epoch {number}", value)
        reason = stalled(self._config, entry)
        return TrialEnd("completed", reason, self._kept_value(entry)) if reason else None

    def _kept_value(self, entry: Entry) -> float:
        epochs = entry.epochs_of(0)
        return epochs[kept_epoch(self._config, epochs)].figure(self._config.objective.metric)

    def _close_if_reached(self, number: int, value: float) -> None:
        if reaches_target(self._config, value):
            self.closing = f"trial {number} reached the target {self._config.budget.target:g}"
