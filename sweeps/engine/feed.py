"""Training rows on their way to a device: all of them at once, or a window of two chunks at a time.

What a lane computes does not depend on how its rows arrive. Rows are shuffled within chunks of `chunk_rows`
whether they are resident or streamed, and chunks come in the same order in every epoch, so that a lane needs only the
chunk that it is in and the next one, for a batch that begins in one and ends in the other.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np

from sweeps.datasets import aligned
from sweeps.datasets.canonical import Array
from sweeps.datasets.dataset import Dataset
from sweeps.training.lane import Data

CHUNK_BYTES = 2**28
"""A chunk is a power of two of rows that takes about so many bytes, on every device alike: results depend on it."""
Window: TypeAlias = Callable[[int], Data]


class Feed(NamedTuple):
    """How a program gets its rows: their shapes, and a window for each who asks for one."""

    shapes: Data  # of jax.ShapeDtypeStruct
    affine: jax.Array
    open: Callable[[], Window]


def chunk_rows(dataset: Dataset, largest_batch: int, chunk_bytes: int = CHUNK_BYTES) -> int:
    """Rows that are shuffled together: all of them where they make one chunk. No batch is larger than a chunk.

    Their weights do not count, so that rows whose weights are all 1 train as rows without.
    """
    rows = max(chunk_bytes // _row_bytes(dataset.train), largest_batch, 1)
    exponent = (rows - 1).bit_length() if rows == largest_batch else rows.bit_length() - 1
    return min(1 << exponent, dataset.train.rows)


def feed(dataset: Dataset, device: jax.Device, chunk_rows: int, resident_bytes: int | None) -> Feed:
    """The rows on the device if they take at most `resident_bytes` (None: in any case), else streamed."""
    held = _Held(*jax.device_put((*dataset.valid, np.array([dataset.scale, dataset.offset], np.float32)), device))
    arrays = _arrays(dataset)
    too_many = resident_bytes is not None and _row_bytes(arrays) * dataset.train.rows > resident_bytes
    if not too_many or chunk_rows >= dataset.train.rows:
        data = _data(jax.device_put(arrays, device), held)
        return Feed(_shapes(data), held.affine, lambda: lambda _: data)
    chunks = _Chunks(arrays, chunk_rows, device)
    shapes = _shapes(_data(chunks.shapes, held, 0))
    return Feed(shapes, held.affine, lambda: _Stream(chunks, held).window)


class _Held(NamedTuple):
    """What is on the device in any case."""

    valid_x: jax.Array
    valid_y: jax.Array
    affine: jax.Array


Rows: TypeAlias = tuple[jax.Array, ...]
"""Inputs, targets, and weights where training rows have any."""


class _Chunks:
    """The chunks of rows, each on the device together with the next, filled up with zeros where there is none."""

    def __init__(self, arrays: tuple[Array, ...], rows: int, device: jax.Device) -> None:
        self._arrays, self._rows, self._device = arrays, rows, device
        self.count = -(-len(arrays[0]) // rows)

    @property
    def shapes(self) -> Any:
        """A window's arrays, as jax.ShapeDtypeStruct."""
        return tuple(_shape((2 * self._rows, *array.shape[1:]), array.dtype) for array in self._arrays)

    def load(self, chunk: int) -> Rows:
        first = chunk * self._rows
        x, *others = (self._filled(array[first : first + 2 * self._rows]) for array in self._arrays)
        return jax.device_put(x, self._device).block_until_ready(), *jax.device_put(others, self._device)

    def _filled(self, array: Any) -> np.ndarray:
        if len(array) == 2 * self._rows:
            return np.ascontiguousarray(array)
        filled = aligned.empty((2 * self._rows, *array.shape[1:]), array.dtype)
        filled[: len(array)], filled[len(array) :] = array, 0
        return filled


class _Stream:
    """One reader's way through the chunks, the next window already on its way. Not for several threads."""

    def __init__(self, chunks: _Chunks, held: _Held) -> None:
        self._chunks, self._held = chunks, held
        self._pool = ThreadPoolExecutor(1, "stream")
        self._coming: dict[int, Future[Rows]] = {}

    def window(self, chunk: int) -> Data:
        """A chunk and the next one; after the last comes the first, for the next epoch."""
        wanted = [(chunk + ahead) % self._chunks.count for ahead in range(2)]
        self._coming = {each: self._coming.get(each) or self._pool.submit(self._chunks.load, each) for each in wanted}
        return _data(self._coming[chunk].result(), self._held, chunk)


def _arrays(dataset: Dataset) -> tuple[Array, ...]:
    return tuple(dataset.train) if dataset.weights is None else (*dataset.train, dataset.weights)


def _data(rows: Rows, held: _Held, chunk: int | None = None) -> Data:
    x, y, *weights = rows
    # A NumPy number travels with the call; a JAX one would be a call of its own.
    at: Any = None if chunk is None else np.int32(chunk)
    return Data(x, y, *held, at, *weights)


def _row_bytes(arrays: tuple[Array, ...]) -> int:
    return max(sum(int(array[:1].nbytes) for array in arrays), 1)


def _shapes(data: Data) -> Data:
    shapes: Data = jax.tree.map(lambda leaf: _shape(leaf.shape, leaf.dtype), data)
    return shapes


def _shape(shape: tuple[int, ...], dtype: Any) -> Any:
    return jax.ShapeDtypeStruct(shape, dtype)  # type: ignore[no-untyped-call]  # JAX leaves it untyped
