"""What `sweep check` says of a sweep's data: what was found, and what was done to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sweeps.datasets.canonical import Array
from sweeps.datasets.dataset import Dataset

MOST_NAMES = 6
MOST_NOTES = 12
MOST_FEATURES = 60


def facts(use: str, dataset: Dataset) -> list[tuple[str, str]]:
    """A dataset as rows of a name and a text."""
    shape = " x ".join(map(str, dataset.input_shape))
    rows = ", ".join(f"{split.rows:,} {name}" for name, split in dataset.splits.items())
    classes = f", {dataset.classes} classes" if dataset.classes else ""
    return [
        ("data", f"{use}: {rows} rows of {shape} {dataset.train.x.dtype}{classes}"),
        *([("  features", features(columns))] if (columns := (dataset.preprocessing or {}).get("columns")) else []),
        ("  inputs", inputs(dataset)),
        ("  targets", classes_found(dataset) if dataset.classes else values_found(dataset)),
        *([("  weights", weights_found(dataset.weights))] if dataset.weights is not None else []),
        *(("", note) for note in some(dataset.notes)),
    ]


def some(notes: Sequence[str]) -> list[str]:
    """The notes, or the first of them and how many there are more."""
    more = len(notes) - MOST_NOTES
    return [*notes[:MOST_NOTES], *([f"and {more:,} more like these"] if more > 0 else [])]


def features(columns: Sequence[Mapping[str, Any]]) -> str:
    """The columns of a table that a model reads, by name; how many categories each has that holds some."""
    names = [
        shown(each["name"]) + (f" ({len(each['categories']):,} categories)" if each["kind"] != "number" else "")
        for each in columns
    ]
    more = len(names) - MOST_FEATURES
    return ", ".join(names[:MOST_FEATURES]) + (f", and {more:,} more to {names[-1]}" if more > 0 else "")


def inputs(dataset: Dataset) -> str:
    """The range of the training rows, and what a model sees of it."""
    low, high = (float(end(dataset.train.x)) for end in (np.min, np.max))
    if dataset.input_dtype == np.int32:
        return f"whole numbers, {low:,.0f} to {high:,.0f}"
    text = f"{low:.4g} to {high:.4g}"
    if (dataset.scale, dataset.offset) == (1, 0):
        return text
    assert dataset.scale is not None, "the dataset has been checked"
    seen = sorted(end * dataset.scale + dataset.offset for end in (low, high))
    return f"{text}, which the model sees as {seen[0]:.4g} to {seen[1]:.4g}"


def classes_found(dataset: Dataset) -> str:
    """Names of classes, and how many training rows the rarest and the most frequent have."""
    assert dataset.classes is not None
    names = [shown(name) for name in dataset.class_names or map(str, range(dataset.classes))]
    counts = np.bincount(dataset.train.y, minlength=dataset.classes)
    few, many = int(counts.argmin()), int(counts.argmax())
    some = ", ".join(names[:MOST_NAMES]) + (f", … {names[-1]}" if len(names) > MOST_NAMES else "")
    return f"{some}; {counts[few]:,} ({names[few]}) to {counts[many]:,} ({names[many]}) training rows of each"


def values_found(dataset: Dataset) -> str:
    """The range of the values to regress on, and the error of a model that always says their mean."""
    values = dataset.train.y.astype(np.float64)
    width = "" if values.ndim == 1 else f"{values.shape[1]:,} numbers, "
    spread = float(np.square(values - values.mean(axis=0)).mean())
    return f"{width}{values.min():.4g} to {values.max():.4g}, mean squared distance from the mean {spread:.4g}"


def weights_found(weights: Array) -> str:
    """The range of the training rows' weights, and what they come to."""
    none = int((weights == 0).sum())
    mean = float(weights.mean(dtype=np.float64))
    more = f"; {none:,} rows weigh nothing" if none else ""
    return f"{weights.min():.4g} to {weights.max():.4g} a training row, mean {mean:.4g}{more}"


def shown(name: str) -> str:
    """A class's name, in quotes where it would not be seen.

    >>> shown("cat"), shown(" "), shown(",")
    ('cat', "' '", "','")
    """
    is_plain = name.isprintable() and name.strip() == name and name and "," not in name
    return name if is_plain else repr(name)
