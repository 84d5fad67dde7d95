"""What a careful colleague would say of a dataset: a line each, of what may be right and often is not.

Nothing here is an error. Each look takes a bounded time: where there are many rows it is at a sample of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from sweeps.datasets.canonical import Array
from sweeps.datasets.dataset import Dataset, Split

MOST_NAMED = 3
SAMPLED_CELLS = 2_000_000
FEWEST_ROWS, MOST_ROWS = 100, 2_000
"""Of a sample, in which columns are found that are then looked at in all rows."""
LOOKED_AT_BYTES = 128_000_000
FEW_ROWS = 30
"""Fewer do not show that a column numbers them, or predicts the target alone."""
FAR = 30
"""So many times the distance between the quartiles from the median is far outside: 40 deviations of a bell curve."""
FEW_FAR = 0.01
LARGE, MOST_SIZED = 100, 100_000
"""So large targets take a network most of its training to come near; of so many the first are looked at."""
MOST_CANDIDATES = 20
ROWS_OF_A_VALUE = 5
TRIVIAL = 0.9999
"""From this correlation on a column is the target in other units."""


def doubts(dataset: Dataset) -> list[str]:
    """The lines, those of the loader first."""
    return [*dataset.doubts, *_of_columns(dataset), *_of_targets(dataset), *_of_equal_rows(dataset)]


def _of_columns(dataset: Dataset) -> Iterator[str]:
    """Of rows of numbers: columns that are constant, number the rows, say the target alone, or have cells far out."""
    splits = [_looked_at(split) for split in dataset.splits.values()]
    x, y = splits[0]
    if x.ndim == 2 and x.dtype != np.int32 and len(x) >= FEW_ROWS:
        columns = Columns(dataset)
        is_constant = x.min(axis=0) == x.max(axis=0)
        if is_constant.any():
            constant = np.flatnonzero(is_constant)
            yield f"{columns.named(constant)} the same in every row that trains, so that nothing is learnt from it"
        if numbering := _numbering([split.x for split in splits]):
            told = "numbers the rows: each has a number of its own, in equal steps"
            yield f"{columns.named(numbering, told)}. `drop` it unless it was measured"
        if telling := _telling(x, y, columns, dataset.classes):
            told = columns.named(telling, "says the target by itself", of_table=True)
            yield f"{told}. Is that known before what it predicts?"
        yield from _far_out(x, columns.named, columns.in_units)
    if dataset.classes is None and y.ndim == 1 and len(y) >= FEW_ROWS and dataset.target_scaling is None:
        yield from _far_out(y[:, None], lambda _, does: f"the target {does}", lambda _, value: value)


def _looked_at(split: Split) -> Split:
    """The first rows, as many as are looked at."""
    rows = max(FEWEST_ROWS, LOOKED_AT_BYTES * split.rows // max(1, split.x.nbytes))
    return Split(split.x[:rows], split.y[:rows])


def _sample(x: Array) -> Array:
    """Numbers of rows, spread evenly, so many that a look at their columns is quick: i64 `[sampled]`."""
    size = int(np.clip(SAMPLED_CELLS // x.shape[1], FEWEST_ROWS, MOST_ROWS))
    return np.linspace(0, len(x) - 1, min(size, len(x))).astype(np.int64)


class Columns:
    """The columns of a dataset's rows by name; those of one-hot categories belong together."""

    def __init__(self, dataset: Dataset) -> None:
        known: Sequence[Mapping[str, Any]] = (dataset.preprocessing or {}).get("columns") or ()
        self.names: list[str] = []
        self.origins: list[Mapping[str, Any]] = []
        for column in known:
            each = [f"{column['name']}={name}" for name in column["categories"]] if column["kind"] == "one_hot" else []
            self.names += each or [column["name"]]
            self.origins += [column] * len(each or [0])
        width = dataset.train.x.shape[1]
        if len(self.names) != width:
            self.names, self.origins = [f"{place:,} (from 0)" for place in range(width)], []

    def named(self, places: Sequence[int] | Array, does: str = "is", *, of_table: bool = False) -> str:
        """Some columns by name, or the table's that they come of, and what they do."""
        names = [self.origins[place]["name"] if of_table and self.origins else self.names[place] for place in places]
        first = ", ".join(repr(name) if self.origins else name for name in names[:MOST_NAMED])
        if len(places) == 1:
            return f"column {first} {does}"
        more = f" and {len(places) - MOST_NAMED:,} more" if len(places) > MOST_NAMED else ""
        verb, _, rest = does.partition(" ")
        plural = {"is": "are", "numbers": "number", "says": "say", "has": "have"}[verb]
        return f"columns {first}{more} {plural}{' ' if rest else ''}{rest.replace('itself', 'themselves')}"

    def in_units(self, place: int, value: float) -> float:
        """A cell as it was before it was standardized."""
        origin = self.origins[place] if self.origins else None
        return value if origin is None or origin["kind"] == "one_hot" else value * origin["spread"] + origin["center"]

    def groups(self) -> list[list[int]]:
        """The places of columns that come of one column of the table."""
        if not self.origins:
            return [[place] for place in range(len(self.names))]
        found: dict[str, list[int]] = {}
        for place, origin in enumerate(self.origins):
            found.setdefault(origin["name"], []).append(place)
        return list(found.values())


def _numbering(parts: Sequence[Array]) -> list[int]:
    """Columns whose cells in all splits are different and in equal steps, as those of a row number are."""
    rows = sum(map(len, parts))
    low = np.min([part.min(axis=0) for part in parts], axis=0).astype(np.float64)
    high = np.max([part.max(axis=0) for part in parts], axis=0).astype(np.float64)
    step = np.where(high > low, (high - low) / (rows - 1), 1.0)
    first = np.sort(parts[0][:FEW_ROWS].astype(np.float64), axis=0)
    likely = np.flatnonzero(_are_in_steps(first, low, step) & (high > low))
    found = []
    for place in likely[:MOST_CANDIDATES]:
        every = np.sort(np.concatenate([part[:, place] for part in parts]).astype(np.float64))
        found += [int(place)] if _are_in_steps(every[:, None], low[place], step[place]).all() else []
    return found


def _are_in_steps(cells: Array, low: Array, step: Array) -> Array:
    """Of sorted columns, `[rows, columns]`, whether all cells are different multiples of a step: bool `[columns]`."""
    places = (cells - low) / step
    are_whole = (np.abs(places - np.round(places)) < 0.1).all(axis=0)
    return np.asarray(are_whole & (np.diff(places, axis=0) > 0.5).all(axis=0))


def _telling(x: Array, y: Array, columns: Columns, classes: int | None) -> list[int]:
    """Columns of which each alone says the target; of one-hot ones the first. None where there is but one."""
    groups = columns.groups()
    if len(groups) < 2 or y.ndim != 1 or (y == y[0]).all():
        return []
    rows = _sample(x)
    likely = _say(x[rows], y[rows], classes)
    wanted = [group for group in groups if len(group) > 1 or likely[group[0]]]
    found = []
    for group in wanted[:MOST_CANDIDATES]:
        cells = x[:, group] if len(group) == 1 else x[:, group].argmax(axis=1)[:, None]
        found += [group[0]] if _say(cells, y, classes)[0] else []
    return found


def _say(cells: Array, y: Array, classes: int | None) -> Array:
    """Whether the target follows from a column, bool `[columns]`: classes in as many intervals, or on a line.

    A class for each of a few values is right too.
    """
    if classes is None:
        centered, target = cells - cells.mean(axis=0), y - y.mean()
        size = np.sqrt(np.square(centered).sum(axis=0) * np.square(target).sum())
        found: Array = np.abs(target @ centered) > TRIVIAL * np.where(size > 0, size, np.inf)
        return found
    order = np.argsort(cells, axis=0, kind="stable")
    is_new_value = np.diff(np.take_along_axis(cells, order, axis=0), axis=0) != 0
    is_new_label = np.diff(y[order], axis=0) != 0
    values, labels = is_new_value.sum(axis=0) + 1, is_new_label.sum(axis=0) + 1
    are_few = (values * ROWS_OF_A_VALUE <= len(y)) | (labels == len(np.unique(y)))
    follows: Array = are_few & ~(is_new_label & ~is_new_value).any(axis=0)
    return follows


def _far_out(x: Array, named: Callable[..., str], in_units: Callable[[int, float], float]) -> Iterator[str]:
    """Columns with a few cells far outside the rest."""
    first, middle, third = np.quantile(x[_sample(x)].astype(np.float64), (0.25, 0.5, 0.75), axis=0)
    limit = FAR * (third - first)
    is_far = np.maximum(x.max(axis=0) - middle, middle - x.min(axis=0)) > limit
    for place in np.flatnonzero((limit > 0) & is_far)[:MOST_NAMED]:
        away = np.abs(x[:, place] - middle[place])
        count, cell = int((away > limit[place]).sum()), float(x[int(away.argmax()), place])
        if count <= max(1, FEW_FAR * len(x)):
            furthest, *half = (in_units(place, float(each)) for each in (cell, first[place], third[place]))
            told = f"has {'1 row' if count == 1 else f'{count:,} rows'} far outside the rest, such as {furthest:.6g}"
            yield f"{named([place], told)}; half of all lie from {half[0]:.4g} to {half[1]:.4g}"


def _of_targets(dataset: Dataset) -> Iterator[str]:
    """Targets that seem to be inputs, or are all one, and classes that a split has no rows of."""
    x, targets = dataset.train
    if x.shape[1:] == (1,) and targets.ndim == 2 and _are_labels(x):
        width = targets.shape[1]
        yield f"x is one column of whole numbers, and y has {width:,} columns: are they the wrong way round?"
    if len(targets) > 1 and (targets == targets[0]).all():
        yield "the target is the same in every row that trains, so that nothing is learnt from it"
    if dataset.classes is None:
        size = float(np.abs(targets[:MOST_SIZED]).mean(dtype=np.float64)) if len(targets) else 0.0
        if dataset.target_scaling is None and size > LARGE:
            advice = "`scale_target: true`" if dataset.preprocessing else "divide them"
            yield f"targets are numbers of about {size:.3g}, and a new network begins near 0, far away: {advice}"
        return
    names = dataset.class_names or tuple(map(str, range(dataset.classes)))
    for split, (_, y) in dataset.splits.items():
        counts = np.bincount(y, minlength=dataset.classes)
        lacking = [names[place] for place in np.flatnonzero(counts == 0)]
        if lacking:
            more = f" and {len(lacking) - MOST_NAMED:,} more" if len(lacking) > MOST_NAMED else ""
            yield f"{split} has no row of class {', '.join(lacking[:MOST_NAMED])}{more}"


def _are_labels(x: Array) -> bool:
    """Whether a column holds a few whole numbers, as labels are."""
    found = np.unique(x[_sample(x)])
    return len(found) * ROWS_OF_A_VALUE <= len(x) and bool((found == np.floor(found)).all())


def _of_equal_rows(dataset: Dataset) -> Iterator[str]:
    """Rows that train and are in another split too, unless there are so few different ones that they have to be."""
    splits = {name: _looked_at(split) for name, split in dataset.splits.items()}
    if _has_few_rows_to_be(splits["train"]):
        return
    known = set(_as_bytes(splits.pop("train").x))
    for name, split in splits.items():
        equal = sum(row in known for row in _as_bytes(split.x))
        if equal:
            told = "1 row" if equal == 1 else f"{equal:,} rows"
            yield f"{told} of {split.rows:,} of {name} {'is' if equal == 1 else 'are'} also among those that train"


def _as_bytes(x: Array) -> list[bytes]:
    """Each row as its bytes."""
    flat = np.ascontiguousarray(x).reshape(len(x), -1)
    rows = flat.view(np.dtype((np.void, flat.dtype.itemsize * flat.shape[1]))).ravel()
    return cast("list[bytes]", rows.tolist())


def _has_few_rows_to_be(train: Split) -> bool:
    """Whether all combinations of the values that columns have are fewer than the rows, as with a few categories."""
    x = train.x.reshape(train.rows, -1)
    combinations = 1
    for column in x[:MOST_ROWS].T:
        combinations *= len(np.unique(column))
        if combinations > train.rows:
            return False
    return True
