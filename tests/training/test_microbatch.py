"""Micro-batch arithmetic: counted by hand, for every batch size and micro-batch."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
import tolerances
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sweeps.training import microbatch

MOST = 60

Sizes = tuple[int, int, int]


@st.composite
def sizes(draw: st.DrawFn) -> Sizes:
    """Examples, a batch size that they allow, and any micro-batch size."""
    examples = draw(st.integers(1, MOST))
    return examples, draw(st.integers(1, examples)), draw(st.integers(1, MOST + 10))


def walk(examples: int, batch_size: int, micro_batch: int) -> list[list[tuple[range, float]]]:
    """The parts of every batch of an epoch: which places of the permutation, and with what weight."""
    # One shape for every example: nothing is compiled anew.
    updates, indices = (jnp.asarray(grid.ravel(), jnp.int32) for grid in np.mgrid[:MOST, :MOST])
    table = microbatch.part(updates, indices, jnp.asarray(batch_size), examples, micro_batch)
    starts, rows, weights = (np.asarray(leaf).reshape(MOST, MOST) for leaf in table)
    batches = []
    for update in range(int(microbatch.iterations_per_epoch(examples, batch_size))):
        size = min(batch_size, examples - update * batch_size)
        batches.append(
            [
                (
                    range(starts[update, index], starts[update, index] + rows[update, index]),
                    float(weights[update, index]),
                )
                for index in range(-(-size // micro_batch))
            ]
        )
    return batches


@pytest.mark.parametrize(
    ("examples", "batch_size", "iterations"),
    [(2_000, 500, 4), (1_050, 100, 11), (100_000, 100, 1_000), (10, 10, 1), (10, 1, 10), (11, 10, 2), (1, 1, 1)],
)
def test_an_epoch_has_the_batches_that_cover_its_examples(examples: int, batch_size: int, iterations: int) -> None:
    assert microbatch.iterations_per_epoch(examples, batch_size) == iterations


def test_1050_examples_at_batch_100_end_with_a_batch_of_50() -> None:
    last = microbatch.part(jnp.asarray(10), jnp.asarray(0), jnp.asarray(100), 1_050, 100)
    assert (int(last.start), int(last.rows)) == (1_000, 50)
    np.testing.assert_allclose(last.weight, 1 / 50, **tolerances.FORMULA)


@given(sizes())
def test_every_row_is_visited_once_in_an_epoch_and_in_its_own_batch(chosen: Sizes) -> None:
    examples, batch_size, _ = chosen
    batches = [[row for rows, _ in parts for row in rows] for parts in walk(*chosen)]
    assert batches == [
        list(range(first, min(first + batch_size, examples))) for first in range(0, examples, batch_size)
    ]


@given(sizes())
def test_the_rows_of_a_batch_have_equal_weights_that_sum_to_one(chosen: Sizes) -> None:
    for parts in walk(*chosen):
        assert len({weight for _, weight in parts}) == 1
        np.testing.assert_allclose(sum(len(rows) * weight for rows, weight in parts), 1, **tolerances.FORMULA)


@given(sizes())
def test_a_part_is_a_whole_micro_batch_except_for_the_last_of_its_batch(chosen: Sizes) -> None:
    for parts in walk(*chosen):
        assert all(len(rows) == chosen[2] for rows, _ in parts[:-1])
        assert 1 <= len(parts[-1][0]) <= chosen[2]


@given(sizes())
def test_a_part_past_the_end_of_its_batch_has_no_rows_and_starts_inside_the_order(chosen: Sizes) -> None:
    examples, batch_size, micro_batch = chosen
    past = microbatch.parts_per_batch(jnp.asarray(batch_size), micro_batch)
    part = microbatch.part(jnp.asarray(0), past, jnp.asarray(batch_size), examples, micro_batch)
    assert int(part.rows) == 0
    assert 0 <= int(part.start) <= examples


program_micro_batches = st.lists(st.integers(1, 300), min_size=1, max_size=4, unique=True).map(
    lambda found: tuple(sorted(found))
)


@given(st.integers(1, 400), program_micro_batches)
@example(20, (20, 53))
def test_a_batch_takes_the_smallest_micro_batch_that_holds_it_or_else_the_largest(
    batch_size: int, micro_batches: tuple[int, ...]
) -> None:
    holding = [size for size in micro_batches if size >= batch_size]
    expected = min(holding, default=max(micro_batches))
    assert microbatch.micro_batch_of(batch_size, micro_batches) == expected
    assert micro_batches[int(microbatch.choice_of(jnp.asarray(batch_size), micro_batches))] == expected


@given(st.lists(st.integers(1, 2_000), min_size=1, max_size=20))
@settings(max_examples=50)
def test_a_set_of_sizes_is_short_ascending_and_never_wider_than_the_largest_batch(batch_sizes: list[int]) -> None:
    micro_batches = microbatch.choose_micro_batches(batch_sizes)
    assert 1 <= len(micro_batches) <= microbatch.MOST_SIZES
    assert list(micro_batches) == sorted(set(micro_batches))
    assert max(micro_batches) <= max(batch_sizes)
    assert max(micro_batches) <= microbatch.LARGEST


@given(st.integers(1, microbatch.LARGEST))
@settings(max_examples=50)
def test_one_batch_size_is_one_part_without_padding(batch_size: int) -> None:
    assert microbatch.choose_micro_batches([batch_size]) == (batch_size,)
    assert microbatch.padding(batch_size, (batch_size,)) == 0


@given(st.integers(1, 500), program_micro_batches)
def test_padding_is_the_fraction_of_the_computed_rows_that_do_not_count(
    batch_size: int, micro_batches: tuple[int, ...]
) -> None:
    size = microbatch.micro_batch_of(batch_size, micro_batches)
    computed = size * len(range(0, batch_size, size))
    np.testing.assert_allclose(
        microbatch.padding(batch_size, micro_batches), (computed - batch_size) / computed, atol=1e-12
    )
