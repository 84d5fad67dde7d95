"""A checksum of a dataset's arrays: two runs of a sweep must have read the same rows."""

from __future__ import annotations

import hashlib

import numpy as np

from sweeps.datasets.canonical import Array
from sweeps.datasets.dataset import Dataset

BLOCK, MOST_BLOCKS = 2**20, 1024
"""Of an array of more than so many blocks (in bytes), as many are read, evenly spread: 1 GiB takes about a second."""


def checksum(dataset: Dataset) -> str:
    """Twelve hexadecimal digits of the SHA-256 of shapes, dtypes and bytes of all splits and of the weights."""
    found = hashlib.sha256()
    for name, split in dataset.splits.items():
        for array in (split.x, split.y):
            _add(found, name, array)
    if dataset.weights is not None:
        _add(found, "weights", dataset.weights)
    return found.hexdigest()[:12]


def _add(found: hashlib._Hash, name: str, array: Array) -> None:
    found.update(f"{name} {array.dtype.str} {array.shape}".encode())
    if array.nbytes <= BLOCK * MOST_BLOCKS:
        found.update(np.ascontiguousarray(array).data)
        return
    rows = max(BLOCK // max(array.nbytes // len(array), 1), 1)
    for start in np.linspace(0, len(array) - rows, MOST_BLOCKS, dtype=np.int64):
        found.update(np.ascontiguousarray(array[start : start + rows]).data)
