"""The kernels of a Parzen estimator along one dimension. The last one is that of the whole space.

A kernel along a number is a normal distribution around an observation, cut off at the ends of the scale. Its width is
the gap to the further neighbour, but no less than a hundredth of the scale (more while there are few observations).
Whole numbers are cells of that distribution.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

Logarithms = Callable[[slice], np.ndarray]
"""The logarithms of masses, f64 `[candidates, kernels]`, of the kernels of a slice."""

NEGLIGIBLE = 9.0
"""So many standard deviations from the mean, a normal distribution has a tail of 1e-19: 1 less that is 1."""
NARROW = 0.5
"""A cell of at most so many standard deviations is integrated by five points, to about 1e-15 of its mass."""
POINTS, POINT_WEIGHTS = np.polynomial.legendre.leggauss(5)
STANDARD = NormalDist()
SMALLEST = 5e-324


class Scale(NamedTuple):
    """Numbers from `low` to `high`, both included; `step` is 0 for real numbers. A `log` scale has a step of 0 or 1."""

    low: float
    high: float
    log: bool
    step: float

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of the interval that is searched, after the logarithm. A whole number is the middle of a cell."""
        low, high = self.low - self.step / 2, self.high + self.step / 2
        return (math.log(low), math.log(high)) if self.log else (float(low), float(high))


class Choice:
    """One of `choices` indices: the observed one, with a little for the others that shrinks with observations."""

    def __init__(self, observations: np.ndarray, choices: int) -> None:
        count = len(observations) + 1
        # A row for each choice that a kernel can be around, and the last for the kernel of the whole space.
        masses = np.full((choices + 1, choices), 1 / count)
        np.fill_diagonal(masses, 1 + 1 / count)
        self._masses = masses / masses.sum(axis=1, keepdims=True)
        self._row_of = np.append(observations, choices).astype(np.intp)

    def sample(self, chosen: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
        """Indices of choices, from the kernels `chosen`, at `quantiles` in [0, 1)."""
        totals = np.cumsum(self._masses[self._row_of[chosen]], axis=1)
        totals[:, -1] = 1
        return np.asarray((totals < quantiles[:, np.newaxis]).sum(axis=1))

    def at(self, candidates: np.ndarray) -> Logarithms:
        """The masses of `candidates`."""
        log_masses = np.log(self._masses.T[candidates.astype(np.intp)])
        return lambda block: log_masses.take(self._row_of[block], axis=1)


class Normal:
    """Real numbers."""

    def __init__(self, observations: np.ndarray, scale: Scale) -> None:
        self._scale = scale
        self._low, self._high = scale.ends
        order = np.argsort(observations)
        self._order = np.append(order, len(order))
        self._means = np.append(observations, 0.5 * (self._low + self._high))
        self._spreads = np.append(observations, self._high - self._low)
        self._spreads[order] = spreads_of(observations[order], self._low, self._high)

    def sample(self, chosen: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
        """Numbers from the kernels `chosen`, at `quantiles` in [0, 1) of what the ends leave of each."""
        means, spreads = self._means[chosen], self._spreads[chosen]
        below, above = self._cut_off(means, spreads)
        left = 1 - below - above
        # From the nearer side, so that a small probability keeps its digits.
        sides = zip((below + quantiles * left).tolist(), (above + (1 - quantiles) * left).tolist(), strict=True)
        places = [
            STANDARD.inv_cdf(max(lower, SMALLEST)) if lower <= upper else -STANDARD.inv_cdf(max(upper, SMALLEST))
            for lower, upper in sides
        ]
        return np.asarray(np.clip(means + places * spreads, self._low, self._high))

    def parabolas(self) -> tuple[np.ndarray, ...]:
        """The logarithms of the densities as polynomials of a candidate's `powers`: three times f64 `[kernels]`."""
        below, above = self._cut_off(self._means, self._spreads)
        peaks = -np.log(self._spreads) - np.log1p(-below - above) - 0.5 * math.log(math.tau)
        means, precisions = self._means - self._means[-1], 1 / np.square(self._spreads)
        slopes = means * precisions
        return -0.5 * precisions, slopes, peaks - 0.5 * means * slopes

    def powers(self, candidates: np.ndarray) -> tuple[np.ndarray, ...]:
        """The second, first and zeroth powers of `candidates`, from the middle of the scale."""
        places = candidates - self._means[-1]
        return np.square(places), places, np.ones_like(places)

    def _cut_off(self, means: np.ndarray, spreads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The masses below and above the scale."""
        return tail((means - self._low) / spreads), tail((self._high - means) / spreads)


class Cells(Normal):
    """Whole numbers, on the grid of their scale; masses instead of densities."""

    def sample(self, chosen: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
        """As for real numbers, and then the middles of their cells."""
        low, high, log, step = self._scale
        places = super().sample(chosen, quantiles)
        values = np.clip(low + np.round(((np.exp(places) if log else places) - low) / step) * step, low, high)
        return np.log(values) if log else values

    def at(self, candidates: np.ndarray) -> Logarithms:
        """The masses of the cells of `candidates`; many candidates are the same, and many kernels."""
        cells, cell_of = np.unique(candidates, return_inverse=True)
        means, spreads = self._means[self._order], self._spreads[self._order]
        is_other = np.append(True, (means[1:] != means[:-1]) | (spreads[1:] != spreads[:-1]))
        kind_of = np.empty_like(self._order)
        kind_of[self._order] = np.cumsum(is_other) - 1
        means, spreads = means[is_other], spreads[is_other]
        below, above = self._cut_off(means, spreads)
        log_masses = log_cells(*self._sides(cells), means, spreads) - np.log1p(-below - above)
        return lambda block: log_masses.take(kind_of[block], axis=1).take(cell_of, axis=0)

    def _sides(self, middles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        half = self._scale.step / 2
        if not self._scale.log:
            return middles - half, middles + half
        values = np.rint(np.exp(middles))
        return np.log(values - half), np.log(values + half)


def spreads_of(means: np.ndarray, low: float, high: float) -> np.ndarray:
    """The standard deviations of kernels around rising `means`, f64 `[count]`, on the interval from `low` to `high`.

    >>> spreads_of(np.array([1.0, 2.0, 4.0]), 0.0, 10.0)
    array([2., 2., 2.])
    """
    gaps = np.diff(np.concatenate(([low], means, [high])))
    found = np.maximum(gaps[:-1], gaps[1:])
    if len(means) > 1:  # the ends are no neighbours
        found[0], found[-1] = gaps[1], gaps[-2]
    return np.clip(found, (high - low) / min(100.0, len(means) + 2.0), high - low)


def tail(distances: np.ndarray) -> np.ndarray:
    """The normal distribution's mass beyond `distances` from its mean, f64; 0 where it is negligible beside 1."""
    masses = np.zeros_like(distances)
    near = np.flatnonzero(distances < NEGLIGIBLE)
    masses[near] = _exact_tail(distances[near])
    return masses


def log_cells(left: np.ndarray, right: np.ndarray, means: np.ndarray, spreads: np.ndarray) -> np.ndarray:
    """Logarithms of the masses of normal distributions between `left` and `right`; -inf where one is below 1e-308.

    The sides are f64 `[cells]`, the distributions' means and standard deviations f64 `[kinds]`, the result is
    f64 `[cells, kinds]`.
    """
    masses = np.empty((len(left), len(means)))
    is_narrow = right - left <= NARROW * spreads.min()
    for row in np.flatnonzero(is_narrow):
        masses[row] = _narrow_cell(left[row], right[row], means, spreads)
    left, right = left[~is_narrow, np.newaxis], right[~is_narrow, np.newaxis]
    # In the left tail, where a small mass keeps its digits.
    nearer = np.where(left > means, left - means, means - right) / spreads
    further = np.where(left > means, right - means, means - left) / spreads
    masses[~is_narrow] = _exact_tail(nearer) - _exact_tail(further)
    with np.errstate(divide="ignore"):
        return np.log(masses)


def _narrow_cell(left: float, right: float, means: np.ndarray, spreads: np.ndarray) -> np.ndarray:
    points = 0.5 * (left + right) + 0.5 * (right - left) * POINTS
    exponents = (-0.5 * ((point - means) / spreads) ** 2 for point in points)
    heights = (weight * np.exp(exponent) for weight, exponent in zip(POINT_WEIGHTS, exponents, strict=True))
    return np.asarray(sum(heights, np.zeros_like(means)) * (0.5 * (right - left) / math.sqrt(math.tau)) / spreads)


def _exact_tail(distances: np.ndarray) -> np.ndarray:
    halves = map(math.erfc, (distances * math.sqrt(0.5)).ravel().tolist())
    return 0.5 * np.fromiter(halves, np.float64, distances.size).reshape(distances.shape)
