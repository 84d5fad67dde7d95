"""TPE beside a pruner that pauses trials: it learns from scores at rungs, and not from trials that have ended.

The good trials are the best by the highest rung that they have come to, then by their scores there. All others, those
that are under way included, are what a proposal keeps away from: that also holds the trials of one wave apart. What is
proposed depends on those ranks and on the parameters of the trials before, so that for `Waves` it is the same for any
number of lanes.

BOHB (Falkner et al., 2018, arXiv:1807.01774) learns from the highest rung alone that has enough trials. These are too
few in the first waves: the test that TPE finds more good trials than chance does, by the fifth wave, fails with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from sweeps.study.kernels import Scale
from sweeps.study.observations import MOST_GOOD, Observations, groups_of
from sweeps.study.rungs import Rungs
from sweeps.study.tpe import ColumnTpeSampler

GOOD = 0.15
"""The part of the trials that is good, as in BOHB; no more than in Optuna's TPE."""
NEAR, REDRAWS = 0.01, 8
"""Numbers are near that differ by less than this part of their range; so often a proposal is drawn again."""


class RungObservations(Observations):
    """Trials by number; `learn` says which scores are known of them."""

    def learn(self, ranking: Sequence[int]) -> None:
        """The trials that have scores, the best first."""
        self.ended = len(ranking)
        self._best = ranking[: min(math.ceil(GOOD * len(ranking)), MOST_GOOD)]
        self._present = dict.fromkeys(frozenset(self._names_in(number)) for number in sorted(ranking))

    def split(self, names: Any) -> tuple[np.ndarray, np.ndarray]:
        """As of `Observations`, whatever has become of trials in the meantime."""
        return self._split(names, self._best, np.ones(self._length, bool))

    def groups(self) -> list[list[str]]:
        """As of `Observations`, of the trials to learn from."""
        return groups_of(self._present)

    def is_near(self, params: Mapping[str, Any], others: range, spans: Mapping[str, float]) -> bool:
        """Whether one of the `others` has about these parameters; `spans` are the widths of numbers' ranges."""
        near = np.ones(len(others), bool)
        for name, value in params.items():
            column = self._columns[self._places[name], others.start : others.stop]
            near &= np.abs(column - self._positions[name](value)) <= NEAR * spans.get(name, 0.0)
        return bool(near.any())

    def _names_in(self, number: int) -> Iterator[str]:
        column = self._columns[:, number].tolist()
        return (name for name, position in zip(self._places, column, strict=True) if not math.isnan(position))


class RungTpeSampler(ColumnTpeSampler):
    """Proposes at random until `n_startup_trials` have a score that may be learnt from."""

    def __init__(self, space: Mapping[str, BaseDistribution], rungs: Rungs, **arguments: Any) -> None:
        super().__init__(space, **arguments)
        self._rungs, self._learnt = rungs, -1
        axes = {name: each.axis for name, each in self._coordinates.items()}
        self._spans = {name: axis.ends[1] - axis.ends[0] for name, axis in axes.items() if isinstance(axis, Scale)}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draws together what appears together; again where a trial of the same wave has nearly the same."""
        seen, cohort = self._look_at(study, trial), self._rungs.cohort(trial.number)
        for _ in range(REDRAWS):
            drawn = super().sample_relative(study, trial, search_space)
            if not drawn or not seen.is_near(drawn, cohort, self._spans):
                break
        return drawn

    def _look_at(self, study: optuna.Study, trial: FrozenTrial) -> RungObservations:
        if self._seen is None:
            positions = {name: each.position for name, each in self._coordinates.items()}
            self._seen = RungObservations(positions, 1)
        assert isinstance(self._seen, RungObservations)
        self._seen.follow(study.get_trials(deepcopy=False)[: trial.number])
        if self._learnt != trial.number:
            self._learnt = trial.number
            self._seen.learn(self._rungs.ranking(trial.number))
        return self._seen
