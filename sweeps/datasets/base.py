"""The one shape that every dataset takes: three splits of NumPy arrays in their storage type.

The rule: nothing here is scaled or copied to another dtype if it can stay as it is. `scale` and `shift` say what
the compiled program does to `x` on the device, so that uint8 images stay uint8 in memory. `checked` is the one place
for shapes and dtypes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from sweeps.datasets import splitting
from sweeps.datasets.canonical import Array, canonical
from sweeps.errors import DataError


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
    as it is. Integer `y` are class labels `0 … classes - 1`; float32 `y` are values to regress on. `class_names` are
    what the labels stand for, in their order. `preprocessing` is how `x` was made of something else, as plain JSON, so
    that the same can be done to new rows (`datasets.columns.apply` does it to those of tables). `notes` say for a
    person what was found and done, a line each.
    """

    train: Split
    valid: Split
    test: Split | None = None
    scale: float = 1.0
    shift: float = 0.0
    classes: int | None = None
    class_names: tuple[str, ...] | None = None
    preprocessing: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()

    @property
    def input_shape(self) -> tuple[int, ...]:
        return tuple(self.train.x.shape[1:])

    @property
    def input_dtype(self) -> Any:
        """What a model sees: int32 (tokens) as it is, everything else as float32."""
        return np.int32 if self.train.x.dtype == np.int32 else np.float32

    @property
    def target_width(self) -> int:
        """How many numbers a regression target has."""
        return 1 if self.train.y.ndim == 1 else int(np.prod(self.train.y.shape[1:]))

    @property
    def splits(self) -> dict[str, Split]:
        named = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: split for name, split in named.items() if split is not None}


def checked(dataset: Dataset) -> Dataset:
    """The dataset with its dtypes made canonical, its classes counted and its splits found consistent.

    uint8 `x` whose `scale` is left at 1 are taken for images, and get 1/255.

    Raises:
        DataError: a split is empty, `x` and `y` differ in rows, shapes or kinds differ between splits, a value is not
            finite or does not fit its type, a label is not one of the classes, classes and their names differ in
            number.
    """
    splits = {name: Split(*canonical(f"{name} ", *_pair(name, split))) for name, split in dataset.splits.items()}
    for part in ("x", "y"):
        _check_alike(part, {name: getattr(split, part) for name, split in splits.items()})
    scale, shift = (splitting.number(name, getattr(dataset, name)) for name in ("scale", "shift"))
    if splits["train"].x.dtype == np.uint8 and scale == 1.0:
        scale = 1 / 255
    classes = _classes(splits, _wanted_classes(dataset))
    return replace(
        dataset,
        train=splits["train"],
        valid=splits["valid"],
        test=splits.get("test"),
        scale=scale,
        shift=shift,
        classes=classes,
    )


def from_arrays(
    x: Any,
    y: Any,
    *,
    valid_fraction: float,
    test_fraction: float = 0.0,
    stratify: bool = False,
    seed: int = 0,
) -> Dataset:
    """Rows of two arrays shuffled by `seed` and cut into test, validation and training splits, in that order.

    With `stratify`, every class has its share of each split.

    Raises:
        DataError: the arrays are not what `checked` takes, the fractions leave no row for training or validation, or
            there are no classes to stratify by.
    """
    x, y = canonical("", x, y)
    counts = splitting.counted(len(x), valid_fraction, test_fraction)
    if not isinstance(stratify, bool):
        raise DataError(f"stratify must be true or false, but got {stratify!r}")
    if stratify:
        splitting.check_classes(y)
    parts = splitting.stratified(y, counts, seed) if stratify else splitting.at_random(len(x), counts, seed)
    return of_parts(x, y, parts)


def from_splits(given: Mapping[str, tuple[Array, Array]], **splitting_as: Any) -> Dataset:
    """Splits as somebody made them, `train` and any of `valid` and `test`; what is not there is cut off training rows.

    `splitting_as` are the arguments of `from_arrays`.

    Raises:
        DataError: as `from_arrays`, and where rows are to be cut off for a test though there is a test split.
    """
    fractions = {**splitting_as}
    if "test" in given and fractions.pop("test_fraction", 0):
        raise DataError("test_fraction is for data without a test split, but these have one")
    if "valid" in given:
        test = Split(*given["test"]) if "test" in given else None
        return Dataset(Split(*given["train"]), Split(*given["valid"]), test)
    cut = from_arrays(*given["train"], **fractions)
    return replace(cut, test=Split(*given["test"])) if "test" in given else cut


def of_parts(x: Array, y: Array, parts: splitting.Parts) -> Dataset:
    """The rows of `x` and `y` in their splits; no test split where it has no rows."""
    train, valid, test = (Split(x[rows], y[rows]) for rows in parts)
    return Dataset(train=train, valid=valid, test=test if test.rows else None)


def _pair(name: str, split: Any) -> tuple[Any, Any]:
    if not (isinstance(split, tuple) and len(split) == 2):
        raise DataError(f"the {name} split must be a Split or a pair (x, y), but got {type(split).__name__}")
    return split[0], split[1]


def _check_alike(part: str, arrays: dict[str, Array]) -> None:
    """One model reads every split, so their rows must have one shape and one dtype."""
    kinds = {name: f"{array.dtype} of shape {array.shape[1:]}" for name, array in arrays.items()}
    if len(set(kinds.values())) > 1:
        got = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
        raise DataError(f"the {part} of every split must have rows of one shape and dtype, but got {got}")


def _wanted_classes(dataset: Dataset) -> int | None:
    """How many classes there are to be, by their number or their names."""
    names = dataset.class_names
    if names is None or dataset.classes in (None, len(names)):
        return dataset.classes if names is None else len(names)
    raise DataError(f"there must be a name for each class, but there are {dataset.classes} and {len(names)} names")


def _classes(splits: dict[str, Split], given: int | None) -> int | None:
    """How many classes there are; None where targets are values to regress on."""
    labels = [split.y for split in splits.values() if split.y.dtype == np.int32]
    if not labels:
        if given is not None:
            raise DataError(f"classes={given} is for targets that are whole numbers, but they are float32")
        return None
    lowest, highest = min(int(y.min()) for y in labels), max(int(y.max()) for y in labels)
    classes = highest + 1 if given is None else int(given)
    if lowest < 0 or highest >= classes:
        allowed = f"0 … {classes - 1}" if classes > highest else f"0 … {classes - 1}, as classes={classes} says"
        raise DataError(
            f"targets that are whole numbers are class labels and must be {allowed if lowest >= 0 else 'at least 0'}, "
            f"but got {lowest} … {highest}. Values to regress on must be floats"
        )
    return classes
