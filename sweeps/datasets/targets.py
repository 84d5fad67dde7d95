"""What a loss makes of targets: classes numbered from 0, or numbers to regress on.

Data alone do not always say which they are: 0.0 and 1.0 can be either, and so can 1 to 5. The loss does. A loss of the
user's own says it by what a model's outputs are to it (`outputs: logits`), in the config or as an attribute.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from sweeps.datasets.canonical import Array
from sweeps.datasets.dataset import Dataset
from sweeps.errors import DataError
from sweeps.user_code import locate

OF_CLASSES = ("softmax_cross_entropy", "binary_cross_entropy")
OF_NUMBERS = ("mean_squared_error", "mean_absolute_error", "huber")
"""The built-in losses, by what targets are to them."""
CLASS_OUTPUTS = ("probabilities", "logits", "scores")
NUMBER_OUTPUTS = ("values", "counts", "log_counts")
"""What a model's outputs can be to a loss of the user's own: one for each class, or one for each number of a target."""
OUTPUTS, COUNT = "outputs", "number_of_outputs"
NO_ARGUMENTS: Mapping[str, Any] = MappingProxyType({})
FEW_CLASSES = 10
ROWS_OF_A_CLASS = 2
MOST_NAMED = 6


class SaidOutputs(NamedTuple):
    """What a loss of the user's own says of a model's outputs; None where it does not."""

    meaning: str | None
    number: int | None


def said_outputs(loss: str, arguments: Mapping[str, Any] = NO_ARGUMENTS) -> SaidOutputs:
    """What a loss says of outputs: its arguments in the config, else attributes of its function.

    Raises:
        DataError: what it says is none of `CLASS_OUTPUTS` and `NUMBER_OUTPUTS`.
    """
    if ":" not in loss:
        return SaidOutputs(None, None)
    function = None
    with contextlib.suppress(DataError):  # which is told where the loss is built
        function = locate(loss, DataError)
    meaning, count = (arguments.get(name, getattr(function, name, None)) for name in (OUTPUTS, COUNT))
    if meaning is not None and meaning not in (*CLASS_OUTPUTS, *NUMBER_OUTPUTS):
        known = ", ".join((*CLASS_OUTPUTS, *NUMBER_OUTPUTS))
        raise DataError(f"`{OUTPUTS}` of {loss} must be one of {known}, but got {meaning!r}")
    if count is not None and (type(count) is not int or count < 1):
        raise DataError(f"`{COUNT}` of {loss} must be a whole number of at least 1, but got {count!r}")
    return SaidOutputs(meaning, count)


def under(loss: str, dataset: Dataset, arguments: Mapping[str, Any] = NO_ARGUMENTS) -> Dataset:
    """The dataset with its targets as a loss with these arguments reads them; what was done to them is in its notes.

    Raises:
        DataError: words under a loss of numbers, what may be classes or not under one of classes, or `said_outputs`.
    """
    meaning = said_outputs(loss, arguments).meaning
    is_of_classes = loss in OF_CLASSES or meaning in CLASS_OUTPUTS
    if dataset.target_scaling is not None and (is_of_classes or meaning in ("counts", "log_counts")):
        of = "classes" if is_of_classes else "counts"
        raise DataError(f"scale_target is for numbers to regress on, but {loss} is for {of}. Remove it")
    if is_of_classes:
        return as_classes(dataset, loss)
    if loss in OF_NUMBERS:
        return as_numbers(dataset, loss)
    return dataset if meaning is None else _as_values(dataset, loss, meaning)


def _as_values(dataset: Dataset, loss: str, meaning: str) -> Dataset:
    """Targets as float32, also whole numbers."""
    dataset = as_numbers(dataset, loss)
    if dataset.classes is not None:
        as_floats = _mapped(dataset, lambda y: y.astype(np.float32))
        dataset = replace(as_floats, classes=None, class_names=None, labels=None)
    lowest = min(float(split.y.min()) for split in dataset.splits.values())
    if meaning != "values" and lowest < 0:
        advice = f"`{OUTPUTS}: values` is for any numbers"
        raise DataError(f"to {loss} outputs are {meaning}, but a target is {lowest:g}, which is no count. {advice}")
    return dataset


def as_classes(dataset: Dataset, loss: str) -> Dataset:
    """Labels that leave numbers out, whole numbers held as floats and one-hot rows as labels 0 … classes - 1.

    `labels` of the dataset say what these stand for. Targets that cannot be classes, and classes that are settled by
    their names or their number, stay as they are.

    Raises:
        DataError: rows of several ones, rows of probabilities, or nearly as many different numbers as rows.
    """
    if dataset.labels is not None or dataset.class_names is not None:
        return dataset
    if dataset.train.y.ndim == 2:
        is_for_rows = loss == "binary_cross_entropy" or (":" in loss and not _is_one_hot(dataset))
        return dataset if is_for_rows else _of_one_hot(dataset, loss)
    targets = np.concatenate([split.y for split in dataset.splits.values()])
    if targets.dtype.kind == "f" and not (targets == np.floor(targets)).all():
        return dataset
    found = np.unique(targets).astype(np.int64)
    is_settled = np.array_equal(found, np.arange(len(found))) or (
        loss == "binary_cross_entropy" and set(found) <= {0, 1}
    )
    if is_settled and targets.dtype.kind == "i":
        return dataset
    if len(found) == 1 and targets.dtype.kind == "f":
        return dataset  # of which nothing says that it is a class
    if len(found) > max(FEW_CLASSES, len(targets) // ROWS_OF_A_CLASS):
        raise DataError(
            f"{loss} is for classes, but the targets have {len(found):,} different numbers in {len(targets):,} rows. "
            f"Numbers to regress on need a loss such as mean_squared_error; classes are integers from 0"
        )
    note = f"targets {_some(found)}" + (" are numbers with a decimal point:" if targets.dtype.kind == "f" else ":")
    note += f" taken as {len(found):,} classes" + (
        "" if is_settled else f", numbered 0 to {len(found) - 1} to train on"
    )
    return _numbered(dataset, tuple(found.tolist()), lambda y: np.searchsorted(found, y), note)


def as_numbers(dataset: Dataset, loss: str) -> Dataset:
    """Labels that stand for numbers as these; other targets stay as they are.

    Raises:
        DataError: the targets are words.
    """
    labels = dataset.labels or ()
    if dataset.class_names is not None and (not labels or isinstance(labels[0], str)):
        way = "`outputs: logits`" if ":" in loss else "softmax_cross_entropy"
        if dataset.words is None:
            first = f"the targets are names of classes, such as {dataset.class_names[0]!r}"
            raise DataError(f"{first}, but {loss} is for numbers. Use {way}")
        first, advice = dataset.words
        advice = advice or f"{way} is for classes, and `task: regression` for a column of numbers"
        raise DataError(f"{first}, but {loss} is for numbers. {advice}")
    values = np.array(labels, np.float64)
    if np.array_equal(values, np.arange(len(values))):
        return dataset
    are_labels = bool((values == np.floor(values)).all() and (values >= 0).all())
    values = values.astype(np.int32 if are_labels else np.float32)
    classes = int(values.max()) + 1 if are_labels else None
    return replace(_mapped(dataset, lambda y: values[y]), classes=classes, class_names=None, labels=None)


def _is_one_hot(dataset: Dataset) -> bool:
    """Whether every row of the targets is a 1 among zeros."""
    rows = [split.y for split in dataset.splits.values()]
    return all(((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all() for y in rows)


def _of_one_hot(dataset: Dataset, loss: str) -> Dataset:
    """Rows of one 1 and zeros as the place of that 1."""
    for name, split in dataset.splits.items():
        sums = split.y.sum(axis=1)
        if not (split.y >= 0).all() or (sums == 0).any():
            return dataset
        if ((split.y == 0) | (split.y == 1)).all():
            if (sums != 1).any():
                row = int(np.argmax(sums != 1))
                several = f"row {row:,} of {name} has {sums[row]:.0f} ones"
                advice = "binary_cross_entropy takes each output for a yes or no of its own"
                raise DataError(f"{loss} is for one class a row, but {several} (rows count from 0). {advice}")
        elif np.allclose(sums, 1, atol=1e-4):
            got = "rows of probabilities. Give the most probable class of each, `y.argmax(axis=1)`"
            raise DataError(f"{loss} is for one class a row, but the targets are {got}")
        else:
            return dataset
    classes = dataset.target_width
    note = f"targets are one-hot rows: taken as {classes:,} classes, 0 to {classes - 1}"
    return _numbered(dataset, tuple(range(classes)), lambda y: y.argmax(axis=1), note)


def _numbered(dataset: Dataset, labels: tuple[int, ...], number: Callable[[Array], Array], note: str) -> Dataset:
    """The dataset with `number` of its targets as labels, which stand for `labels`."""
    return replace(
        _mapped(dataset, lambda y: number(y).astype(np.int32)),
        classes=len(labels),
        class_names=tuple(map(str, labels)),
        labels=labels,
        notes=(*dataset.notes, note),
    )


def _mapped(dataset: Dataset, make: Callable[[Array], Array]) -> Dataset:
    """The dataset with other targets in each split."""
    made = {name: split._replace(y=make(split.y)) for name, split in dataset.splits.items()}
    return replace(dataset, train=made["train"], valid=made["valid"], test=made.get("test"))


def _some(found: Array) -> str:
    named = ", ".join(map(str, found[:MOST_NAMED].tolist()))
    return named if len(found) <= MOST_NAMED else f"{named}, … {found[-1]}"
