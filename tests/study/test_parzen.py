"""Densities and draws of the Parzen estimator, beside closed forms, sums and integrals."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from sweeps.study import parzen
from sweeps.study.kernels import Scale, log_cells, spreads_of, tail
from sweeps.study.parzen import Axis, Parzen, kernel_weights

REAL = Scale(-2.0, 6.0, log=False, step=0)
RATE = Scale(1e-4, 1e-1, log=True, step=0)
WHOLE = Scale(2, 17, log=False, step=3)
POWER = Scale(1, 64, log=True, step=1)
AXES: list[Axis] = [REAL, RATE, WHOLE, POWER, 4]


def observed(count: int, axis: Axis, seed: int = 0) -> np.ndarray:
    """Positions on one axis, f64 `[1, count]`."""
    generator = np.random.default_rng(seed)
    if isinstance(axis, int):
        return generator.integers(0, axis, (1, count)).astype(float)
    if axis.step:
        cells = np.arange(axis.low, axis.high + 1, axis.step)
        return np.log(generator.choice(cells, (1, count))) if axis.log else generator.choice(cells * 1.0, (1, count))
    return generator.uniform(*axis.ends, (1, count))


@pytest.mark.parametrize("count", [0, 1, 2, 30, 400])
@pytest.mark.parametrize("axis", AXES, ids=["real", "rate", "whole", "power", "choice"])
def test_a_density_is_one_in_sum(axis: Axis, count: int) -> None:
    estimator = Parzen(observed(count, axis), [axis])
    if isinstance(axis, int):
        points = np.arange(axis * 1.0)
    elif axis.step:
        points = np.arange(axis.low, axis.high + 1, axis.step) * 1.0
        points = np.log(points) if axis.log else points
    else:
        points = np.linspace(*axis.ends, 20001)
    density = np.exp(estimator.log_density(points[np.newaxis]))
    total = density.sum() if isinstance(axis, int) or axis.step else np.trapezoid(density, points)
    assert total == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("axis", AXES, ids=["real", "rate", "whole", "power", "choice"])
def test_draws_follow_the_density(axis: Axis) -> None:
    """Kolmogorov's distance between 20,000 draws and the summed density; chance keeps it below 0.014 (99.9 %)."""
    estimator = Parzen(observed(12, axis), [axis])
    drawn = np.sort(estimator.sample(np.random.RandomState(0), 20_000)[0])
    discrete = isinstance(axis, int) or axis.step
    points = np.unique(drawn) if discrete else np.linspace(*axis.ends, 20001)
    density = np.exp(estimator.log_density(points[np.newaxis]))
    expected = np.cumsum(density) if discrete else np.cumsum(density) * (points[1] - points[0])
    found = np.searchsorted(drawn, points, side="right") / len(drawn)
    assert np.abs(found - expected).max() < 0.014


def test_one_observation_is_a_mixture_of_two_truncated_normals() -> None:
    low, high = REAL.ends
    near, whole = NormalDist(1.5, 4.5), NormalDist(2.0, 8.0)  # as wide as the gap to the further end; the whole scale
    points = np.array([-2.0, 0.0, 1.5, 5.9])
    expected = [
        math.log(sum(0.5 * each.pdf(point) / (each.cdf(high) - each.cdf(low)) for each in (near, whole)))
        for point in points
    ]
    found = Parzen(np.array([[1.5]]), [REAL]).log_density(points[np.newaxis])
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_dimensions_multiply_kernel_by_kernel() -> None:
    """The kernels of both dimensions together: a sum of products, and no product of sums."""
    both = np.concatenate([observed(3, REAL), observed(3, 4)])
    candidates = np.array([[0.5, 5.0], [2.0, 0.0]])
    found = np.exp(Parzen(both, [REAL, 4]).log_density(candidates))
    masses = np.full((4, 4), 0.25)
    masses[np.arange(3), both[1].astype(int)] += 1
    masses[:3] /= masses[:3].sum(axis=1, keepdims=True)
    order = np.argsort(both[0])
    spreads = np.append(np.empty(3), 8.0)
    spreads[order] = spreads_of(both[0][order], *REAL.ends)
    kernels = [NormalDist(mean, spread) for mean, spread in zip([*both[0], 2.0], spreads, strict=True)]
    for column, (place, choice) in enumerate(candidates.T):
        terms = [
            0.25 * each.pdf(place) / (each.cdf(6.0) - each.cdf(-2.0)) * masses[row, int(choice)]
            for row, each in enumerate(kernels)
        ]
        assert found[column] == pytest.approx(sum(terms), rel=1e-12)


def test_blocks_do_not_change_the_density(monkeypatch: pytest.MonkeyPatch) -> None:
    observations = np.concatenate([observed(300, axis) for axis in AXES])
    candidates = np.concatenate([observed(24, axis, seed=1) for axis in AXES])
    estimator = Parzen(observations, AXES)
    whole = estimator.log_density(candidates)
    monkeypatch.setattr(parzen, "BLOCK", 24 * 7)
    np.testing.assert_allclose(estimator.log_density(candidates), whole, rtol=1e-13)


def test_the_latest_25_observations_weigh_the_same_and_older_ones_less() -> None:
    weights = kernel_weights(40) / kernel_weights(40)[-1]
    np.testing.assert_allclose(weights[15:], 1)
    np.testing.assert_allclose(weights[:15], np.linspace(1 / 40, 1, 15))
    assert kernel_weights(40).sum() == pytest.approx(1)


def test_a_spread_is_the_gap_to_the_further_neighbour_but_not_too_narrow() -> None:
    means = np.array([0.0, 1.0, 1.001, 4.0, 9.0])
    np.testing.assert_allclose(spreads_of(means, 0.0, 10.0), [10 / 7, 10 / 7, 2.999, 5.0, 5.0])
    many = np.linspace(0, 10, 1001)
    np.testing.assert_allclose(spreads_of(many, 0.0, 10.0), 0.1)


@pytest.mark.parametrize("mean", [0.0, 3.0, -3.0, 20.0])
def test_a_narrow_cell_has_the_mass_between_its_sides(mean: float) -> None:
    """By five points within half a standard deviation, by the two tails beyond it: both against many thin slices."""
    for width in (1e-3, 0.3, 0.5, 0.51, 2.0):
        edges = np.linspace(mean - 2, mean - 2 + width, 4001)
        middles = (edges[1:] + edges[:-1]) / 2
        slices = np.exp(-0.5 * (middles - mean - 1) ** 2) / math.sqrt(math.tau) * (width / 4000)
        found = log_cells(edges[:1], edges[-1:], np.array([mean + 1]), np.array([1.0]))
        assert found[0, 0] == pytest.approx(math.log(slices.sum()), abs=1e-7)


def test_tails_are_those_of_the_normal_distribution() -> None:
    expected = [0.5, 0.30853753872598690, 1.3498980316300945e-3, 6.2209605742717841e-16]  # from tables
    np.testing.assert_allclose(tail(np.array([0.0, 0.5, 3.0, 8.0])), expected, rtol=1e-13)
    assert tail(np.array([12.0])) == 0
