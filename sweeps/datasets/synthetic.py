"""Data made from a formula, with answers known in closed form."""

from __future__ import annotations

import numpy as np

from sweeps.datasets.base import Dataset, from_arrays


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
