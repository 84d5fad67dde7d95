"""Rows of your own: a function that returns arrays."""

import numpy as np


def spirals(
    turns: float = 1.5, rows: int = 1_200
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Points of two spirals with noise, for training and for the test; the class is the spiral."""
    generator = np.random.default_rng(0)
    label = np.arange(rows) % 2
    radius = np.sqrt(generator.random(rows))
    angle = 2 * np.pi * turns * radius + np.pi * label
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1) + generator.normal(0, 0.03, (rows, 2))
    x, y = points.astype(np.float32), label.astype(np.int32)
    return (x[200:], y[200:]), (x[:200], y[:200])
