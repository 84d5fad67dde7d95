"""What a function of the user's own has returned, as a `Dataset`: arrays in usual orders and under usual names.

Which array is which is told by rows and shapes, never guessed: where two orders would do, both are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

from sweeps.datasets import words
from sweeps.datasets.canonical import Array, canonical
from sweeps.datasets.dataset import Dataset, Split, from_arrays, from_splits
from sweeps.datasets.splitting import NAMES, VALID_FRACTION
from sweeps.errors import DataError

Pairs: TypeAlias = dict[str, tuple[Any, Any]]
"""`(x, y)` by split; under "" where they are yet to be split."""

SPLITS = {2: ("train", "test"), 3: ("train", "valid", "test")}
PARTS = {
    **dict.fromkeys(("x", "input", "inputs", "feature", "features", "data", "image", "images"), "x"),
    **dict.fromkeys(("y", "target", "targets", "label", "labels"), "y"),
    **dict.fromkeys(("weight", "weights", "sample_weight", "sample_weights"), "weights"),
}
"""What people call the arrays of a dict."""
WAYS = "((x_train, y_train), (x_test, y_test))"
_NAME = re.compile(f"({'|'.join(NAMES)})_(.+)|(.+)_({'|'.join(NAMES)})")


class Returned(NamedTuple):
    """The arrays of a function: those of rows to train on have `weights`, where there are some."""

    pairs: Pairs
    weights: Any = None
    note: str = ""


def as_dataset(use: str, made: object, splitting: Mapping[str, Any]) -> Dataset:
    """The dataset; what is not split already is split as the arguments of `from_arrays` say.

    Raises:
        DataError: it cannot be told what was returned, or it makes no dataset.
    """
    if isinstance(made, Dataset):
        if splitting:
            raise DataError(f"{use} returns a Dataset, which is split already: remove {', '.join(splitting)}")
        return _of_words(use, made)
    pairs, weights, note = _by_name(use, made) if isinstance(made, Mapping) else _in_order(use, made)
    found = words.numbered(use, {split: y for split, (_, y) in pairs.items()})
    if found is not None:
        pairs = {split: (x, found.targets[split]) for split, (x, _) in pairs.items()}
    if "" in pairs:
        dataset = from_arrays(*pairs[""], weights, **{"valid_fraction": VALID_FRACTION, **splitting})
    else:
        whole = {split: canonical(f"{use}: {split} ", *pair) for split, pair in pairs.items()}
        dataset = from_splits(whole, weights, **{"valid_fraction": None if "valid" in pairs else 0.2, **splitting})
    dataset = words.labelled(dataset, found)
    return replace(dataset, notes=(*dataset.notes, note)) if note else dataset


def _of_words(use: str, dataset: Dataset) -> Dataset:
    """A dataset of the user's own making, with words as labels where its targets are such."""
    splits = {name: split for name, split in dataset.splits.items() if isinstance(split, tuple) and len(split) == 2}
    found = words.numbered(use, {name: split[1] for name, split in splits.items()}, dataset.class_names)
    if found is None:
        return dataset
    made = {name: Split(split[0], found.targets[name]) for name, split in splits.items()}
    return replace(words.labelled(dataset, found), train=made["train"], valid=made["valid"], test=made.get("test"))


def _in_order(use: str, made: object) -> Returned:
    """`(x, y)`, `(x, y, weights)`, `((x, y), (x, y))` as Keras has it, or all arrays one after the other."""
    given = list(made) if isinstance(made, tuple | list) else []
    if _are_pairs(given):
        flat = [array for pair in given for array in pair]
        by_pairs, by_kind = _orders(flat)
        if not _fit(by_pairs) and _fit(by_kind):
            return Returned(by_kind, note=_order_note(use, by_kind, "x of all splits and y of all splits"))
        return Returned(by_pairs)  # what does not fit in it is named by its rows
    if len(given) in (4, 6) and all(map(_is_array, given)):
        return _flat(use, given)
    if len(given) not in (2, 3):
        got = f"{type(made).__name__} of {len(given)}" if isinstance(made, tuple | list) else type(made).__name__
        raise DataError(
            f"{use} must return a Dataset, or arrays (x, y) or (x, y, weights), but got {got}. Splits of your own are "
            f"{WAYS}"
        )
    return Returned({"": (given[0], given[1])}, *given[2:])


def _flat(use: str, given: Sequence[Any]) -> Returned:
    """Four arrays or six, in one of two orders."""
    by_pairs, by_kind = _orders(given)
    fitting = [order for order in (by_pairs, by_kind) if _fit(order)]
    if len(fitting) == 1:
        is_by_kind = fitting[0] is by_kind
        return Returned(fitting[0], note=_order_note(use, fitting[0], "x before y" if is_by_kind else "x, y by split"))
    shapes = ", ".join(str(tuple(array.shape)) for array in given)
    why = "both orders of them fit" if fitting else "no order of them fits"
    raise DataError(
        f"{use} returned {len(given)} arrays of shapes {shapes}, of which it cannot be told which are x and which y: "
        f"{why}. Return {WAYS}"
    )


def _orders(flat: Sequence[Any]) -> tuple[Pairs, Pairs]:
    """The arrays as `x, y, x, y` and, as scikit-learn's `train_test_split` gives them, as `x, x, y, y`."""
    count = len(flat) // 2
    names = SPLITS[count]
    by_pairs = {name: (flat[2 * place], flat[2 * place + 1]) for place, name in enumerate(names)}
    by_kind = {name: (flat[place], flat[count + place]) for place, name in enumerate(names)}
    return by_pairs, by_kind


def _fit(pairs: Pairs) -> bool:
    """Whether each split has as many rows of x as of y, and rows of one shape as other splits."""
    are_rows = all(len(x) == len(y) for x, y in pairs.values())
    return are_rows and all(
        len({tuple(array.shape[1:]) for array in part}) == 1 for part in zip(*pairs.values(), strict=True)
    )


def _order_note(use: str, pairs: Pairs, order: str) -> str:
    rows = ", ".join(f"{len(x):,} {name}" for name, (x, _) in pairs.items())
    return f"{use} returned {2 * len(pairs)} arrays: taken, by their shapes, as {order} ({rows} rows)"


def _are_pairs(given: Sequence[Any]) -> bool:
    return len(given) in SPLITS and all(
        isinstance(each, tuple | list) and len(each) == 2 and all(map(_is_array, each)) for each in given
    )


def _is_array(given: Any) -> bool:
    return len(getattr(given, "shape", ())) > 0


def _by_name(use: str, made: Mapping[Any, Any]) -> Returned:
    """The arrays of a dict: `x` and `y`, `x_train` and `y_train` and so on, or pairs by split."""
    found: dict[tuple[str, str], Any] = {}
    for split, part, array in (each for key, value in made.items() for each in _named(use, made, str(key), value)):
        if (split, part) in found:
            raise _unclear(use, made, f"two are {f'{part} of {split}' if split else part}")
        found[split, part] = array
    splits = list(dict.fromkeys(split for split, _ in found))
    lacking = [f"{part}_{split}" if split else part for split in splits for part in "xy" if (split, part) not in found]
    if lacking or (splits != [""] and ("train" not in splits or "" in splits)):
        raise _unclear(use, made, f"there is no {(lacking or ['x_train'])[0]}")
    weighed = [split for split in splits if (split, "weights") in found]
    if weighed not in ([], [""], ["train"]):
        raise _unclear(use, made, f"weights are for rows that train, and not for those of {weighed[-1]}")
    pairs = {split: (found[split, "x"], found[split, "y"]) for split in ("", *SPLITS[3]) if split in splits}
    weights = found[weighed[0], "weights"] if weighed else None
    return Returned({"": pairs["train"]} if splits == ["train"] else pairs, weights)


def _named(use: str, made: Mapping[Any, Any], key: str, value: Any) -> list[tuple[str, str, Array]]:
    """The split ("" for none), the part and the array of each array under a key."""
    name = key.lower().replace("-", "_").replace(" ", "_")
    if name in NAMES:
        inside = (
            value if isinstance(value, Mapping) else dict(zip("xy", value, strict=False)) if _is_pair(value) else {}
        )
        parts = {PARTS.get(str(part).lower()): array for part, array in inside.items()}
        if not inside or None in parts or len(parts) < len(inside):
            raise _unclear(use, made, f"{key!r} is no pair (x, y)")
        return [(NAMES[name], str(part), array) for part, array in parts.items()]
    cut = _NAME.fullmatch(name)
    split, part = (NAMES[cut[1] or cut[4]], cut[2] or cut[3]) if cut else ("", name)
    if part not in PARTS:
        raise _unclear(use, made, f"{key!r} is none of the names that are known")
    return [(split, PARTS[part], value)]


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2


def _unclear(use: str, made: Mapping[Any, Any], why: str) -> DataError:
    names = ", ".join(map(str, made))
    return DataError(
        f"{use} returned a dict of {names}, of which it cannot be told what they are: {why}. Call them x and y, or "
        f"x_train, y_train, x_test and y_test, or return {WAYS}"
    )
