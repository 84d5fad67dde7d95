"""Pooling as slices: the largest, smallest or sum of each window, a dimension at a time.

Values and gradients are those of `lax.reduce_window`; of equal numbers in a window the first, row by row,
gets the whole gradient. XLA's own gradients (`select_and_scatter` for a maximum, a padded `reduce_window` for a sum)
took a CPU core 1.4 to 38 times as long as slices for windows of 2 to 5, inside a loop or not. Slices for a window of 7
compiled three times as long, and a maximum was then slower than XLA's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sweeps.training.ops.sliding import sliding, taps

LARGEST_SLICED = 5
"""The most taps a window may have in one dimension to be taken as slices."""

Parameters: TypeAlias = Mapping[str, Any]
"""Those of `lax.reduce_window_max_p` and its kin: window_dimensions, window_strides, padding and two dilations."""


def pooled_max(x: jax.Array, parameters: Parameters) -> jax.Array:
    """What `lax.reduce_window_max_p.bind(x, **parameters)` gives; a NaN in a window is its maximum."""
    return _sliced(x, functools.partial(_first, lax.ge), _range(x.dtype)[0], parameters)


def pooled_min(x: jax.Array, parameters: Parameters) -> jax.Array:
    """What `lax.reduce_window_min_p.bind(x, **parameters)` gives; a NaN in a window is its minimum."""
    return _sliced(x, functools.partial(_first, lax.le), _range(x.dtype)[1], parameters)


def pooled_sum(x: jax.Array, parameters: Parameters) -> jax.Array:
    """What `lax.reduce_window_sum_p.bind(x, **parameters)` gives, to rounding."""
    return _sliced(x, lax.add, 0, parameters) if can_slice(parameters) else _tiled_sum(x, parameters)


def can_slice(parameters: Parameters) -> bool:
    """Whether windows are small enough to be taken as slices."""
    return max(parameters["window_dimensions"]) <= LARGEST_SLICED and set(parameters["base_dilation"]) == {1}


def can_sum(parameters: Parameters) -> bool:
    """Whether windows can be summed here: they are small, or lie side by side."""
    return can_slice(parameters) or lie_side_by_side(parameters)


def lie_side_by_side(parameters: Parameters) -> bool:
    """Whether no two windows share a number, and none reaches over an edge."""
    dilations = {*parameters["base_dilation"], *parameters["window_dilation"]}
    windows, strides = parameters["window_dimensions"], parameters["window_strides"]
    return windows == strides and dilations == {1} and not any(map(any, parameters["padding"]))


def tiled_max(x: jax.Array, parameters: Parameters) -> jax.Array:
    """`pooled_max` of floats in windows that lie side by side, whose gradient is one loop without padding."""
    return _tiled(x, tuple(parameters["window_dimensions"]), lax.ge)


def tiled_min(x: jax.Array, parameters: Parameters) -> jax.Array:
    """`pooled_min` of floats in windows that lie side by side, whose gradient is one loop without padding."""
    return _tiled(x, tuple(parameters["window_dimensions"]), lax.le)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _tiled(x: jax.Array, windows: tuple[int, ...], is_kept: Callable[..., jax.Array]) -> jax.Array:
    return _chosen(x, windows, is_kept)[0]


def _chosen(x: jax.Array, windows: tuple[int, ...], is_kept: Callable[..., jax.Array]) -> tuple[jax.Array, jax.Array]:
    """The number kept of each window, and its place among the numbers of the window, i32."""
    counts = [size // window for size, window in zip(x.shape, windows, strict=True)]
    ends = [count * window for count, window in zip(counts, windows, strict=True)]
    kept, place = lax.slice(x, [0] * x.ndim, ends, windows), jnp.zeros(counts, jnp.int32)
    for number, corner in enumerate(np.ndindex(*windows)):
        if number:
            other = lax.slice(x, corner, ends, windows)
            stays = is_kept(kept, other) | jnp.isnan(kept)
            kept, place = lax.select(stays, kept, other), lax.select(stays, place, jnp.full_like(place, number))
    return kept, place


def _tiled_forward(
    x: jax.Array, windows: tuple[int, ...], is_kept: Callable[..., jax.Array]
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    kept, place = _chosen(x, windows, is_kept)
    return kept, (place, x)  # of `x` only the shape is used


def _tiled_backward(
    windows: tuple[int, ...], _: Callable[..., jax.Array], known: tuple[jax.Array, jax.Array], slope: jax.Array
) -> tuple[jax.Array]:
    place, x = known
    within = tuple(range(1, 2 * x.ndim, 2))  # windows and the places within them take turns as dimensions
    tiles = [size for pair in zip(place.shape, windows, strict=True) for size in pair]
    outer = tuple(range(0, 2 * x.ndim, 2))
    number = jnp.zeros(tiles, jnp.int32)
    for axis, window in zip(within, windows, strict=True):
        if window > 1:
            number = number * window + lax.broadcasted_iota(jnp.int32, tiles, axis)
    is_it = number == lax.broadcast_in_dim(place, tiles, outer)
    spread = jnp.where(is_it, lax.broadcast_in_dim(slope, tiles, outer), jnp.zeros((), slope.dtype))
    whole = spread.reshape([count * window for count, window in zip(place.shape, windows, strict=True)])
    return (lax.pad(whole, jnp.zeros((), x.dtype), [(0, a - b, 0) for a, b in zip(x.shape, whole.shape, strict=True)]),)


_tiled.defvjp(_tiled_forward, _tiled_backward)


def _sliced(
    x: jax.Array, combine: Callable[[jax.Array, jax.Array], jax.Array], fill: Any, parameters: Parameters
) -> jax.Array:
    names = ("window_dimensions", "window_strides", "padding", "window_dilation")
    # The last dimension first: then the first of equal numbers is the first row by row.
    for axis in reversed(range(x.ndim)):
        of_axis = [parameters[name][axis] for name in names]
        if of_axis[:3] != [1, 1, (0, 0)]:
            x = functools.reduce(combine, taps(x, axis, sliding(x.shape[axis], *of_axis), fill))
    return x


def _tiled_sum(x: jax.Array, parameters: Parameters) -> jax.Array:
    pairs = [(size // window, window) for size, window in zip(x.shape, parameters["window_dimensions"], strict=True)]
    whole = lax.slice(x, [0] * x.ndim, [count * window for count, window in pairs])
    tiles = whole.reshape([size for pair in pairs for size in pair])
    return tiles.sum(axis=tuple(range(1, tiles.ndim, 2)), dtype=x.dtype)


def _first(is_kept: Callable[[jax.Array, jax.Array], jax.Array], left: jax.Array, right: jax.Array) -> jax.Array:
    """`left` where it is kept or NaN, else `right`: a choice, so that the gradient goes to one of them."""
    kept = is_kept(left, right)
    return jnp.where(kept | jnp.isnan(left) if jnp.issubdtype(left.dtype, jnp.inexact) else kept, left, right)


def _range(dtype: Any) -> tuple[Any, Any]:
    if jnp.issubdtype(dtype, jnp.inexact):
        return -np.inf, np.inf
    return np.iinfo(dtype).min, np.iinfo(dtype).max
