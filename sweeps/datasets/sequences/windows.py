"""A long sequence as windows, each a row of its own; steps are split before, so that none is in two splits.

A window is `window` steps, and its target the step `horizon` after its last one; the next window begins `stride` steps
later. A row holds all that a model sees of it, so nothing is carried from row to row, and an epoch, which sees each row
once, sees each window once. Windows lie in memory as rows: about `window / stride` times the sequence.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sweeps.datasets import memory, splitting
from sweeps.datasets.canonical import Array
from sweeps.datasets.dataset import Dataset, Split
from sweeps.errors import DataError


class SequenceWindows(NamedTuple):
    """How a sequence is cut into rows."""

    window: int
    stride: int
    horizon: int

    def check(self) -> None:
        """Raises: DataError where a number is below 1."""
        for name, value in self._asdict().items():
            if value < 1:
                raise DataError(f"{name} must be at least 1, but got {value}")

    def starts(self, steps: int) -> Array:
        """Where windows begin that lie, with their targets, within so many steps."""
        return np.arange(0, max(steps - self.window - self.horizon + 1, 0), self.stride)

    def rows(self, x: Array, y: Array) -> Split:
        """Windows of `x`, of shape `[steps, ...]`, as `[rows, window, ...]`, and their targets from `y`, `[steps]`."""
        starts = self.starts(len(x))
        return Split(x[starts[:, None] + np.arange(self.window)], y[starts + self.window + self.horizon - 1])


class Ends(NamedTuple):
    """Windows without targets: `x` is `[rows, window, ...]`, `steps` i64 `[rows]` their last steps."""

    x: Array
    steps: Array


def ends(path: str, x: Array, window: int) -> Ends:
    """The window that ends at each step which has so many steps up to it; `x`, of shape `[steps, ...]`, is not copied.

    Raises:
        DataError: there are fewer steps than one window has.
    """
    if len(x) < window:
        raise DataError(f"{path} must have at least {window:,} steps, one window, but it has {len(x):,}")
    seen = np.lib.stride_tricks.sliding_window_view(x, window, axis=0)
    return Ends(np.moveaxis(seen, -1, 1), np.arange(window - 1, len(x)))


def pieces(steps: int, valid_fraction: float, test_fraction: float) -> dict[str, slice]:
    """The steps of each split, one after the other: training, validation, test.

    Raises:
        DataError: the fractions leave no step for training or validation.
    """
    counts = splitting.counted(steps, valid_fraction, test_fraction)
    ends = [steps - sum(counts), steps - counts.test]
    found = {"train": slice(0, ends[0]), "valid": slice(*ends), "test": slice(ends[1], steps)}
    return {name: piece for name, piece in found.items() if piece.start < piece.stop}


def windowed(path: str, x: Array, y: Array, parts: dict[str, slice], windows: SequenceWindows) -> Dataset:
    """The windows of every split.

    Raises:
        DataError: a split is too short for one window, or the windows would not fit in memory.
    """
    needed = sum(len(windows.starts(part.stop - part.start)) for part in parts.values()) * windows.window * x[0].nbytes
    memory.check_fits(f"{path}: its windows", needed, "A larger `stride` makes fewer")
    for name, part in parts.items():
        if not len(windows.starts(part.stop - part.start)):
            raise DataError(
                f"{path}: the {name} split must have at least {windows.window + windows.horizon:,} steps, one window "
                f"and its target, but it has {part.stop - part.start:,}"
            )
    splits = {name: windows.rows(x[part], y[part]) for name, part in parts.items()}
    return Dataset(splits["train"], splits["valid"], splits.get("test"))


def notes(path: str, steps: int, dataset: Dataset, windows: SequenceWindows) -> tuple[str, ...]:
    """What was made of a sequence, for a person."""
    megabytes = sum(split.x.nbytes for split in dataset.splits.values()) / 1e6
    return (
        f"{path}: {steps:,} steps, split in their order",
        f"windows of {windows.window:,} every {windows.stride:,}, target {windows.horizon:,} on: {megabytes:,.1f} MB",
    )
