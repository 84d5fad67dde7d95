"""Arrays as users have them to arrays as lanes read them: uint8, int32 or float32, contiguous, finite.

A value arrives as it was, or an error names its row; nothing wraps around or becomes infinite.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from sweeps.errors import DataError

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


TOO_CLOSE = "too close together for float32, in which models compute"
FEWEST_STEPS = 16


def is_resolved(x: Array) -> Array:
    """Of each column of `x`, `[rows, ...]`, whether its range is wide enough for float32, bool `[...]`.

    Times in seconds since 1970 lie 128 apart in float32, so that those of one minute would be one number or two. A
    column of one number is wide enough.
    """
    low, high = x.min(axis=0), x.max(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        step = np.spacing(np.maximum(np.abs(low), np.abs(high)).astype(np.float32)).astype(np.float64)
    resolved: Array = (high == low) | ~(high - low < FEWEST_STEPS * step)
    return np.asarray(resolved)


def canonical(which: str, x: Any, y: Any) -> tuple[Array, Array]:
    """`x` as uint8, int32 or float32 `[rows, *input_shape]`; `y` as int32 labels `[rows]` or values.

    Values stay float64 where they were, until they are scaled or `narrowed`; each is finite as float32.

    `which` comes before `x` and `y` in messages: "train " or "".

    Raises:
        DataError: they are not such arrays, or have no rows, or not as many as each other.
    """
    _check_one_array(f"{which}x", x, y, "input", "Join them to one and take it apart in the model")
    _check_one_array(f"{which}y", y, x, "output", "Join them to one, a column for each")
    x, y = _numbers(f"{which}x", x), _numbers(f"{which}y", y)
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise DataError(f"{which}x and y must have the same number of rows, but got shapes {x.shape} and {y.shape}")
    if x.size == 0 or y.size == 0:
        raise DataError(f"{which}x and y must have rows with values, but got shapes {x.shape} and {y.shape}")
    inputs = _inputs(f"{which}x", x)
    if x.dtype.itemsize == 8 and inputs.dtype == np.float32 and not which.endswith(("valid ", "test ")):
        are_resolved = is_resolved(x).ravel()
        if not are_resolved.all():
            column = x.reshape(len(x), -1)[:, int(np.argmin(are_resolved))]
            raise DataError(
                f"{which}x: numbers of column {np.argmin(are_resolved):,} (from 0) are {TOO_CLOSE}, from "
                f"{float(column.min())!r} to {float(column.max())!r}. Subtract their mean before"
            )
    return inputs, _targets(f"{which}y", y)


def canonical_inputs(what: str, x: Any) -> Array:
    """`x` alone, called `what` in messages.

    Raises:
        DataError: it is no such array.
    """
    x = _numbers(what, x)
    if x.ndim == 0:
        raise DataError(f"{what} must have rows, but is one number")
    return _inputs(what, x)


def _check_one_array(what: str, given: Any, other: Any, kind: str, advice: str) -> None:
    """Raises: DataError where several arrays are given, each with as many rows as `other`."""
    several = given.values() if isinstance(given, Mapping) else given if isinstance(given, tuple | list) else ()
    arrays = [each for each in several if len(getattr(each, "shape", ())) > 0]
    rows = len(other) if hasattr(other, "__len__") and getattr(other, "shape", None) != () else 0
    are_rows = not isinstance(given, Mapping) and (len(arrays) < len(several) or len(several) == rows)
    if arrays and not are_rows and (isinstance(given, Mapping) or all(len(each) == rows for each in arrays)):
        names = f" ({', '.join(map(str, given))})" if isinstance(given, Mapping) else ""
        got = f"{type(given).__name__} of {len(several)} arrays{names}"
        raise DataError(f"{what} must be one array, for a model has one {kind}, but got a {got}. {advice}")


def _numbers(what: str, given: Any) -> Array:
    try:
        array = np.asarray(given)
    except Exception as error:
        raise DataError(f"{what} must be an array, but is {type(given).__name__}: {_first_line(error)}") from error
    if array.dtype.kind not in "biuf":
        advice = ". Number classes from 0" if what.endswith("y") and array.dtype.kind in "OUST" else ""
        raise DataError(f"{what} must hold numbers, but its dtype is {array.dtype}{advice}")
    return array


def _inputs(what: str, x: Array) -> Array:
    if x.ndim == 1:
        x = x[:, None]
    if x.dtype == np.uint8:
        return np.ascontiguousarray(x)
    return _converted(what, x, np.int32 if x.dtype.kind in "iu" else np.float32)


def _targets(what: str, y: Array) -> Array:
    if y.ndim > 2:
        raise DataError(f"{what} must have shape [rows] or [rows, outputs], but got {y.shape}")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.dtype.kind in "iub" and y.ndim == 1:
        return _converted(what, y, np.int32)
    _converted(what, y, np.float32)
    is_small = y.dtype == np.float32 or y.dtype.itemsize <= 2
    return np.ascontiguousarray(y.astype(np.float32 if is_small else np.float64, copy=False))


def narrowed(y: Array) -> Array:
    """Targets as lanes read them: int32 labels as they are, float32 values."""
    return y if y.dtype == np.int32 else np.ascontiguousarray(y.astype(np.float32, copy=False))


def _converted(what: str, values: Array, dtype: type[np.generic]) -> Array:
    """`values` in another dtype, where each of them is finite and fits."""
    if values.dtype.kind == "f":
        _check(what, np.isfinite(values), "has a NaN or an infinity")
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(values.astype(dtype, copy=False))
    if dtype is np.float32:
        _check(what, np.isfinite(converted), "has a number beyond float32, 3.4e38")
    elif values.dtype.itemsize >= 4 and values.dtype != dtype:
        _check(what, converted == values, "has a number beyond int32, 2,147,483,647")
    return converted


def _check(what: str, is_right: Array, fault: str) -> None:
    if not is_right.all():
        row = int(np.argmin(is_right.reshape(len(is_right), -1).all(axis=1)))
        if is_right.ndim != 2:
            raise DataError(f"{what}: row {row:,} {fault} (rows count from 0)")
        raise DataError(f"{what}: row {row:,} {fault} in column {is_right[row].argmin():,} (both count from 0)")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
