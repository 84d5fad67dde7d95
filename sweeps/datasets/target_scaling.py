"""Targets to regress on, less their mean and divided by their deviation. The rule: training rows alone say by what.

A model learns, and losses and metrics are measured, in deviations from the mean; what the best model predicts of new
rows is in the units that the targets came in.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sweeps.datasets.canonical import Array
from sweeps.datasets.dataset import Dataset, Split, TargetScaling
from sweeps.errors import DataError

MOST_TOLD = 3


def scaled(dataset: Dataset, wanted: object) -> Dataset:
    """The dataset with each of its targets `(y - center) / spread`, if `wanted`; `target_scaling` says by what.

    Raises:
        DataError: `wanted` is neither true nor false, or targets are classes.
    """
    if not isinstance(wanted, bool):
        raise DataError(f"scale_target must be true or false, but got {wanted!r}")
    if not wanted:
        return dataset
    if dataset.classes is not None:
        raise DataError("scale_target is for numbers to regress on, but these targets are classes. Remove it")
    values = dataset.train.y.astype(np.float64)
    center, spread = values.mean(axis=0), values.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)

    def of(split: Split) -> Split:
        y: Array = ((split.y.astype(np.float64) - center) / spread).astype(np.float32)
        return split._replace(y=y)

    scaling = TargetScaling(*(tuple(map(float, np.atleast_1d(each))) for each in (center, spread)))
    told = ", ".join(
        f"mean {mean:.4g} and deviation {by:.4g}" for mean, by in list(zip(*scaling, strict=True))[:MOST_TOLD]
    )
    more = ", …" if len(scaling.center) > MOST_TOLD else ""
    return replace(
        dataset,
        train=of(dataset.train),
        valid=of(dataset.valid),
        test=None if dataset.test is None else of(dataset.test),
        target_scaling=scaling,
        notes=(*dataset.notes, f"targets scaled by those that train: {told}{more}"),
    )
