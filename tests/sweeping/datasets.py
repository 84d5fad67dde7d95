"""Small data sets with a known structure, as configs name them: `sweeping:blobs`."""

from __future__ import annotations

import numpy as np

from sweeps.datasets.dataset import Dataset, Split


def blobs(rows: int = 53, valid_rows: int = 30, seed: int = 0, grey: bool = False) -> Dataset:
    """Three classes of points in five dimensions; `grey` stores them as uint8, as images are."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, rows + 2 * valid_rows)
    x = generator.standard_normal((len(labels), 5)) + 1.5 * np.eye(3, 5)[labels]
    x = np.clip(40 * x + 128, 0, 255).astype(np.uint8) if grey else x.astype(np.float32)
    return _split(x, labels.astype(np.int32), rows, valid_rows)


def plane(rows: int = 53, valid_rows: int = 20, seed: int = 0) -> Dataset:
    """A noisy plane over four features: values to regress on."""
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((rows + 2 * valid_rows, 4)).astype(np.float32)
    y = x @ np.array([1, -2, 3, 0.5]) + 0.25 + 0.1 * generator.standard_normal(len(x))
    return _split(x, y.astype(np.float32), rows, valid_rows)


def poisoned(rows: int = 24, bad: tuple[int, ...] = (3, 4, 11)) -> Dataset:
    """A plane whose rows `bad` are zero or negative in a feature: NaN and infinite under `logarithm`'s forward."""
    clean = plane(rows)
    x = np.abs(clean.train.x) + 0.5
    x[list(bad), 0] = np.resize([-1.0, 0.0], len(bad))
    return Dataset(Split(x, clean.train.y), Split(np.abs(clean.valid.x) + 0.5, clean.valid.y))


def tokens(rows: int = 53, valid_rows: int = 30) -> Dataset:
    """Rows of five words out of ten; the class is the first word's rest by three."""
    x = np.random.default_rng(0).integers(0, 10, (rows + 2 * valid_rows, 5)).astype(np.int32)
    return _split(x, x[:, 0] % 3, rows, valid_rows)


def xor(copies: int = 32) -> Dataset:
    """The four corners of exclusive or, many times over."""
    x = np.tile(np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), (copies, 1))
    split = Split(x, np.logical_xor(x[:, 0], x[:, 1]).astype(np.int32))
    return Dataset(split, split, split)


def _split(x: np.ndarray, y: np.ndarray, rows: int, valid_rows: int) -> Dataset:
    ends = [rows, rows + valid_rows]
    return Dataset(*(Split(a, b) for a, b in zip(np.split(x, ends), np.split(y, ends), strict=True)))
