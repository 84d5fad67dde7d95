"""Windows that slide along one dimension, as strided slices of the whole array.

Tap `j` of every window is one slice, so to combine the taps of a window is elementwise work on whole arrays.
Convolutions (`products.py`) and pooling (`pooling.py`) are made of this.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


class SlidingWindows(NamedTuple):
    """`length` windows of one dimension: tap `j` of window `i` lies at `starts[j] + i * stride`, maybe outside."""

    starts: tuple[int, ...]
    length: int
    stride: int


def sliding(size: int, window: int, stride: int, padding: tuple[int, int], dilation: int) -> SlidingWindows:
    """The windows of `window` taps, `dilation` apart, on `size` positions with `padding` (which may be negative).

    >>> sliding(5, 3, 2, (1, 1), 1)
    SlidingWindows(starts=(-1, 0, 1), length=3, stride=2)
    """
    low, high = padding
    room = size + low + high - ((window - 1) * dilation + 1)
    return SlidingWindows(tuple(tap * dilation - low for tap in range(window)), room // stride + 1, stride)


def taps(x: jax.Array, axis: int, windows: SlidingWindows, fill: Any) -> list[jax.Array]:
    """Each tap of all windows: like `x` with `windows.length` positions along `axis`; outside `x` lies `fill`.

    >>> [tap.tolist() for tap in taps(jnp.arange(1.0, 6.0), 0, sliding(5, 3, 2, (1, 1), 1), 0.0)]
    [[0.0, 2.0, 4.0], [1.0, 3.0, 5.0], [2.0, 4.0, 0.0]]
    """
    starts, length, stride = windows
    span = (length - 1) * stride + 1
    before, after = max(0, -min(starts)), max(0, max(starts) + span - x.shape[axis])
    if before or after:
        widths = [(before, after, 0) if dimension == axis else (0, 0, 0) for dimension in range(x.ndim)]
        x = lax.pad(x, jnp.asarray(fill, x.dtype), widths)
    return [lax.slice_in_dim(x, before + start, before + start + span, stride, axis) for start in starts]
