"""Micro-batch arithmetic: how a lane of any batch size walks its epoch in fixed-size parts.

A program has a few micro-batch sizes. A batch that fits one of them is one part of the smallest that it fits, masked at
its end; a larger one is several parts of the largest, their gradients summed with weight `1 / len(batch)`. The last
batch of an epoch may be smaller, and counts. Every quantity here may be a traced value; only micro-batch sizes are
Python ints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

STEP_OVERHEAD_ROWS = 12
"""What a part costs besides its rows, in rows: measured on MNIST's MLP-128, micro-batches 32 to 512 on a CPU core."""
UPDATE_OVERHEAD_ROWS = 16
"""What an optimizer update costs, in rows: Adam on the same model."""
SIZE_GAIN = 0.025
"""Another size must save this fraction of the modelled cost: it is compiled too (0.1 s for a small model)."""
MOST_SIZES = 4
LARGEST = 256
"""Past this many rows a matrix product gains nothing more, and activations leave the cache."""


class MicroBatches(NamedTuple):
    """The micro-batch sizes of a program, ascending."""

    sizes: tuple[int, ...]
    splits: bool  # whether there are batches larger than the last size
    tail: int = 0  # rows of an epoch's last batch, where it is taken in a size of its own


def whole_batches(batch_size: int, examples: int) -> MicroBatches:
    """For a model whose batches are neither split nor padded: this size, and what is left of an epoch's rows.

    >>> whole_batches(100, 1050)
    MicroBatches(sizes=(100,), splits=False, tail=50)
    """
    return MicroBatches((batch_size,), splits=False, tail=examples % batch_size)


class Part(NamedTuple):
    """One part of one batch. All fields are scalars, or `[lanes]` under vmap."""

    start: jax.Array  # i32, its first row in the lane's permutation
    rows: jax.Array  # i32 in [0, micro_batch], rows that count; the others are masked
    weight: jax.Array  # f32, 1 / examples in the whole batch


def parts_per_batch(batch_size: Any, micro_batch: int) -> Any:
    """Parts that a batch is taken in; whole numbers, traced or not."""
    return (batch_size + micro_batch - 1) // micro_batch


def iterations_per_epoch(examples: Any, batch_size: Any) -> Any:
    """Optimizer updates in an epoch; whole numbers, traced or not.

    >>> iterations_per_epoch(1050, 100)
    11
    """
    return (examples + batch_size - 1) // batch_size


def part(update: jax.Array, index: jax.Array, batch_size: jax.Array, examples: int, micro_batch: int) -> Part:
    """Part `index` of the batch that belongs to optimizer update `update` of an epoch.

    Args:
        update: i32, the number of the update within its epoch.
        index: i32, the number of the part within its batch.
        batch_size: i32, examples of every batch but an epoch's last.
        examples: Rows of an epoch.
        micro_batch: Rows of a part.
    """
    first = update * batch_size
    size = jnp.clip(examples - first, 1, batch_size)
    start = first + index * micro_batch
    return Part(
        start=jnp.minimum(start, examples),
        rows=jnp.clip(size - index * micro_batch, 0, micro_batch),
        weight=1.0 / size.astype(jnp.float32),
    )


def choice_of(batch_size: jax.Array, micro_batches: Sequence[int]) -> jax.Array:
    """The index of the smallest micro-batch that a batch fits in, or else of the largest."""
    return sum((batch_size > size).astype(jnp.int32) for size in micro_batches[:-1]) + jnp.zeros((), jnp.int32)


def micro_batch_of(batch_size: int, micro_batches: Sequence[int]) -> int:
    """The same on the host, as a size.

    >>> [micro_batch_of(size, (32, 128)) for size in (20, 32, 33, 500)]
    [32, 32, 128, 128]
    """
    return next((size for size in micro_batches if size >= batch_size), micro_batches[-1])


def padding(batch_size: int, micro_batches: Sequence[int]) -> float:
    """The fraction of computed rows that are masked.

    >>> padding(48, (32, 64))
    0.25
    """
    micro_batch = micro_batch_of(batch_size, micro_batches)
    return 1 - batch_size / (-(-batch_size // micro_batch) * micro_batch)


def cost_per_example(batch_size: int, micro_batches: Sequence[int]) -> float:
    """Modelled cost of an example of a batch, in rows: 1 would be a machine without overhead or padding."""
    micro_batch = micro_batch_of(batch_size, micro_batches)
    parts = -(-batch_size // micro_batch)
    return (parts * (micro_batch + STEP_OVERHEAD_ROWS) + UPDATE_OVERHEAD_ROWS) / batch_size


def choose_micro_batches(batch_sizes: Sequence[int]) -> tuple[int, ...]:
    """The few micro-batch sizes that serve all these batch sizes best, by modelled cost, ascending.

    A set that holds the largest batch saves the loop over parts, which is compiled like another size.

    >>> choose_micro_batches([100]), choose_micro_batches([1_000])
    ((100,), (250,))
    >>> choose_micro_batches([32, 64, 128, 256]), choose_micro_batches([32, 64, 128, 256, 512])
    ((32, 64, 128, 256), (32, 64, 128))
    """
    largest = max(batch_sizes)
    powers = {2**exponent for exponent in range(9) if 2**exponent <= largest}
    even = {-(-size // parts) for size in batch_sizes for parts in [-(-size // LARGEST)]}
    candidates = sorted(powers | even)

    def cost(micro_batches: tuple[int, ...]) -> float:
        bodies = len(micro_batches) + (micro_batches[-1] < largest)
        mean = sum(cost_per_example(size, micro_batches) for size in batch_sizes) / len(batch_sizes)
        return mean * (1 - SIZE_GAIN) ** -bodies

    chosen: tuple[int, ...] = min(((candidate,) for candidate in candidates), key=cost)
    while len(chosen) < MOST_SIZES:
        longer = min((tuple(sorted({*chosen, candidate})) for candidate in candidates), key=cost)
        if cost(longer) >= cost(chosen):
            break
        chosen = longer
    return chosen
