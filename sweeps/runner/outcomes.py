"""Verdicts: how a trial ends, and everybody who is told of it. The rule: told in one order, whatever ended the trial.

The study first, then the log, then people, then the champion.
"""

from __future__ import annotations

import math
from collections import Counter

from sweeps.config import SweepConfig
from sweeps.engine.lane_group import Population
from sweeps.engine.programs import Occupant
from sweeps.log.early_stopping import kept_epoch, reached, stalled
from sweeps.log.trials import Entry
from sweeps.runner.best_trial import Champion
from sweeps.runner.budget import reaches_target
from sweeps.runner.recorder import Chronicle, Ending
from sweeps.study import Study


class Verdicts:
    """`outcomes` counts the ended trials of all runs, `news` is a line for each of this one, `ended` their numbers.

    `closing` is why the sweep is over before its trials are; "" while it is not.
    """

    def __init__(
        self, config: SweepConfig, study: Study, chronicle: Chronicle, champion: Champion, outcomes: Counter[str]
    ) -> None:
        self._config, self._study, self._chronicle, self._champion = config, study, chronicle, champion
        self.outcomes, self.closing = outcomes, ""
        self.news: list[str] = []
        self.ended: list[int] = []
        if champion.standing is not None:
            self._close_if_reached(champion.standing.number, champion.standing.value)

    def is_ended_by(self, occupant: Occupant, number: int, entry: Entry, population: Population | None) -> bool:
        """End a trial after its epoch `number`, which is in the log, if that was its last; whether it was.

        It still rides in `population`; in none if it was an earlier run that recorded the epoch, and no more.
        """
        value = entry.epochs[0, number].figure(self._config.objective.metric)
        ending = self._ending(occupant, number, entry, value)
        if self._config.keep == "best_epoch" and ending is None and population is not None:
            self._champion.remember(occupant.number, number, value, population)
        if ending is not None:
            self.end(occupant.number, ending)
            if ending.outcome == "completed" and ending.value is not None:
                self._champion.challenge(occupant, ending.value, population, at_epoch=number)
            self._champion.forget(occupant.number)
        return ending is not None

    def end(self, number: int, ending: Ending, clock: float | None = None) -> None:
        """End a trial; at a `clock` if an epoch without a result did it."""
        outcome, reason, value = ending
        self._study.tell(number, outcome, value)
        self._chronicle.outcome(number, ending, clock)
        self.outcomes[outcome] += 1
        self.ended.append(number)
        figure = "" if value is None else f", {self._config.objective.metric} {value:.4g}"
        self.news.append(f"trial {number} {outcome}{figure}{f' ({reason})' if reason else ''}")
        if outcome == "completed" and value is not None:
            self._close_if_reached(number, value)

    def _ending(self, occupant: Occupant, number: int, entry: Entry, value: float) -> Ending | None:
        """How a trial ends after an epoch, or None; an epoch that was reported before is answered as it was."""
        epoch = entry.epochs[0, number]
        if not all(map(math.isfinite, (epoch.train_loss, epoch.valid_loss, value))):
            return Ending("diverged", f"not finite from epoch {number}")
        is_pruned = self._study.report(occupant.number, number, value)
        if number >= occupant.epochs:
            return Ending("completed", "", self._kept_value(entry))
        if reason := reached(self._config, number, value):
            return Ending("completed", reason, self._kept_value(entry))
        if is_pruned:
            return Ending("pruned", f"by {self._config.pruner.use} at epoch {number}", value)
        reason = stalled(self._config, entry)
        return Ending("completed", reason, self._kept_value(entry)) if reason else None

    def _kept_value(self, entry: Entry) -> float:
        epochs = entry.epochs_of(0)
        return epochs[kept_epoch(self._config, epochs)].figure(self._config.objective.metric)

    def _close_if_reached(self, number: int, value: float) -> None:
        if reaches_target(self._config, value):
            self.closing = f"trial {number} reached the target {self._config.budget.target:g}"
