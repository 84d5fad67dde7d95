"""Arrays of targets that are words: classes, numbered in the order of their names as those of a table are."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from sweeps.datasets.canonical import Array
from sweeps.datasets.dataset import Dataset, Words
from sweeps.errors import DataError


class NumberedWords(NamedTuple):
    """Targets of each split as labels, i32 `[rows]`; what labels stand for, and what a loss of numbers says of them."""

    targets: Mapping[str, Any]
    names: tuple[str, ...]
    words: Words


def numbered(what: str, targets: Mapping[str, Any], names: tuple[str, ...] | None = None) -> NumberedWords | None:
    """The targets of all splits, where they are words; None where they are not.

    `what` they are of begins a message. `names` are the classes in their order, where that is given.

    Raises:
        DataError: some are words and others are not, or one is none of the `names`.
    """
    arrays = {split: _words(y) for split, y in targets.items()}
    if all(words is None for words in arrays.values()):
        return None
    found = {split: _texts(f"{what}: {split} y", targets[split], words) for split, words in arrays.items()}
    every = np.unique(np.concatenate(list(found.values())))
    known = tuple(map(str, every)) if names is None else names
    if strange := [name for name in map(str, every) if name not in known]:
        raise DataError(f"{what}: class {strange[0]!r} is none of the {len(known):,} that are named")
    order = np.argsort(np.array(known))
    labels = {split: order[np.searchsorted(np.array(known)[order], y)].astype(np.int32) for split, y in found.items()}
    first = f"{what}: the targets are words, the first is {str(next(iter(found.values()))[0])!r}"
    return NumberedWords(labels, known, Words(first, _advice(known)))


def labelled(dataset: Dataset, found: NumberedWords | None) -> Dataset:
    """With what its labels stand for, where targets were words."""
    if found is None:
        return dataset
    return replace(dataset, class_names=found.names, labels=found.names, words=found.words)


def _words(y: Any) -> Array | None:
    """An array of text, or of objects some of which are text; None of anything else."""
    with contextlib.suppress(ValueError, TypeError):  # of what is no array, which is told elsewhere
        array = np.asarray(y)
        array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
        is_text = array.dtype.kind in "USTO" and array.ndim == 1 and len(array) > 0
        if is_text and (array.dtype.kind != "O" or any(isinstance(each, str | bytes) for each in array)):
            return array
    return None


def _texts(what: str, given: Any, words: Array | None) -> Array:
    """Words as an array of text.

    Raises:
        DataError: one of them is none.
    """
    if words is None:
        raise DataError(f"{what} must be words, as the targets of other splits are, but its dtype is {_dtype(given)}")
    texts = [each.decode(errors="replace") if isinstance(each, bytes) else each for each in words.tolist()]
    row = next((row for row, each in enumerate(texts) if not isinstance(each, str) or not each), None)
    if row is not None:
        raise DataError(
            f"{what}: row {row:,} must be the name of a class, as others are, but is {texts[row]!r} (rows count from "
            f"0). Leave such rows out"
        )
    return np.array(texts)


def _dtype(given: Any) -> Any:
    return getattr(given, "dtype", type(given).__name__)


def _advice(names: tuple[str, ...]) -> str:
    """What to do under a loss of numbers."""
    try:
        list(map(float, names))
    except ValueError:
        return "softmax_cross_entropy is for classes"
    return "`y.astype(float)` makes numbers of them"
