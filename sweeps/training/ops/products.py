"""A convolution as matrix products: the same sums, in primitives that are fast wherever they stand.

`convolution` takes all operands and parameters that `lax.conv_general_dilated_p` takes, and agrees with it to rounding.
The window of each output position is laid out as one row (a slice for each tap, concatenated), and all rows are
multiplied with the kernel at once. Derivatives are those of slices and products. A product for each tap, summed, needs
less memory, and took 1.4 to 23 times as long, forward and backward, for ten shapes on a CPU.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jax import lax

from sweeps.training.ops.sliding import SlidingWindows, sliding, taps

LARGEST_LAYOUT_BYTES = 16 * 2**20
"""Windows that take more memory than this are laid out some examples at a time, and again for the gradient.

Measured forward and backward on a core of an AMD EPYC with 1 MiB of second-level cache: layouts of 7 and 14 MB took
up to 1.8 times as long when cut, those of 29 MB and more 1.1 to 3 times less, and of 19 MB about as long.
"""
CUT_LAYOUT_BYTES = 4 * 2**20
"""About how much is laid out at a time then: 1 to 5 MB were alike, 9 MB up to 1.8 times slower."""


class Phase(NamedTuple):
    """Output positions of one spatial dimension that read the same taps of the kernel."""

    kernel_taps: slice
    windows: SlidingWindows


class Axis(NamedTuple):
    """One spatial dimension: its phases take turns; of those outputs `length` are kept and every `stride`-th taken."""

    phases: tuple[Phase, ...]
    length: int
    stride: int


class Multiply(Protocol):
    """Windows of `x` `[rows, *spatial, channels]` times `kernel` `[*taps, channels, outputs]`, summed over taps."""

    def __call__(self, x: jax.Array, kernel: jax.Array, windows: Sequence[SlidingWindows]) -> jax.Array: ...


def convolution(x: jax.Array, kernel: jax.Array, parameters: Mapping[str, Any]) -> jax.Array:
    """What `lax.conv_general_dilated_p.bind(x, kernel, **parameters)` gives where no size is 0.

    `x` has the shape `[rows, *spatial, channels]` and `kernel` `[*taps, channels / groups, outputs]`, their dimensions
    in the order that `dimension_numbers` says, and so has the result.
    """
    lhs, rhs, out = parameters["dimension_numbers"]
    x = x.transpose(lhs[0], *lhs[2:], lhs[1])
    kernel = kernel.transpose(*rhs[2:], rhs[1], rhs[0])
    by_axis = [parameters[name] for name in ("window_strides", "padding", "lhs_dilation", "rhs_dilation")]
    axes = [_axis(*of_one) for of_one in zip(x.shape[1:-1], kernel.shape[:-2], *by_axis, strict=True)]
    exact = {name: parameters[name] for name in ("precision", "preferred_element_type")}
    dense = functools.partial(_convolved, axes=axes, multiply=functools.partial(_product, **exact))
    groups, row_groups = parameters["feature_group_count"], parameters["batch_group_count"]
    if groups > 1 and kernel.shape[-2] == 1:
        weigh = functools.partial(_weighted_sum, dtype=exact["preferred_element_type"])
        y = _convolved(x, kernel, axes, weigh)
    elif groups > 1:
        grouped = jax.vmap(dense, in_axes=(-2, -2), out_axes=-2)
        y = _joined(grouped(_split(x, -1, groups), _split(kernel, -1, groups)))
    elif row_groups > 1:
        grouped = jax.vmap(dense, in_axes=(0, -2), out_axes=-2)
        y = _joined(grouped(_split(x, 0, row_groups), _split(kernel, -1, row_groups)))
    else:
        y = dense(x, kernel)
    order = (out[0], *out[2:], out[1])
    return y.transpose(*(order.index(dimension) for dimension in range(y.ndim)))


def _axis(size: int, window: int, stride: int, padding: tuple[int, int], base_dilation: int, dilation: int) -> Axis:
    """One dimension's geometry. With `base_dilation`, zeros between the inputs are skipped and not multiplied.

    Output `i` reads position `i + tap * dilation - low` of the dilated input, which holds a value where `base_dilation`
    divides it. So outputs of the same remainder (a phase) share their taps, and lie densely on the plain input.
    """
    if base_dilation == 1:
        windows = sliding(size, window, stride, padding, dilation)
        return Axis((Phase(slice(None), windows),), windows.length, 1)
    low, high = padding
    length = (size - 1) * base_dilation + 1 + low + high - (window - 1) * dilation
    phases = []
    for remainder in range(base_dilation):
        offsets = [remainder + tap * dilation - low for tap in range(window)]
        chosen = [tap for tap, offset in enumerate(offsets) if offset % base_dilation == 0]
        starts = tuple(offsets[tap] // base_dilation for tap in chosen)
        step = chosen[1] - chosen[0] if len(chosen) > 1 else 1
        taken = slice(chosen[0], chosen[-1] + 1, step) if chosen else slice(0, 0)
        phases.append(Phase(taken, SlidingWindows(starts, -(-length // base_dilation), 1)))
    return Axis(tuple(phases), length, stride)


def _convolved(x: jax.Array, kernel: jax.Array, axes: Sequence[Axis], multiply: Multiply) -> jax.Array:
    """`[rows, *outputs of each axis, outputs]`: each combination of the axes' phases by itself, then interleaved."""
    parts = []
    for phases in itertools.product(*(axis.phases for axis in axes)):
        their_kernel = kernel[tuple(phase.kernel_taps for phase in phases)]
        parts.append(multiply(x, their_kernel, [phase.windows for phase in phases]))
    if len(parts) == 1:
        return parts[0]
    counts, spatial = [len(axis.phases) for axis in axes], range(len(axes))
    y = jnp.stack(parts).reshape(*counts, *parts[0].shape)
    turns = [dimension for axis in spatial for dimension in (len(axes) + 1 + axis, axis)]
    y = y.transpose(len(axes), *turns, y.ndim - 1)
    lengths = [count * length for count, length in zip(counts, parts[0].shape[1:-1], strict=True)]
    y = y.reshape(len(x), *lengths, -1)
    kept = [slice(0, axis.length, axis.stride) for axis in axes]
    return y[:, *kept]


def _product(
    x: jax.Array, kernel: jax.Array, windows: Sequence[SlidingWindows], precision: Any, preferred_element_type: Any
) -> jax.Array:
    """One product of all windows, each laid out as a row of `taps * channels` numbers, with the kernel."""
    if kernel.size == 0:  # a phase that no tap reaches
        return _zeros(x, kernel, windows, preferred_element_type)
    lengths = [each.length for each in windows]
    matrix = kernel.reshape(-1, kernel.shape[-1])

    def multiplied(x: jax.Array) -> jax.Array:
        # Two dimensions, not more: XLA takes 1.5 times as long for the gradient of the other product on a CPU.
        laid_out = jnp.concatenate(_tap_slices(x, windows), axis=-1).reshape(-1, len(matrix))
        y = lax.dot_general(laid_out, matrix, (((1,), (0,)), ((), ())), precision, preferred_element_type)
        return y.reshape(len(x), *lengths, -1)

    layout_bytes = len(x) * math.prod(lengths) * len(matrix) * x.dtype.itemsize
    if layout_bytes <= LARGEST_LAYOUT_BYTES:
        return multiplied(x)
    return _in_cuts(multiplied, x, min(len(x), -(-layout_bytes // CUT_LAYOUT_BYTES)))


def _weighted_sum(x: jax.Array, kernel: jax.Array, windows: Sequence[SlidingWindows], dtype: Any) -> jax.Array:
    """A kernel for each channel alone (`[*taps, 1, channels * multiplier]`): a product would have one column.

    Floats of 16 bits are summed in 32, as a product sums them.
    """
    if kernel.size == 0:
        return _zeros(x, kernel, windows, dtype)
    channels, dtype = x.shape[-1], jnp.dtype(dtype or x.dtype)
    precise = jnp.float32 if jnp.issubdtype(dtype, jnp.floating) and dtype.itemsize < 4 else dtype
    weights = kernel.reshape(-1, *(1,) * (x.ndim - 1), channels, kernel.shape[-1] // channels).astype(precise)
    slices = (tap[..., None].astype(precise) for tap in _tap_slices(x, windows))
    terms = [tap * weight for tap, weight in zip(slices, weights, strict=True)]
    y: jax.Array = functools.reduce(lax.add, terms)
    return _joined(y).astype(dtype)


def _tap_slices(x: jax.Array, windows: Sequence[SlidingWindows]) -> list[jax.Array]:
    """What each tap of the kernel meets, in the order of the taps: `[rows, *lengths, channels]`."""
    slices = [x]
    for axis, each in enumerate(windows, 1):
        slices = [tap for part in slices for tap in taps(part, axis, each, 0)]
    return slices


def _zeros(x: jax.Array, kernel: jax.Array, windows: Sequence[SlidingWindows], dtype: Any) -> jax.Array:
    return jnp.zeros((len(x), *(each.length for each in windows), kernel.shape[-1]), dtype or x.dtype)


def _in_cuts(function: Callable[[jax.Array], jax.Array], x: jax.Array, count: int) -> jax.Array:
    """`function` of `count` equal numbers of rows after one another, and once more for the gradient."""
    rows = -(-len(x) // count)
    missing = -len(x) % rows
    padded = jnp.pad(x, [(0, missing)] + [(0, 0)] * (x.ndim - 1)) if missing else x
    y: jax.Array = lax.map(jax.checkpoint(function, prevent_cse=False), padded.reshape(-1, rows, *x.shape[1:]))
    return y.reshape(-1, *y.shape[2:])[: len(x)]


def _split(x: jax.Array, axis: int, groups: int) -> jax.Array:
    """Dimension `axis` as `[groups, size / groups]`."""
    axis %= x.ndim
    return x.reshape(*x.shape[:axis], groups, -1, *x.shape[axis + 1 :])


def _joined(y: jax.Array) -> jax.Array:
    """The last two dimensions as one."""
    return y.reshape(*y.shape[:-2], -1)
