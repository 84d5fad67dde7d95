"""New rows for a model, from files and DataFrames, prepared as the rows were that it was trained on.

The dataset's `preprocessing` says how. A dataset without one, such as `mnist` or a function of the user's own, takes
arrays, and images or tables where a row of it can be made of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sweeps.datasets import arrays, images
from sweeps.datasets.canonical import Array, canonical_inputs
from sweeps.datasets.sequences import series, text
from sweeps.datasets.tabular import preprocessing as columns
from sweeps.datasets.tabular import table
from sweeps.datasets.tabular.table import Table
from sweeps.errors import DataError
from sweeps.user_code import find_file

ARRAYS = (".npy", ".npz")
_NO_WISHES = columns.Wishes(one_hot=(), ordinal={}, missing="refuse", standardize=False, leave_out="drop")


class NewRows(NamedTuple):
    """`x` is `[rows, *input_shape]` as the dataset has it; `names` are columns that say of each row which one it is.

    They are `file` of images, and `after` of sequences: the last step that the model sees.
    """

    x: Array
    names: Mapping[str, Sequence[str]]


class TrainedOn(NamedTuple):
    """What a model was trained on: the shape of a row, the dtype that rows are held in, and how they were made."""

    shape: tuple[int, ...]
    dtype: str
    preprocessing: Mapping[str, Any]


def read(path: str, wanted: TrainedOn) -> NewRows:
    """The rows of a file, or of a folder of images.

    Raises:
        DataError: there is no such file, or it does not hold what the dataset's rows are made of.
    """
    kind, done = wanted.preprocessing.get("kind"), wanted.preprocessing
    if path.lower().endswith(ARRAYS):
        return NewRows(_array(path, wanted), {})
    if kind in ("table", "series", "text") and find_file(path, DataError).is_dir():
        raise DataError(f"a {kind} is read from a file, but {path} is a folder")
    if kind == "table":
        return NewRows(columns.apply(done["columns"], columns.read_for(done["columns"], path, done)), {})
    if kind in ("series", "text"):
        x, steps = (series if kind == "series" else text).unanswered(path, done)
        return NewRows(x, {"after": steps})
    if kind == "images" or path.lower().endswith(images.SUFFIXES) or find_file(path, DataError).is_dir():
        x, names = images.unlabelled(path, done if kind == "images" else _as_images(path, wanted))
        return NewRows(x.reshape(-1, *wanted.shape), {"file": names})
    return NewRows(_plain(table.read(path), wanted.shape), {})


def of_frame(frame: Any, wanted: TrainedOn) -> NewRows:
    """The rows of a DataFrame, by the names of its columns, as those of a file.

    Raises:
        DataError: it has not the columns that rows are made of, or rows are not made of a table.
    """
    kind, done = wanted.preprocessing.get("kind"), wanted.preprocessing
    if kind in ("text", "images"):
        raise DataError(f"the model was trained on {kind}, of which a DataFrame has none")
    if kind == "table":
        return NewRows(columns.apply(done["columns"], columns.read_for(done["columns"], frame, done)), {})
    if kind == "series":
        x, steps = series.unanswered(frame, done)
        return NewRows(x, {"after": steps})
    return NewRows(_plain(table.of_frame(frame), wanted.shape), {})


def is_unclear(preprocessing: Mapping[str, Any]) -> bool:
    """Whether numbers alone do not say if they have been prepared as those that trained: another scale or meaning."""
    prepared = preprocessing.get("columns", ())
    return any(each["kind"] != "number" or (each["center"], each["spread"]) != (0, 1) for each in prepared)


def _array(path: str, wanted: TrainedOn) -> Array:
    """The array of an `.npy` file; of an `.npz` file the one that is called as the dataset's, or its only one."""
    found = arrays.read_file(path)
    if isinstance(found, Mapping):
        name = wanted.preprocessing.get("x", "x")
        name = next(iter(found)) if len(found) == 1 else name
        if name not in found:
            raise DataError(f"{path} must have one array, or one called {name!r}, but it has {', '.join(found)}")
        found = found[name]
    return canonical_inputs(f"{path}: x", found[None] if found.shape == wanted.shape != (1,) else found)


def _as_images(path: str, wanted: TrainedOn) -> dict[str, Any]:
    """How images become rows of a dataset that was not made of images, where they can."""
    height, width, *channels = *wanted.shape, 0, 0
    count = {1: 1, 3: 3, 0: 1}.get(channels[0]) if len(wanted.shape) in (2, 3) else None
    if count is None or wanted.dtype != "uint8":
        rows = f"rows of shape {wanted.shape} and dtype {wanted.dtype}"
        raise DataError(f"the model takes {rows}, which are not made of images, but got {path}. Give it a .npy file")
    return {"size": [height, width], "channels": count, "resize": False}


def _plain(found: Table, shape: tuple[int, ...]) -> Array:
    """Rows of a table with a column for each number of a row, in their order."""
    names = [name for name in found.columns if name not in found.index_columns]
    if len(names) != math.prod(shape):
        raise DataError(
            f"{found.path} must have a column for each of the {math.prod(shape):,} numbers of a row, but has "
            f"{len(names):,}"
        )
    numbers = columns.apply(columns.planned(found, names, _NO_WISHES), found)
    return numbers.reshape(-1, *shape)
