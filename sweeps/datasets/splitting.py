"""Which rows train, which validate and which are kept for the test: five ways to cut, all as row numbers.

Every row lands in one split, and the arguments alone decide in which. `by_time` and `by_name` look at what a table
holds; the others shuffle by `seed`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from sweeps.datasets.canonical import Array
from sweeps.errors import DataError

Rows: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

NAMES = {"train": "train", "training": "train", "valid": "valid", "validation": "valid", "val": "valid", "test": "test"}
"""What a column may call the splits."""


VALID_FRACTION = 0.2
"""Where none is given."""


class Parts(NamedTuple):
    """Row numbers, i64, of each split; those of `test` may be none."""

    train: Rows
    valid: Rows
    test: Rows


class Counts(NamedTuple):
    """How many rows are wanted for validation and for the test."""

    valid: int
    test: int


def counted(rows: int, valid_fraction: object, test_fraction: object) -> Counts:
    """The fractions as numbers of rows; a `valid_fraction` that is None is `VALID_FRACTION`.

    Raises:
        DataError: one is not from 0 to less than 1, or they leave no row for training or validation.
    """
    valid_fraction = VALID_FRACTION if valid_fraction is None else valid_fraction
    valid, test = (number(f"{name}_fraction", given) for name, given in zip(
        ("valid", "test"), (valid_fraction, test_fraction), strict=True
    ))  # fmt: skip
    for name, fraction in (("valid_fraction", valid), ("test_fraction", test)):
        if not 0 <= fraction < 1:
            raise DataError(f"{name} must be from 0 to less than 1, but got {fraction}")
    counts = Counts(round(rows * valid), round(rows * test))
    if counts.valid < 1 or sum(counts) >= rows:
        raise DataError(
            f"valid_fraction and test_fraction must leave rows for training and validation, but got "
            f"{valid} and {test} of {rows:,} rows"
        )
    return counts


def number(name: str, value: object) -> float:
    """A finite number.

    Raises:
        DataError: it is none.
    """
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not (is_number and math.isfinite(found := float(value))):  # type: ignore[arg-type]  # a number, as just seen
        raise DataError(f"{name} must be a finite number, but got {value!r}")
    return found


def classes_of(targets: Array) -> Array:
    """The classes that have shares of a split: whole numbers `[rows]`, or one-hot rows.

    Raises:
        DataError: the targets are neither.
    """
    if targets.ndim == 2 and ((targets == 0) | (targets == 1)).all() and (targets.sum(axis=1) == 1).all():
        labels: Array = targets.argmax(axis=1)
        return labels
    if targets.ndim != 1 or not (targets == np.floor(targets)).all():
        raise DataError("stratify: true is for targets that are classes, but these are numbers to regress on")
    return targets


def _generator(seed: int) -> np.random.Generator:
    if seed < 0:
        raise DataError(f"seed must be at least 0, but got {seed}")
    return np.random.default_rng(seed)


def at_random(rows: int, counts: Counts, seed: int) -> Parts:
    """Rows shuffled, and cut into test, validation and training rows, in that order."""
    return _cut(_generator(seed).permutation(rows), counts)


def stratified(labels: Array, counts: Counts, seed: int) -> Parts:
    """At random, but every class has its share of each split, to less than one row.

    `labels` has the shape `[rows]`. Shares are rounded by largest remainders, so that splits have exactly their sizes.
    """
    shuffled = _generator(seed).permutation(len(labels))
    _, numbered = np.unique(labels[shuffled], return_inverse=True)
    classes = [shuffled[numbered == label] for label in range(numbered.max() + 1)]
    taken: list[list[Rows]] = []
    for wanted in (counts.test, counts.valid):
        shares = _apportioned(wanted, np.array([len(rows) for rows in classes]))
        taken.append([rows[:share] for rows, share in zip(classes, shares, strict=True)])
        classes = [rows[share:] for rows, share in zip(classes, shares, strict=True)]
    # Training rows keep the order of the shuffle: one class after the other is no order to keep rows in.
    test, valid = (np.concatenate(part) for part in taken)
    left = np.isin(shuffled, np.concatenate([test, valid]), invert=True)
    return Parts(shuffled[left], valid, test)


def by_group(groups: Array, counts: Counts, seed: int) -> Parts:
    """All rows of a group in one split: groups in random order fill the test, then validation, then training.

    `groups` has the shape `[rows]`. A split is full once it has its rows or more, or the next group would leave it
    further from its size than it is; it has one group at least.

    Raises:
        DataError: there are too few groups for the splits.
    """
    _, numbered, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    wanted = [counts.test, counts.valid]
    needed = sum(count > 0 for count in wanted) + 1
    if len(sizes) < needed:
        raise DataError(f"{needed} splits by group need as many groups, but there are {len(sizes)}")
    order = list(_generator(seed).permutation(len(sizes)))
    chosen = np.zeros(len(sizes), np.int64)
    for place, count in enumerate(wanted, 1):
        rest = sum(each > 0 for each in wanted[place:]) + 1
        rows = 0
        while rows < count and len(order) > rest and (rows == 0 or 2 * (count - rows) >= sizes[order[0]]):
            group = order.pop(0)
            chosen[group], rows = place, rows + sizes[group]
    return _by_number(chosen[numbered])


def by_time(times: Array, counts: Counts) -> Parts:
    """The oldest rows train, later ones validate, the latest are the test; rows of one time stay together.

    `times` has the shape `[rows]` and an order. A split that would begin among rows of one time begins before them.

    Raises:
        DataError: all rows that would train have one time with later ones.
    """
    order = np.argsort(times, kind="stable")
    ordered = times[order]
    ends = [len(order) - counts.test - counts.valid, len(order) - counts.test]
    train, valid = (int(np.searchsorted(ordered, ordered[end])) if end < len(order) else end for end in ends)
    if not 0 < train < valid:
        raise DataError("too many rows have the same time: one split by time would have no rows")
    return Parts(order[:train], order[train:valid], order[valid:])


def by_name(names: list[str]) -> Parts:
    """Rows as a column calls them: `train`, `valid` or `validation`, `test`.

    Raises:
        DataError: another name, or no row for training or validation.
    """
    known = {name: NAMES.get(name.strip().lower()) for name in set(names)}
    unknown = sorted(name for name, split in known.items() if split is None)
    if unknown:
        raise DataError(f"it must say train, valid or test, but says {unknown[0]!r}")
    numbers = {"train": 0, "test": 1, "valid": 2}
    parts = _by_number(np.array([numbers[str(known[name])] for name in names]))
    missing = [name for name in ("train", "valid") if not len(getattr(parts, name))]
    if missing:
        raise DataError(f"it must give rows to train and valid, but none is {missing[0]}")
    return parts


def _by_number(numbers: Rows) -> Parts:
    """Rows by 0 (training), 1 (test) and 2 (validation)."""
    return Parts(*(np.flatnonzero(numbers == number) for number in (0, 2, 1)))


def _cut(order: Rows, counts: Counts) -> Parts:
    test, valid, train = np.split(order, [counts.test, counts.test + counts.valid])
    return Parts(train, valid, test)


def _apportioned(wanted: int, sizes: Rows) -> Rows:
    """`wanted` rows among classes in proportion to their sizes, by largest remainders.

    >>> _apportioned(5, np.array([10, 6, 4])).tolist()
    [3, 1, 1]
    """
    # Whole numbers all the way: a remainder in floats could give a class more rows than it has.
    shares, remainders = np.divmod(wanted * sizes, max(int(sizes.sum()), 1))
    shares[np.argsort(-remainders, kind="stable")[: wanted - int(shares.sum())]] += 1
    return shares
