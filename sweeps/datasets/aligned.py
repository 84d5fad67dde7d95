"""Arrays that begin where a cache line does, which JAX uses on a CPU as they are; it copies any other.

NumPy's own large arrays begin 16 bytes after a page does. Source: `jax.device_put` of both on jaxlib 0.10.2, whose CPU
buffers have to begin at a multiple of 64 bytes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sweeps.datasets.canonical import Array

LINE = 64


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """As `np.empty`.

    >>> empty((3, 5), np.float32).ctypes.data % LINE
    0
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    room = np.empty(size + LINE, np.uint8)
    start = -room.ctypes.data % LINE
    made: Array = room[start : start + size].view(dtype).reshape(shape)
    return made


def take(array: Array, rows: np.ndarray[Any, np.dtype[np.int64]]) -> Array:
    """`array[rows]`; every one of `rows` is there.

    >>> take(np.array([[1, 2], [3, 4], [5, 6]]), np.array([2, 0])).tolist()
    [[5, 6], [1, 2]]
    """
    taken = empty((len(rows), *array.shape[1:]), array.dtype)
    np.take(array, rows, axis=0, out=taken, mode="clip")  # any other mode goes through a copy of `taken`
    return taken
