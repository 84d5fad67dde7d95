"""Light augmentation of images in the program: shifts and left-right mirrors, drawn anew whenever a row is taken.

Pixels move in their storage type, before the dataset's `scale` and `offset`. So a pixel that comes in from outside is a
stored zero, as the edge of most images is, and a model sees what `scale` and `offset` make of it.

The draws are a lane's own, and both numbers may be tracers. Rows are taken out of the data pixel by pixel, each from
where it comes: on a CPU this is quicker than moving rows that have been taken, by index, by slice or by products with
shifted unit matrices.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp

SHIFT, FLIP = "augmentation.shift", "augmentation.flip"
"""The values of a lane: the most pixels in each direction, and the probability of a mirror."""


def is_wanted(names: tuple[str, ...]) -> bool:
    """Whether a program whose lanes have values of these names augments its rows."""
    return SHIFT in names or FLIP in names


def taken(images: jax.Array, rows: jax.Array, values: Mapping[str, jax.Array], key: jax.Array) -> jax.Array:
    """`images[rows]`, each row moved and mirrored by its own draws.

    Args:
        images: `[all rows, height, width]` or `[all rows, height, width, channels]`, of any dtype.
        rows: i32 `[rows]`. One that repeats the first of them is moved as that is.
        values: f32. `SHIFT` moves a row by a whole number of pixels from -shift to shift, all equally likely,
            vertically, and by another one horizontally; `FLIP` mirrors it with that probability. Either may be missing.
        key: What is drawn from.

    Returns:
        `[rows, …]` of the dtype of `images`.
    """
    _, height, width = images.shape[:3]
    drawn = jax.random.uniform(key, (len(rows), 3))
    # A masked row of a batch repeats the first one, and must be no other image than that.
    uniform = jnp.where((rows == rows[0])[:, None], drawn[:1], drawn)
    down, right = (_offset(values[SHIFT], uniform[:, axis]) if SHIFT in values else None for axis in (0, 1))
    line, is_line = _sources(height, down, len(rows))
    column, is_column = _sources(width, right, len(rows))
    if FLIP in values:
        column = jnp.where((uniform[:, 2] < values[FLIP])[:, None], width - 1 - column, column)
    moved = images[rows[:, None, None], line[:, :, None], column[:, None, :]]
    is_inside = is_line[:, :, None] & is_column[:, None, :]
    return jnp.where(is_inside.reshape(is_inside.shape + (1,) * (moved.ndim - 3)), moved, jnp.zeros((), moved.dtype))


def _offset(most: jax.Array, uniform: jax.Array) -> jax.Array:
    """Whole numbers from -most to most, of uniform ones in [0, 1) that are multiples of 2^-23."""
    return (jnp.floor(uniform * (2 * most + 1)) - most).astype(jnp.int32)


def _sources(size: int, offset: jax.Array | None, rows: int) -> tuple[jax.Array, jax.Array]:
    """Where the places of a line moved by `offset`, i32 `[rows]`, come from, and which were in it; `[rows, size]`."""
    places = jnp.broadcast_to(jnp.arange(size, dtype=jnp.int32), (rows, size))
    if offset is None:
        return places, jnp.ones((rows, size), bool)
    from_place = places - offset[:, None]
    return jnp.clip(from_place, 0, size - 1), (from_place >= 0) & (from_place < size)
