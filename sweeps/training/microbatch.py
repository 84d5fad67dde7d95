"""Micro-batch arithmetic: how a lane of any batch size walks its epoch in fixed-size parts.

A batch of `batch_size` examples is taken as `ceil(batch_size / micro_batch)` parts, its gradients summed with weight
`1 / len(batch)`; the last batch of an epoch may be smaller, and counts. Every quantity here may be a traced value;
only `micro_batch` is a Python int.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

STEP_OVERHEAD_ROWS = 8
"""What a part costs besides its rows, in rows: measured on MNIST's MLP-128, micro-batches 32 to 512 on a CPU core."""
UPDATE_OVERHEAD_ROWS = 20
"""What an optimizer update costs, in rows: Adam on the same model."""
MOST_BODIES = 3
"""A program holds at most so many micro-batch sizes; each is compiled (about 0.3 s for a small model)."""
WORTHWHILE_GAIN = 0.05
"""Another micro-batch size must save this fraction of the modelled cost."""
LARGEST = 256
"""Past this many rows a matrix product gains nothing more, and activations leave the cache."""


class Part(NamedTuple):
    """One part of one batch. All fields are scalars, or `[lanes]` under vmap."""

    start: jax.Array  # i32, its first row in the lane's permutation
    rows: jax.Array  # i32 in [0, micro_batch], rows that count; the others are masked
    weight: jax.Array  # f32, 1 / examples in the whole batch
    completes: jax.Array  # bool, whether it is its batch's last part


def parts_per_batch(batch_size: jax.Array, micro_batch: int) -> jax.Array:
    return (batch_size + micro_batch - 1) // micro_batch


def iterations_per_epoch(examples: int, batch_size: jax.Array | int) -> jax.Array | int:
    """Optimizer updates in an epoch.

    >>> iterations_per_epoch(1050, 100)
    11
    """
    return (examples + batch_size - 1) // batch_size


def part(update: jax.Array, index: jax.Array, batch_size: jax.Array, examples: int, micro_batch: int) -> Part:
    """Part `index` of the batch that belongs to optimizer update `update` of an epoch."""
    first = update * batch_size
    size = jnp.clip(examples - first, 1, batch_size)
    start = first + index * micro_batch
    return Part(
        start=jnp.minimum(start, examples),
        rows=jnp.clip(size - index * micro_batch, 0, micro_batch),
        weight=1.0 / size.astype(jnp.float32),
        completes=index == parts_per_batch(size, micro_batch) - 1,
    )


def padding(batch_size: int, micro_batch: int) -> float:
    """The fraction of computed rows that are masked.

    >>> padding(48, 32)
    0.25
    """
    computed = -(-batch_size // micro_batch) * micro_batch
    return 1 - batch_size / computed


def cost_per_example(batch_size: int, micro_batch: int) -> float:
    """Modelled cost of an example of a batch, in rows: 1 would be a machine without overhead or padding."""
    parts = -(-batch_size // micro_batch)
    return (parts * (micro_batch + STEP_OVERHEAD_ROWS) + UPDATE_OVERHEAD_ROWS) / batch_size


def choose_body(batch_size: int, micro_batches: Sequence[int]) -> int:
    """The index of the cheapest micro-batch for a batch size."""
    return min(range(len(micro_batches)), key=lambda index: cost_per_example(batch_size, micro_batches[index]))


def choose_micro_batches(batch_sizes: Sequence[int], most: int = MOST_BODIES) -> tuple[int, ...]:
    """The few micro-batch sizes that serve all these batch sizes best, by modelled cost, ascending.

    >>> choose_micro_batches([100])
    (100,)
    >>> choose_micro_batches([32, 64, 128, 256, 512])
    (32, 128)
    """
    powers = {2**exponent for exponent in range(3, 9)}
    candidates = sorted({min(size, LARGEST) for size in batch_sizes} | {p for p in powers if p <= max(batch_sizes)})

    def mean_cost(bodies: tuple[int, ...]) -> float:
        return sum(min(cost_per_example(size, body) for body in bodies) for size in batch_sizes) / len(batch_sizes)

    chosen = min(((candidate,) for candidate in candidates), key=mean_cost)
    while len(chosen) < most:
        wider = min(((*chosen, candidate) for candidate in candidates), key=mean_cost)
        if mean_cost(wider) > (1 - WORTHWHILE_GAIN) * mean_cost(chosen):
            break
        chosen = wider
    return tuple(sorted(chosen))
