"""A weight for every training row: as given for rows, for classes, or both.

The program multiplies a row's loss by its weight; validation and test rows have none. All of it is done once, on the
host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sweeps.datasets.canonical import Array
from sweeps.datasets.dataset import Dataset, checked_weights
from sweeps.datasets.splitting import number
from sweeps.errors import DataError

BALANCED = "balanced"
MOST_TOLD = 6


def weighted(dataset: Dataset, class_weight: Any) -> Dataset:
    """The dataset with the weight of its class multiplied into each training row's weight (1 where it has none).

    `class_weight` is `balanced`, or weights by class: a mapping, or pairs as a config holds it. Classes are called by
    their names, or their labels where they have none; a class that is not listed weighs 1.

    Raises:
        DataError: targets are no classes, there is no such class, a weight is not finite or negative, or all are 0.
    """
    labels = dataset.train.y
    if dataset.classes is None:
        raise DataError("class_weight is for targets that are classes, but these are numbers to regress on")
    if class_weight == BALANCED:
        by_class = balanced(labels, dataset.classes)
    else:
        by_class = _listed(_pairs(class_weight), _names(dataset))
    rows = by_class[labels] if dataset.weights is None else by_class[labels] * dataset.weights
    weights = checked_weights(rows, dataset.train.rows)
    return replace(dataset, weights=weights, notes=(*dataset.notes, _note(by_class, _names(dataset))))


def balanced(labels: Array, classes: int) -> Array:
    """Rows / (classes * rows of the class), f64 `[classes]`, so that every class weighs as much as any other.

    Classes that no row has are not counted, and weigh 0. This is `class_weight="balanced"` of scikit-learn, after King
    and Zeng, "Logistic Regression in Rare Events Data" (2001).

    >>> balanced(np.array([0, 0, 0, 1]), 2).round(4).tolist()
    [0.6667, 2.0]
    """
    counts = np.bincount(labels, minlength=classes)
    shares = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    weights: Array = np.where(counts, shares, 0.0)
    return weights


def _pairs(given: Any) -> list[tuple[str, Any]]:
    """Weights by the name of a class, in the order that they were given in."""
    pairs = list(given.items()) if isinstance(given, Mapping) else given
    is_listed = isinstance(pairs, Sequence) and not isinstance(pairs, str) and len(pairs) > 0
    if not is_listed or not all(isinstance(pair, Sequence) and len(pair) == 2 for pair in pairs):
        rule = "class_weight must be `balanced`, or weights by class such as {0: 1.0, 1: 5.0}"
        raise DataError(f"{rule}, but got {given!r}")
    return [(str(name), weight) for name, weight in pairs]


def _listed(pairs: Sequence[tuple[str, Any]], names: Sequence[str]) -> Array:
    weights = np.ones(len(names))
    for name, weight in pairs:
        if name not in names:
            known = ", ".join(names[:MOST_TOLD]) + (", …" if len(names) > MOST_TOLD else "")
            raise DataError(f"class_weight: there is no class {name!r}; the {len(names):,} classes are {known}")
        weights[names.index(name)] = number(f"class_weight of {name!r}", weight)
    if weights.min() < 0:
        raise DataError(
            f"class_weight of {names[int(weights.argmin())]!r} must be at least 0, but got {weights.min():g}"
        )
    return weights


def _names(dataset: Dataset) -> Sequence[str]:
    return dataset.class_names or tuple(map(str, range(dataset.classes or 0)))


def _note(by_class: Array, names: Sequence[str]) -> str:
    told = ", ".join(f"{name} {weight:.4g}" for name, weight in list(zip(names, by_class, strict=True))[:MOST_TOLD])
    return f"weights of classes: {told}" + (", …" if len(names) > MOST_TOLD else "")
