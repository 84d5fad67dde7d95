"""Data made from a formula, with answers known in closed form."""

from __future__ import annotations

import numpy as np

from sweeps.datasets.dataset import Dataset, from_arrays


def linear_regression(
    *,
    rows: int = 10_000,
    features: int = 8,
    noise: float = 0.1,
    valid_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 0,
) -> Dataset:
    """`y = x · (1, 2, …, features) + 0.5 + noise`, with standard normal `x` and `noise` times a standard normal error.

    The best mean squared error that any model reaches is `noise ** 2`.
    """
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((rows, features)).astype(np.float32)
    y = x @ np.arange(1, features + 1, dtype=np.float32) + 0.5
    y += noise * generator.standard_normal(rows).astype(np.float32)
    return from_arrays(x, y.astype(np.float32), valid_fraction=valid_fraction, test_fraction=test_fraction, seed=seed)


def sine_sequences(
    *,
    rows: int = 4_000,
    steps: int = 24,
    noise: float = 0.1,
    valid_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 0,
) -> Dataset:
    """What comes next in a noisy sine? `x` has the shape `[rows, steps, 1]`, `y` is the wave at the step after them.

    Each row has a period of 6 to 12 steps and a phase of its own, an amplitude of 1, and `noise` times a standard
    normal error at every step, the next one too. So no model's mean squared error is below `noise ** 2`. Phase and
    frequency must be read off `n = steps` noisy values, which costs the best of models about
    `noise ** 2 * (4 n + 2) / (n (n - 1))` more where the noise is small: the variance of a line fitted to the phase, at
    the step after its last point, by the bounds of D. Rife and R. Boorstyn, "Single-tone parameter estimation from
    discrete-time observations", IEEE Transactions on Information Theory 20(5), 1974.
    """
    generator = np.random.default_rng(seed)
    frequency = 1 / generator.uniform(6, 12, (rows, 1))
    phase = generator.uniform(0, 1, (rows, 1))
    waves = np.sin(2 * np.pi * (frequency * np.arange(steps + 1) + phase))
    waves += noise * generator.standard_normal(waves.shape)
    x, y = waves[:, :-1, None].astype(np.float32), waves[:, -1].astype(np.float32)
    return from_arrays(x, y, valid_fraction=valid_fraction, test_fraction=test_fraction, seed=seed)


def two_moons(
    *, rows: int = 2_000, noise: float = 0.1, valid_fraction: float = 0.2, test_fraction: float = 0.1, seed: int = 0
) -> Dataset:
    """Two half circles of radius 1 that reach into each other, a class each; `noise` times a standard normal error.

    The upper one is around (0, 0), the lower one around (1, 1/2). They are 1/2 apart where they are nearest, so with
    noise well below 1/4 the half circle that a row is nearer to is nearly always its own. No straight line parts them.
    """
    generator = np.random.default_rng(seed)
    labels = np.arange(rows) % 2
    angles = generator.uniform(0, np.pi, rows)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    moons = np.where(labels[:, None] == 0, circle, np.array([1.0, 0.5]) - circle)
    x = (moons + noise * generator.standard_normal((rows, 2))).astype(np.float32)
    return from_arrays(x, labels, valid_fraction=valid_fraction, test_fraction=test_fraction, seed=seed)
