"""The tree-structured Parzen estimator: proposals where good trials are dense and others are not.

It proposes what Optuna 5.0.0's `TPESampler` proposes with `multivariate`, `constant_liar` and, where the
search space has conditions, `group`, from the same seed and the same trials: real numbers to 1e-9, all else exactly,
up to rounding among candidates that are exactly as good as one another. A test compares the two. Optuna copies and
sorts all trials at every proposal; here they are at hand in columns. Methods: Bergstra et al., 2011 (TPE); Falkner et
al., 2018, arXiv:1807.01774 (joint densities).

`constant_liar`: running trials count among those that are not good, so that other lanes look elsewhere. `group`: each
set of parameters that appear together has a joint density of its own, which is what `when:` means.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from sweeps.study.arguments import seed_of
from sweeps.study.dimensions import Code, Dimension
from sweeps.study.observations import Observations
from sweeps.study.parzen import Axis, Parzen
from sweeps.study.sampling import Draw, Ending, draw, unless_known


class TpeSampler:
    """`arguments` are the config's; `sign` is -1 where the objective is maximized, and otherwise 1."""

    def __init__(self, dimensions: Sequence[Dimension], arguments: Mapping[str, int], seed: int, sign: int) -> None:
        self._dimensions = {each.name: each for each in dimensions}
        self._startup, self._candidates = arguments["n_startup_trials"], arguments["n_ei_candidates"]
        self._seed = seed
        self._generator = np.random.RandomState()
        self._seen = Observations(dimensions, sign)

    def begin(self, number: int, fixed: Mapping[str, Code], consult: bool) -> Draw:
        """Draws together what appears together, also where a part of it is fixed; the rest one by one."""
        self._generator.seed(seed_of(self._seed, number))
        if not consult or self._seen.ended < self._startup:
            return unless_known(fixed, partial(draw, self._generator))
        joint: dict[str, Code] = {}
        for group in self._seen.groups():
            open_names = [name for name in group if not self._dimensions[name].is_single]
            if open_names:
                joint |= self._propose(open_names)

        def choose(dimension: Dimension) -> Code:
            name = dimension.name
            return joint[name] if name in joint else self._propose([name])[name]

        return unless_known(fixed, choose)

    def settle(self, number: int, codes: Mapping[str, Code]) -> None:
        """From here on, the trial counts as a running one."""
        self._seen.add(number, codes)

    def tell(self, number: int, ending: Ending) -> None:
        """From here on, the trial counts by its outcome."""
        self._seen.end(number, ending)

    def _propose(self, names: Sequence[str]) -> dict[str, Code]:
        """Of the candidates that the good trials suggest, the one that the others suggest least."""
        axes = [_axis(self._dimensions[name]) for name in names]
        good, others = (Parzen(half, axes) for half in self._seen.split(names))
        candidates = good.sample(self._generator, self._candidates)
        best = np.argmax(good.log_density(candidates) - others.log_density(candidates))
        positions = zip(names, candidates[:, best].tolist(), strict=True)
        return {name: _code(self._dimensions[name], position) for name, position in positions}


def _axis(dimension: Dimension) -> Axis:
    return len(dimension.indices) if dimension.scale is None else dimension.scale


def _code(dimension: Dimension, position: float) -> Code:
    scale = dimension.scale
    if scale is None:
        return int(position)
    value = math.exp(position) if scale.log else position
    return round(value) if scale.step else min(max(value, scale.low), scale.high)
