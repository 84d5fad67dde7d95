"""The order of an epoch's rows: a keyed permutation that is computed, not sorted.

Where a row stands depends on the key, the epoch, its chunk and the chunk's rows, and nothing else. Every place is sent
through a bijection of the next power of two, again and again until it lands among the rows ("cycle walking": J. Black
and P. Rogaway, Ciphers with Arbitrary Finite Domains, 2002). That power is of the chunk's own rows: in one of a full
chunk, the few rows of a last chunk would walk for as many steps as a full one has rows. That a keyed bijection serves
as a shuffle: R. Mitchell et al., Bandwidth-Optimal Random Shuffling for GPUs, 2022. Sorting random bits takes ten times
as long to run, and the bits take longer to compile than a small model's gradient.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

ROUNDS = 12
"""Of multiplying, adding and folding. From 8 on, no test of ours tells the orders from uniformly drawn ones."""


def permutation(key: jax.Array, epoch: jax.Array, chunk: jax.Array | int, size: int, rows: jax.Array) -> jax.Array:
    """An epoch's order of the rows of a chunk.

    Args:
        key: u32 `[2]`, of the trial.
        epoch: i32, from 0.
        chunk: i32, its number within the data.
        size: Places in the result.
        rows: i32, the rows of the chunk, at least one and at most `size`.

    Returns:
        i32 `[size]`: the numbers 0 to `rows - 1` in their order, then row 0 again and again.

    >>> sorted(permutation(jnp.arange(2, dtype=jnp.uint32), jnp.int32(0), 0, 5, jnp.int32(5)).tolist())
    [0, 1, 2, 3, 4]
    """
    count = rows.astype(jnp.uint32)
    bits = jnp.maximum(32 - jax.lax.clz(count - 1), 1)
    mask, fold = (jnp.uint32(1) << bits) - 1, (bits + 1) // 2
    constants = round_constants(key, epoch, chunk)

    def scatter(place: jax.Array) -> jax.Array:
        for index in range(ROUNDS):
            place = (place * constants[0, index] + constants[1, index]) & mask
            place = place ^ (place >> fold)
        return place

    # Every place of a row starts outside, by a bit that scattering masks away.
    places = jnp.arange(size, dtype=jnp.uint32)
    place = jax.lax.while_loop(
        lambda place: (place >= count).any(),
        lambda place: jnp.where(place >= count, scatter(place), place),
        jnp.where(places < count, places | (mask + 1), 0),
    )
    return jax.lax.bitcast_convert_type(place, jnp.int32)


def round_constants(key: jax.Array, epoch: jax.Array, chunk: jax.Array | int) -> jax.Array:
    """What the rounds for one chunk of one epoch multiply by (odd numbers) and add: u32 `[2, ROUNDS]`."""
    counter = jnp.arange(2 * ROUNDS, dtype=jnp.uint32).reshape(2, ROUNDS) * jnp.uint32(0x9E3779B9)
    place = mix(mix(epoch.astype(jnp.uint32)) + jnp.asarray(chunk).astype(jnp.uint32))
    words = mix(mix(place ^ key[0]) + counter ^ key[1])
    return words | jnp.array([[1], [0]], jnp.uint32)


def mix(word: jax.Array) -> jax.Array:
    """MurmurHash3's finalizer (A. Appleby): every bit of a u32 changes each bit of the result about half the time."""
    word = (word ^ (word >> jnp.uint32(16))) * jnp.uint32(0x85EBCA6B)
    word = (word ^ (word >> jnp.uint32(13))) * jnp.uint32(0xC2B2AE35)
    mixed: jax.Array = word ^ (word >> jnp.uint32(16))
    return mixed
