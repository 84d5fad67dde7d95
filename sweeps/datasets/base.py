"""The one shape that every dataset takes: three splits of NumPy arrays in their storage type.

The rule: nothing here is scaled or copied to another dtype if it can stay as it is. `scale` and `shift` say what
the compiled program does to `x` on the device, so that uint8 images stay uint8 in memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from sweeps.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]


class Split(NamedTuple):
    """Rows of one split: `x` of shape `[rows, *input_shape]` and `y` of shape `[rows]` or `[rows, outputs]`."""

    x: Array
    y: Array

    @property
    def rows(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Dataset:
    """Training, validation and (optional) test rows, and how the program reads them.

    `x` is uint8, int32 (tokens) or float32; a model sees `x * scale + shift` in float32, except that int32 reaches it
    as it is. Integer `y` are class labels `0 … classes - 1`; float32 `y` are values to regress on.
    """

    train: Split
    valid: Split
    test: Split | None = None
    scale: float = 1.0
    shift: float = 0.0
    classes: int | None = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        return tuple(self.train.x.shape[1:])

    @property
    def target_width(self) -> int:
        """How many numbers a regression target has."""
        return 1 if self.train.y.ndim == 1 else int(np.prod(self.train.y.shape[1:]))

    @property
    def splits(self) -> dict[str, Split]:
        named = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: split for name, split in named.items() if split is not None}


def checked(dataset: Dataset) -> Dataset:
    """The dataset with its dtypes made canonical, its classes counted and its shapes found consistent.

    Raises:
        DataError: a split is empty, `x` and `y` differ in rows, shapes differ between splits, a value is not finite.
    """
    splits = {name: _canonical(name, split) for name, split in dataset.splits.items()}
    shapes = {name: split.x.shape[1:] for name, split in splits.items()}
    if len(set(shapes.values())) > 1:
        raise DataError(f"every split must have rows of one shape, but got {shapes}")
    classes, train = dataset.classes, splits["train"]
    if train.y.dtype == np.int32:
        highest = max(int(split.y.max()) for split in splits.values())
        lowest = min(int(split.y.min()) for split in splits.values())
        classes = highest + 1 if classes is None else classes
        if lowest < 0 or highest >= classes:
            raise DataError(f"class labels must be 0 … {classes - 1}, but got {lowest} … {highest}")
    scale = 1 / 255 if train.x.dtype == np.uint8 and dataset.scale == 1.0 else dataset.scale
    return replace(dataset, **splits, classes=classes, scale=scale)


def from_arrays(x: Array, y: Array, *, valid_fraction: float, test_fraction: float = 0.0, seed: int = 0) -> Dataset:
    """Rows shuffled by `seed` and cut into test, validation and training splits, in that order.

    Raises:
        DataError: the fractions leave no row for training or validation.
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise DataError(f"x and y must have the same number of rows, but got shapes {x.shape} and {y.shape}")
    rows = np.random.default_rng(seed).permutation(len(x))
    tests, valids = round(len(x) * test_fraction), round(len(x) * valid_fraction)
    if valids < 1 or tests + valids >= len(x):
        raise DataError(
            f"valid_fraction and test_fraction must leave rows for training and validation, but got "
            f"{valid_fraction} and {test_fraction} of {len(x):,} rows"
        )
    parts = np.split(rows, [tests, tests + valids])
    test, valid, train = (Split(x[part], y[part]) for part in parts)
    return Dataset(train=train, valid=valid, test=test if tests else None)


def _canonical(name: str, split: Split) -> Split:
    x, y = np.asarray(split.x), np.asarray(split.y)
    if len(x) == 0 or len(x) != len(y):
        raise DataError(f"the {name} split must have rows, as many x as y, but got {len(x):,} and {len(y):,}")
    return Split(_canonical_inputs(name, x), _canonical_targets(name, y))


def _canonical_inputs(name: str, x: Array) -> Array:
    if x.ndim == 1:
        x = x[:, None]
    if x.dtype != np.uint8:
        x = x.astype(np.int32 if x.dtype.kind in "iu" else np.float32, copy=False)
    return _finite(f"{name} x", x)


def _canonical_targets(name: str, y: Array) -> Array:
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    return _finite(f"{name} y", y.astype(np.int32 if y.dtype.kind in "iub" else np.float32, copy=False))


def _finite(what: str, values: Array) -> Array:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))[0, 0])
        raise DataError(f"every value of {what} must be finite, but row {row:,} has a NaN or an infinity")
    return np.ascontiguousarray(values)
