"""The order of rows: a permutation for every key, epoch and number of rows, and as good as uniformly drawn."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.training.shuffle import permutation

words = st.integers(0, 2**32 - 1)


@functools.partial(jax.jit, static_argnames="rows")
def orders(keys: jax.Array, epochs: jax.Array, rows: int) -> jax.Array:
    one = functools.partial(permutation, chunk=0, size=rows, rows=jnp.int32(rows))
    return jax.vmap(one)(keys, epochs)


def drawn(count: int, rows: int) -> np.ndarray:
    """So many orders, of keys that differ a little and of neighbouring epochs: `[count, rows]`."""
    keys = np.stack([np.arange(count) // 8, np.full(count, 3)], axis=1).astype(np.uint32)
    return np.asarray(orders(keys, (np.arange(count) % 8).astype(np.int32), rows))


def chi_square(counts: np.ndarray) -> float:
    """Pearson's statistic of equally likely cells, in standard deviations from its mean."""
    expected = counts.sum() / counts.size
    freedom = counts.size - 1
    return float((((counts - expected) ** 2 / expected).sum() - freedom) / np.sqrt(2 * freedom))


@given(words, words, st.integers(0, 5_000), st.sampled_from([1, 2, 3, 4, 5, 31, 32, 33, 257]))
@settings(max_examples=60)
def test_an_order_is_that_of_the_plain_walk_over_the_places(first: int, second: int, epoch: int, rows: int) -> None:
    key = np.array([first, second], np.uint32)
    found = np.asarray(orders(key[None], np.array([epoch], np.int32), rows))[0]
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, reference.permutation(key, epoch, 0, rows))


@pytest.mark.parametrize("rows", [1, 2, 3, 1_000, 1_024, 1_025, 54_000])
def test_every_row_comes_once(rows: int) -> None:
    for order in drawn(3, rows):
        np.testing.assert_array_equal(np.sort(order), np.arange(rows))


@pytest.mark.parametrize("rows", [3, 4, 5])
def test_every_order_of_a_few_rows_is_as_likely_as_the_others(rows: int) -> None:
    every = [tuple(order) for order in itertools.permutations(range(rows))]
    found = [tuple(order) for order in drawn(400 * len(every), rows).tolist()]
    assert abs(chi_square(np.array([found.count(order) for order in every]))) < 4


def cells(orders_drawn: np.ndarray, rows: int) -> Iterator[np.ndarray]:
    """Counts that are equal on average if the orders are uniform: places, and first and second differences."""
    place = np.broadcast_to(np.arange(rows), orders_drawn.shape)
    yield np.histogram2d(place.ravel(), orders_drawn.ravel(), 20, ((0, rows), (0, rows)))[0]
    wide = orders_drawn.astype(np.int64)
    yield np.histogram(np.diff(wide) % rows, 50, (0, rows))[0]
    yield np.histogram(np.diff(wide, 2) % rows, 50, (0, rows))[0]


@pytest.mark.parametrize("rows", [1_000, 54_000])
def test_where_a_row_comes_says_nothing_of_the_next(rows: int) -> None:
    assert all(abs(chi_square(counts)) < 4 for counts in cells(drawn(40, rows), rows))


def test_two_epochs_and_two_trials_have_unrelated_orders() -> None:
    """Two random orders of n rows agree in one place on average."""
    found = drawn(64, 1_000)
    agreeing = [(one == other).sum() for one, other in itertools.combinations(found, 2)]
    assert 0.9 < np.mean(agreeing) < 1.1
    assert max(agreeing) < 10


def test_the_epoch_may_be_traced() -> None:
    key = jnp.arange(2, dtype=jnp.uint32)
    one = functools.partial(permutation, key, chunk=0, size=7, rows=jnp.int32(7))
    np.testing.assert_array_equal(jax.jit(one)(jnp.int32(5)), one(jnp.int32(5)))


@given(words, words, st.integers(0, 99), st.integers(0, 9), st.integers(1, 16))
@settings(max_examples=30)
def test_a_chunk_that_is_not_full_is_shuffled_among_its_own_rows(
    first: int, second: int, epoch: int, chunk: int, rows: int
) -> None:
    key = np.array([first, second], np.uint32)
    order = partly_full(key, jnp.int32(epoch), jnp.int32(chunk), jnp.int32(rows))
    found = order[:rows]
    np.testing.assert_array_equal(order[rows:], 0)
    np.testing.assert_array_equal(found, reference.permutation(key, epoch, chunk, rows))
    np.testing.assert_array_equal(np.sort(found), np.arange(rows))


@jax.jit
def partly_full(key: jax.Array, epoch: jax.Array, chunk: jax.Array, rows: jax.Array) -> jax.Array:
    return permutation(key, epoch, chunk, 16, rows)


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 1_000])
def test_the_few_rows_of_a_large_chunk_walk_among_few_places(rows: int) -> None:
    """Among all places of the chunk, three rows would walk for some 90,000 steps."""
    key = np.array([rows, 1], np.uint32)
    found = permutation(key, jnp.int32(0), 7, 2**18, jnp.int32(rows))[:rows]
    np.testing.assert_array_equal(found, reference.permutation(key, 0, 7, rows))
