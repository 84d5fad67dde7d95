"""The tree-structured Parzen estimator: Optuna's `TPESampler`, which has its trials at hand in columns.

Optuna copies and sorts all trials at every proposal, which takes several times as long as the training of a thousand
small networks leaves for it. This subclass proposes the same from the same seed and the same trials, as Optuna 5.0.0
does with `multivariate`, `constant_liar` and, where the search space has conditions, `group`: real numbers to 1e-9, all
else exactly, up to rounding among candidates that are exactly as good as one another. A test compares the two. Methods:
Bergstra et al., 2011 (TPE); Falkner et al., 2018, arXiv:1807.01774 (joint densities).

`constant_liar`: running trials count among those that are not good, so that other lanes look elsewhere. `group`: each
set of parameters that appear together has a joint density of its own, which is what `when:` means.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from sweeps.study.kernels import Scale
from sweeps.study.observations import Observations
from sweeps.study.parzen import Axis, Parzen


class Coordinate:
    """A parameter along one axis of a density: numbers after the logarithm where the scale has one, else indices."""

    def __init__(self, distribution: BaseDistribution) -> None:
        self._distribution = distribution
        self.is_single = distribution.single()
        self.axis: Axis = _axis(distribution)

    def position(self, value: Any) -> float:
        """Where a trial's value is."""
        match self._distribution:
            case CategoricalDistribution() as it:
                return float(it.to_internal_repr(value))
            case FloatDistribution(step=float(step)) as it:
                return float(round((value - it.low) / step))
        return float(np.log(value) if self._is_log else value)

    def value(self, position: float) -> Any:
        """The value at a position."""
        match self._distribution:
            case CategoricalDistribution() as it:
                return it.to_external_repr(position)
            case FloatDistribution(step=float(step)) as it:
                return min(it.low + round(position) * step, it.high)
            case FloatDistribution() as it:
                return min(max(math.exp(position) if it.log else position, it.low), it.high)
        return round(math.exp(position) if self._is_log else position)

    @property
    def _is_log(self) -> bool:
        return isinstance(self.axis, Scale) and self.axis.log


class ColumnTpeSampler(TPESampler):
    """One sampler for a whole study, whose search space it is told; `trial_seed` is that of the next draw.

    A study of several objectives is left to Optuna's own arithmetic.
    """

    def __init__(self, space: Mapping[str, BaseDistribution], *, n_startup_trials: int, n_ei_candidates: int) -> None:
        super().__init__(
            n_startup_trials=n_startup_trials,
            n_ei_candidates=n_ei_candidates,
            seed=0,
            multivariate=True,
            constant_liar=True,
        )
        self._coordinates = {name: Coordinate(it) for name, it in space.items()}
        self._space, self._startup, self._candidates = space, n_startup_trials, n_ei_candidates
        self.trial_seed = 0
        self._generator = np.random.RandomState()
        self._random = RandomSampler(0)
        self._seen: Observations | None = None

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Seed what this trial draws."""
        self._generator.seed(self.trial_seed)
        self._random = RandomSampler(self.trial_seed)
        super().before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """What the trials so far have, apart from what has one value."""
        names = (name for group in self._look_at(study, trial).groups() for name in group)
        return {name: self._space[name] for name in names if not self._coordinates[name].is_single}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draws together what appears together."""
        seen = self._look_at(study, trial)
        if seen.ended < self._startup:
            return {}
        groups = [[name for name in group if name in search_space] for group in seen.groups()]
        return {name: value for group in groups if group for name, value in self._propose(seen, group).items()}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """One parameter, which no trial so far has had, or before there are trials enough to learn from."""
        seen = self._look_at(study, trial)
        if seen.ended < self._startup:
            return self._random.sample_independent(study, trial, param_name, param_distribution)
        return self._propose(seen, [param_name])[param_name]

    def _look_at(self, study: optuna.Study, trial: FrozenTrial) -> Observations:
        """What there is to learn from before a trial."""
        if self._seen is None:
            sign = -1 if study.direction is optuna.study.StudyDirection.MAXIMIZE else 1
            self._seen = Observations({name: each.position for name, each in self._coordinates.items()}, sign)
        self._seen.follow(study.get_trials(deepcopy=False)[: trial.number])
        return self._seen

    def _propose(self, seen: Observations, names: Sequence[str]) -> dict[str, Any]:
        """Of the candidates that the good trials suggest, the one that the others suggest least."""
        axes = [self._coordinates[name].axis for name in names]
        good, others = (Parzen(half, axes) for half in seen.split(names))
        candidates = good.sample(self._generator, self._candidates)
        best = np.argmax(good.log_density(candidates) - others.log_density(candidates))
        positions = zip(names, candidates[:, best].tolist(), strict=True)
        return {name: self._coordinates[name].value(position) for name, position in positions}


def _axis(distribution: BaseDistribution) -> Axis:
    match distribution:
        case CategoricalDistribution(choices=choices):
            return len(choices)
        case FloatDistribution(step=float(step)) as it:
            return Scale(0, round((it.high - it.low) / step), log=False, step=1)
        case FloatDistribution() as it:
            return Scale(it.low, it.high, it.log, step=0)
        case other:
            assert isinstance(other, IntDistribution)
            return Scale(other.low, other.high, other.log, other.step)
