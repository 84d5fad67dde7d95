"""Parzen estimators: a mixture of one kernel for each observation, and one for the whole space.

The arithmetic is that of Optuna 5.0.0's multivariate TPE with its default arguments (Watanabe, 2023,
arXiv:2304.11127, describes and compares them); a test holds the two together. Kernels are products over the
dimensions: a truncated normal for a number, its mass over a cell for a whole number, a smoothed choice for a choice.

Observations and candidates are f64 `[dimensions, count]`: numbers after the logarithm where the scale has one, choices
as indices.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sweeps.study.kernels import Cells, Choice, Logarithms, Normal, Scale

Axis = Scale | int
"""A number's scale, or how many choices there are."""
EQUALLY_WEIGHED = 25
"""So many of the latest observations have full weight; the weights of those before rise to it from nearly nothing."""
BLOCK = 8192
"""Candidates times kernels that are weighed at once: arrays of this size stay in the cache."""
PRODUCT = 2**17
"""Multiplications in a matrix product: so few are done by the calling thread alone, and the others go on training."""


class Parzen:
    """The estimator of `observations` f64 `[len(axes), count]`, in the order in which they were made."""

    def __init__(self, observations: np.ndarray, axes: Sequence[Axis]) -> None:
        self._weights = kernel_weights(observations.shape[1])
        self._kernels = [_kernel(axis, row) for axis, row in zip(axes, observations, strict=True)]

    def sample(self, generator: np.random.RandomState, count: int) -> np.ndarray:
        """Candidates, f64 `[dimensions, count]`."""
        chosen = generator.choice(len(self._weights), p=self._weights, size=count)
        candidates = np.empty((len(self._kernels), count))
        # Choices draw before numbers, and all numbers at once: the order in which Optuna uses up its generator.
        for index, kernel in enumerate(self._kernels):
            if isinstance(kernel, Choice):
                candidates[index] = kernel.sample(chosen, generator.random_sample(count))
        numeric = [index for index, kernel in enumerate(self._kernels) if isinstance(kernel, Normal)]
        for index, quantiles in zip(numeric, generator.random_sample((len(numeric), count)), strict=True):
            candidates[index] = self._kernels[index].sample(chosen, quantiles)
        return candidates

    def log_density(self, candidates: np.ndarray) -> np.ndarray:
        """The logarithm of the density at each candidate, f64 `[count]`."""
        masses: list[Logarithms] = []
        powers: list[np.ndarray] = []
        parabolas: list[np.ndarray] = []
        for kernel, row in zip(self._kernels, candidates, strict=True):
            if isinstance(kernel, Choice | Cells):
                masses.append(kernel.at(row))
            else:
                powers += kernel.powers(row)
                parabolas += kernel.parabolas()
        count, log_weights = candidates.shape[1], np.log(self._weights)
        left = np.reshape(powers, (len(powers), count)).T
        right = np.reshape(parabolas, (len(parabolas), len(log_weights)))
        width = max(min(BLOCK, PRODUCT // max(len(powers), 1)) // count, 1)
        sums: list[np.ndarray] = []
        for start in range(0, len(log_weights), width):
            block = slice(start, start + width)
            terms = left @ right[:, block]
            for logarithms in masses:
                terms += logarithms(block)
            terms += log_weights[block]
            sums.append(_log_sum_exp(terms))
        return np.asarray(np.logaddexp.reduce(sums, axis=0))


def kernel_weights(observations: int) -> np.ndarray:
    """The weights of the kernels, f64 `[observations + 1]`, of sum 1. The last kernel is that of the whole space.

    >>> kernel_weights(1), kernel_weights(0)
    (array([0.5, 0.5]), array([1.]))
    """
    weights = np.ones(observations + 1)
    if observations >= EQUALLY_WEIGHED:
        older = observations - EQUALLY_WEIGHED
        weights[:older] = np.linspace(1 / observations, 1, older)
    weights /= weights.sum()
    return weights


def _kernel(axis: Axis, observations: np.ndarray) -> Choice | Normal:
    if isinstance(axis, int):
        return Choice(observations, axis)
    return Cells(observations, axis) if axis.step else Normal(observations, axis)


def _log_sum_exp(terms: np.ndarray) -> np.ndarray:
    """Over the last axis; overwrites `terms`."""
    largest = np.maximum(terms.max(axis=-1), -1e300)
    terms -= largest[:, np.newaxis]
    np.maximum(terms, -600.0, out=terms)  # adds nothing, and an exponential that underflows takes ten times as long
    np.exp(terms, out=terms)
    return np.asarray(np.log(terms.sum(axis=-1)) + largest)
