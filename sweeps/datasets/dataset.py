"""The one shape that every dataset takes: three splits of NumPy arrays in their storage type.

`scale` and `offset` say what the compiled program does to `x` on the device, so that uint8 images stay uint8 in memory.
`checked` is the one place for shapes and dtypes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from sweeps.datasets import aligned, splitting
from sweeps.datasets.canonical import Array, canonical, narrowed
from sweeps.errors import DataError

MOST_TARGETS = 3  # whose scaling is in the notes


class Split(NamedTuple):
    """Rows of one split: `x` of shape `[rows, *input_shape]` and `y` of shape `[rows]` or `[rows, outputs]`."""

    x: Array
    y: Array

    @property
    def rows(self) -> int:
        return len(self.x)


class Words(NamedTuple):
    """Targets that are words: where the first of them stands, and what makes numbers of them, "" if nothing does."""

    first: str
    advice: str


class TargetScaling(NamedTuple):
    """What was done to each of a row's targets: `(y - center) / spread`; a number for each of them."""

    center: tuple[float, ...]
    spread: tuple[float, ...]


@dataclass(frozen=True)
class Dataset:
    """Training, validation and (optional) test rows, and how the program reads them.

    `x` is uint8, int32 (tokens) or float32; a model sees `x * scale + offset` in float32, except that int32 reaches it
    as it is (`checked` makes float32 of one that has a scale). A `scale` of None is 1/255 for images and 1 for all
    else. Integer `y` are class labels `0 … classes - 1`; float32 `y` are values to regress on. `weights`, float32
    `[training rows]`, multiply each training row's loss where they are given. `class_names` are what the labels stand
    for, in their order, and `labels` the same in the type that the data have (the names, or 0 … classes - 1, where they
    are not given); `words` is for targets that came as words. `preprocessing` is how `x` was made of something else, as
    plain JSON, so that the same can be done to new rows (`datasets.columns.apply` does it to those of tables). `notes`
    say for a person what was found and done, a line each, and `doubts` what may be a mistake. Where there is a
    `target_scaling`, it has been done to `y`.
    """

    train: Split
    valid: Split
    test: Split | None = None
    scale: float | None = None
    offset: float = 0.0
    classes: int | None = None
    class_names: tuple[str, ...] | None = None
    labels: tuple[str | int | float | bool, ...] | None = None
    words: Words | None = None
    preprocessing: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    weights: Array | None = None
    target_scaling: TargetScaling | None = None

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


def checked(dataset: Dataset, *, scale_target: object = False) -> Dataset:
    """The dataset with its dtypes made canonical, its classes counted and its splits found consistent.

    With `scale_target`, each of its targets is `(y - center) / spread`, by the training rows; `target_scaling` says by
    what. That is done before targets become float32, which could not tell large numbers apart that are close together.

    A `scale` that is not given is 1/255 for images, which are uint8 `[rows, height, width]` or with channels, and 1 for
    all else. int32 `x` with a `scale` or an `offset` become float32, so that it is done.

    Raises:
        DataError: a split is empty, `x` and `y` differ in rows, shapes or kinds differ between splits, a value is not
            finite or does not fit its type, a label is not one of the classes, classes and their names differ in
            number, weights are not what `checked_weights` takes, `scale_target` is for classes.
    """
    wide = {name: Split(*canonical(f"{name} ", *_pair(name, split))) for name, split in dataset.splits.items()}
    splits = {name: Split(split.x, narrowed(split.y)) for name, split in wide.items()}
    for part in ("x", "y"):
        _check_alike(part, {name: getattr(split, part) for name, split in splits.items()})
    scale = splitting.number("scale", _default_scale(splits["train"].x) if dataset.scale is None else dataset.scale)
    offset = splitting.number("offset", dataset.offset)
    if splits["train"].x.dtype == np.int32 and (scale, offset) != (1, 0):  # amounts, for tokens have no scale
        splits = {name: Split(split.x.astype(np.float32), split.y) for name, split in splits.items()}
    wanted = _wanted_classes(dataset)
    classes = _classes(splits, wanted)
    scaling = _scaling(wide["train"].y, classes, scale_target)
    if scaling is not None:
        splits = {name: Split(split.x, _scaled(split.y, scaling)) for name, split in wide.items()}
        dataset = replace(dataset, target_scaling=scaling, notes=(*dataset.notes, _scaling_note(scaling)))
    if dataset.labels is None and dataset.class_names is None and wanted is not None:
        dataset = replace(dataset, labels=tuple(range(wanted)))  # as many as were asked for, whichever have rows
    return replace(
        dataset,
        train=splits["train"],
        valid=splits["valid"],
        test=splits.get("test"),
        scale=scale,
        offset=offset,
        classes=classes,
        weights=None if dataset.weights is None else checked_weights(dataset.weights, splits["train"].rows),
    )


def checked_weights(weights: Any, rows: int, of: str = "training row") -> Array:
    """The weights of `rows` rows as float32 `[rows]`.

    Raises:
        DataError: they are not one number for each row, one is not finite or below 0, or all are 0.
    """
    found = np.asarray(weights)
    if found.dtype.kind not in "biuf" or found.shape != (rows,):
        got = f"{found.dtype} of shape {found.shape}"
        raise DataError(f"weights must be a number for each {of}, shape ({rows},), but got {got}")
    with np.errstate(over="ignore"):
        narrowed = np.ascontiguousarray(found.astype(np.float32, copy=False))
    are_right = np.isfinite(narrowed) & (narrowed >= 0)
    if not are_right.all():
        row = int(np.argmin(are_right))
        raise DataError(f"weights must be finite and at least 0, but row {row:,} has {found[row]} (rows count from 0)")
    if not narrowed.any():
        raise DataError(f"weights must not all be 0, but those of all {rows:,} rows are")
    return narrowed


def from_arrays(  # noqa: PLR0913  (the last four are keys of a config)
    x: Any,
    y: Any,
    weights: Any = None,
    *,
    valid_fraction: float | None,
    test_fraction: float = 0.0,
    stratify: bool = False,
    seed: int = 0,
) -> Dataset:
    """Rows of two arrays shuffled by `seed` and cut into test, validation and training splits, in that order.

    With `stratify`, every class has its share of each split. `weights` of shape `[rows]` go with their rows.

    Raises:
        DataError: the arrays are not what `checked` takes, the fractions leave no row for training or validation, or
            there are no classes to stratify by.
    """
    x, y = canonical("", x, y)
    counts = splitting.counted(len(x), valid_fraction, test_fraction)
    if not isinstance(stratify, bool):
        raise DataError(f"stratify must be true or false, but got {stratify!r}")
    parts = (
        splitting.stratified(splitting.classes_of(y), counts, seed)
        if stratify
        else splitting.at_random(len(x), counts, seed)
    )
    return of_parts(x, y, parts, None if weights is None else checked_weights(weights, len(x), "row"))


def from_splits(
    given: Mapping[str, tuple[Array, Array]], weights: Array | None = None, /, **splitting_as: Any
) -> Dataset:
    """Splits that were made already, `train` and any of `valid` and `test`; what is not there is cut off training rows.

    `weights` are those of the rows under `train`, `splitting_as` the arguments of `from_arrays`.

    Raises:
        DataError: as `from_arrays`, and where a fraction is given for a split that is there, or nothing is left to
            `stratify`.
    """
    for name in ("valid", "test"):
        if name in given and splitting_as.get(f"{name}_fraction"):
            raise DataError(f"{name}_fraction is for data without a {name} split, but these have one. Remove it")
    ready = {name: Split(*pair) for name, pair in given.items()}
    if "valid" not in given:
        cut = from_arrays(*given["train"], weights, **splitting_as)
        return replace(cut, test=ready.get("test", cut.test))
    if splitting_as.get("test_fraction"):  # the rows that validation would be cut off as are the test
        wanted = {**splitting_as, "valid_fraction": splitting_as["test_fraction"], "test_fraction": 0.0}
        cut = from_arrays(*given["train"], weights, **wanted)
        return replace(cut, valid=ready["valid"], test=cut.valid)
    if splitting_as.get("stratify"):
        raise DataError("stratify is for rows that are split at random, but these are split already. Remove it")
    return Dataset(ready["train"], ready["valid"], ready.get("test"), weights=weights)


def of_parts(x: Array, y: Array, parts: splitting.Parts, weights: Array | None = None) -> Dataset:
    """The rows of `x` and `y` in their splits; no test split where it has no rows. `weights` are of all rows."""
    train, valid, test = (Split(aligned.take(x, rows), aligned.take(y, rows)) for rows in parts)
    of_training = None if weights is None else weights[parts.train]
    return Dataset(train=train, valid=valid, test=test if test.rows else None, weights=of_training)


def _default_scale(x: Array) -> float:
    """From bytes to 0 … 1 for images, and none for other rows."""
    return 1 / 255 if x.dtype == np.uint8 and x.ndim in (3, 4) else 1.0


def _scaling(targets: Array, classes: int | None, is_wanted: object) -> TargetScaling | None:
    """The mean and deviation of the training rows' targets, `[rows]` or `[rows, outputs]`, where that is wanted."""
    if not isinstance(is_wanted, bool):
        raise DataError(f"scale_target must be true or false, but got {is_wanted!r}")
    if not is_wanted:
        return None
    if classes is not None:
        advice = "If they are numbers, say `task: regression` of a table, or give floats in an array; else remove it"
        raise DataError(f"scale_target is for numbers to regress on, but these targets are classes. {advice}")
    values = targets.astype(np.float64)
    are_constant = values.max(axis=0) == values.min(axis=0)
    center = np.where(are_constant, values[0], values.mean(axis=0))  # a mean may be off by a rounding
    spread = np.where(are_constant, 1.0, values.std(axis=0))
    return TargetScaling(*(tuple(map(float, np.atleast_1d(each))) for each in (center, spread)))


def _scaled(targets: Array, scaling: TargetScaling) -> Array:
    center, spread = (np.array(each) if targets.ndim == 2 else each[0] for each in scaling)
    scaled: Array = ((targets.astype(np.float64) - center) / spread).astype(np.float32)
    return scaled


def _scaling_note(scaling: TargetScaling) -> str:
    pairs = list(zip(*scaling, strict=True))
    told = ", ".join(f"mean {mean:.4g} and deviation {by:.4g}" for mean, by in pairs[:MOST_TARGETS])
    return f"targets scaled by those that train: {told}{', …' if len(pairs) > MOST_TARGETS else ''}"


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
