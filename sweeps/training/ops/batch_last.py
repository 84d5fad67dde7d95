"""A convolution of images with the rows of the batch as the last axis, for one core of a CPU.

Images are `[height, channels, width, rows]`. All that is not a product then reads and writes long runs of numbers: the
pixels of one column are `rows` numbers in a row, so windows, pooling, bias and activation are copies and vectors.
The windows of one row of the output are laid out at a time, so they stay in the second-level cache for the product.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

from sweeps.training.ops.sliding import SlidingWindows, sliding

Order: TypeAlias = tuple[int, ...]
"""How the dimensions of an array are permuted: those of `x.transpose(order)`."""

VECTOR = 8
"""Rows come in multiples of this: the floats of a vector of 256 bits."""


WINDOW_BYTES = 2**20
"""About how much the windows of a tile take. From an eighth of that up to all rows made no difference that could be
measured, so this is to save memory."""
FEWEST_ROWS = 16
"""Products of fewer rows are slow."""


class _Along(NamedTuple):
    """Windows along one dimension of an array that is padded so that they all lie within."""

    before: int
    after: int
    start: int  # of the first tap of the first window
    step: int  # from tap to tap
    taps: int
    length: int  # windows
    stride: int

    @property
    def span(self) -> int:
        """How many positions lie between the first and the last tap, both counted."""
        return (self.taps - 1) * self.step + 1

    @property
    def reach(self) -> int:
        """How many positions lie between the first taps of the first and the last window, both counted."""
        return (self.length - 1) * self.stride + 1


def suits(x: Any, kernel: Any, parameters: Mapping[str, Any]) -> bool:
    """Whether a convolution (operands of `lax.conv_general_dilated_p`, or their shapes) is taken here."""
    rows = x.shape[parameters["dimension_numbers"].lhs_spec[0]]
    plain = {*parameters["lhs_dilation"], parameters["feature_group_count"], parameters["batch_group_count"]} == {1}
    types = {x.dtype, kernel.dtype, jnp.dtype(parameters["preferred_element_type"] or jnp.float32)}
    exact = parameters["precision"] not in (None, lax.Precision.DEFAULT, (lax.Precision.DEFAULT,) * 2)
    return (
        x.ndim == 4 and rows % VECTOR == 0 and plain and types == {jnp.dtype(jnp.float32)} and not exact and _on_cpu()
    )


def order_of(spec: Sequence[int]) -> Order:
    """The dimensions that `ConvDimensionNumbers` calls rows, channels, height, width, in the order of this module."""
    rows, channels, height, width = spec
    return height, channels, width, rows


def convolution(x: jax.Array, kernel: jax.Array, parameters: Mapping[str, Any]) -> jax.Array:
    """What `lax.conv_general_dilated_p.bind` gives, where `suits`: `[height, outputs, width, rows]`.

    `x` is `[height, channels, width, rows]`, and the dimensions of `kernel` are as `dimension_numbers` says.
    """
    outputs, channels, *taps = parameters["dimension_numbers"].rhs_spec
    kernel = kernel.transpose(taps[1], taps[0], channels, outputs)
    names = ("window_strides", "padding", "rhs_dilation")
    sizes = zip(x.shape[::2], kernel.shape[1::-1], *(parameters[name] for name in names), strict=True)
    down, across = (_along(size, sliding(size, *of_axis)) for size, *of_axis in sizes)
    none = (0, 0, 0)
    padded = lax.pad(x, jnp.float32(0), [(*down[:2], 0), none, (*across[:2], 0), none])
    return _convolved(padded, kernel.reshape(-1, kernel.shape[-1]), down, across)


def _on_cpu() -> bool:
    device = jax.config.jax_default_device  # type: ignore[attr-defined]
    return (getattr(device, "platform", device) or jax.default_backend()) == "cpu"


def _along(size: int, windows: SlidingWindows) -> _Along:
    starts, length, stride = windows
    before = max(0, -starts[0])
    after = max(0, starts[-1] + (length - 1) * stride + 1 - size)
    step = starts[1] - starts[0] if len(starts) > 1 else 1
    return _Along(before, after, before + starts[0], step, len(starts), length, stride)


def _multiplied(x: jax.Array, kernel: jax.Array, down: _Along, across: _Along) -> jax.Array:
    """`x` is padded, and `kernel` is `[taps across * taps down * channels, outputs]`."""
    matrix, outputs, tiles = kernel.T, kernel.shape[-1], _Tiles(x, kernel, across)

    def one(index: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        windows, y = carry
        line, first = tiles.place(index)
        windows = _laid_out(windows, x, line, first, down, across)
        part = (matrix @ windows).reshape(1, outputs, across.length, tiles.rows)
        return windows, lax.dynamic_update_slice(y, part, (line, 0, 0, first))

    y = jnp.zeros((down.length, outputs, across.length, x.shape[-1]), x.dtype)
    result: jax.Array = lax.fori_loop(0, down.length * tiles.count, one, (tiles.windows, y))[1]
    return result


def _forward(x: Any, kernel: Any, down: _Along, across: _Along) -> tuple[jax.Array, tuple[Any, ...]]:
    # A `None` is no part of a tree, so it says without an array that nobody wants the gradient of the pixels.
    return _multiplied(x.value, kernel.value, down, across), (x.value, kernel.value, () if x.perturbed else None)


def _backward(down: _Along, across: _Along, kept: tuple[Any, ...], slope: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel, wanted = kept
    _, channels, width, _ = x.shape
    outputs, tiles = kernel.shape[-1], _Tiles(x, kernel, across)

    def one(index: jax.Array, carry: tuple[Any, ...]) -> tuple[Any, ...]:
        windows, of_kernel, of_x = carry
        line, first = tiles.place(index)
        windows = _laid_out(windows, x, line, first, down, across)
        here = lax.dynamic_slice(slope, (line, 0, 0, first), (1, outputs, across.length, tiles.rows))
        here = here.reshape(outputs, -1)
        of_kernel += lax.dot_general(windows, here, (((1,), (1,)), ((), ())))
        if wanted is not None:
            of_windows = (kernel @ here).reshape(across.taps, down.taps, channels, across.length, -1)
            added = functools.reduce(lax.add, (_put_back(part, tap) for tap, part in enumerate(of_windows)))
            at = (down.start + line * down.stride, 0, 0, first)
            of_x = lax.dynamic_update_slice(of_x, lax.dynamic_slice(of_x, at, added.shape) + added, at)
        return windows, of_kernel, of_x

    def _put_back(part: jax.Array, tap: int) -> jax.Array:
        """`[taps down, channels, windows across, rows]` where they were read: `[span, channels, width, rows]`."""
        before = across.start + tap * across.step
        places = (before, width - before - across.reach, across.stride - 1)
        return lax.pad(part, jnp.float32(0), [(0, 0, down.step - 1), (0, 0, 0), places, (0, 0, 0)])

    start = (tiles.windows, jnp.zeros_like(kernel), None if wanted is None else jnp.zeros_like(x))
    _, of_kernel, of_x = lax.fori_loop(0, down.length * tiles.count, one, start)
    return jnp.zeros_like(x) if of_x is None else of_x, of_kernel


_convolved = jax.custom_vjp(_multiplied, nondiff_argnums=(2, 3))
_convolved.defvjp(_forward, _backward, symbolic_zeros=True)


class _Tiles:
    """A line of the output for some of the rows, whose windows stay in the cache."""

    def __init__(self, x: jax.Array, kernel: jax.Array, across: _Along) -> None:
        rows = x.shape[-1]
        bytes_of_row = len(kernel) * across.length * x.dtype.itemsize
        fitting = [each for each in range(VECTOR, rows + 1, VECTOR) if rows % each == 0]
        few = [each for each in fitting if each <= max(FEWEST_ROWS, WINDOW_BYTES // bytes_of_row)]
        self.rows = max(few, default=fitting[0])
        self.count = rows // self.rows
        self.windows = jnp.zeros((len(kernel), across.length * self.rows), x.dtype)
        """Room for them, which each turn of a loop overwrites."""

    def place(self, index: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The line and the first row of a tile."""
        return index // self.count, index % self.count * self.rows


def _laid_out(
    room: jax.Array, x: jax.Array, line: jax.Array, first: jax.Array, down: _Along, across: _Along
) -> jax.Array:
    """The windows of a tile, `[taps across * taps down * channels, windows * rows]`.

    They are written into an array that exists. A concatenation would be one loop with a branch for each number.
    """
    _, channels, width, _ = x.shape
    rows = room.shape[1] // across.length
    read = lax.dynamic_slice(x, (down.start + line * down.stride, 0, 0, first), (down.span, channels, width, rows))
    read = lax.slice_in_dim(read, 0, down.span, down.step)
    for tap in range(across.taps):
        begin = across.start + tap * across.step
        part = lax.slice_in_dim(read, begin, begin + across.reach, across.stride, 2)
        part = part.reshape(down.taps * channels, -1)
        room = lax.dynamic_update_slice(room, part, (tap * len(part), 0))
    return room
