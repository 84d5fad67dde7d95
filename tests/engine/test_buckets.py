"""Buckets: which micro-batch sizes lanes side by side get a program for, and that no result depends on it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import sweeping
import tolerances
from hypothesis import given, settings
from hypothesis import strategies as st
from sweeping import assert_same, config, counting_compilations, lane_trial, refer, train_in_lanes, vmapped

from sweeps.config import SweepConfig, space
from sweeps.engine.buckets import BUCKET_GAIN, MOST_BUCKETS, STEP_ROWS, bucket_cost, choose_buckets
from sweeps.engine.program import Program
from sweeps.training.microbatch import LARGEST, micro_batch_of

batch_sizes = st.lists(st.integers(1, 2_000), min_size=1, max_size=12, unique=True)


@given(batch_sizes)
@settings(max_examples=50)
def test_there_are_one_to_three_buckets_ascending_and_no_wider_than_the_largest_batch(sizes: list[int]) -> None:
    buckets = choose_buckets(sizes)
    assert 1 <= len(buckets) <= MOST_BUCKETS
    assert list(buckets) == sorted(set(buckets))
    assert max(buckets) <= min(max(sizes), LARGEST)


@given(batch_sizes)
@settings(max_examples=50)
def test_every_bucket_has_a_batch_size(sizes: list[int]) -> None:
    buckets = choose_buckets(sizes)
    assert {micro_batch_of(size, buckets) for size in sizes} == set(buckets)


@given(st.lists(st.integers(1, 24), min_size=1, max_size=4, unique=True), st.sets(st.integers(1, 24), min_size=1))
@settings(max_examples=50)
def test_the_modelled_cost_counts_the_steps_that_lanes_take_together(sizes: list[int], chosen: set[int]) -> None:
    buckets = sorted(chosen)
    examples = math.lcm(*sizes)
    rows = 0.0
    for micro_batch in buckets:
        walks = [walk(examples, size, micro_batch) for size in sizes if micro_batch_of(size, buckets) == micro_batch]
        steps = len(max(walks, key=len, default=[]))  # a lane that is done waits for the others
        rows += len(walks) * steps * (micro_batch + STEP_ROWS)
    np.testing.assert_allclose(bucket_cost(sizes, buckets), rows / len(sizes) / examples, rtol=1e-12)


def walk(examples: int, batch_size: int, micro_batch: int) -> list[range]:
    """The parts of an epoch, batch by batch."""
    starts = (range(first, first + batch_size, micro_batch) for first in range(0, examples, batch_size))
    return [range(start, start + micro_batch) for batch in starts for start in batch]


@pytest.mark.parametrize(
    ("low", "high", "count"), [(32, 32, 1), (64, 100, 1), (1, 4096, 3)], ids=["one size", "a little", "anything"]
)
def test_the_wider_the_batch_sizes_the_more_buckets(low: int, high: int, count: int) -> None:
    sizes = {"type": "int", "low": low, "high": high, "log": True}
    swept = config(search_space={"epochs": 1, "learning_rate": 0.1, "batch_size": sizes})
    assert len(choose_buckets(space.batch_sizes(swept))) == count


@given(batch_sizes)
@settings(max_examples=50)
def test_another_bucket_saves_a_quarter_of_the_modelled_cost(sizes: list[int]) -> None:
    buckets = choose_buckets(sizes)
    singles = min(bucket_cost(sizes, (size,)) for size in range(1, min(max(sizes), LARGEST) + 1))
    if len(buckets) > 1:
        # A single bucket is chosen among some sizes alone, none of which is much worse than the best of all.
        assert bucket_cost(sizes, buckets) <= (1 - BUCKET_GAIN) * 1.25 * singles


# ---- trials in buckets -----------------------------------------------------------------------------------------------

TRIALS: list[dict[str, Any]] = [
    {"epochs": epochs, "batch_size": size, "learning_rate": 0.05}
    for epochs, size in [(2, 1), (3, 53), (2, 4), (1, 20), (2, 2), (2, 50)]
]


def sweep(**changes: Any) -> SweepConfig:
    searched = {
        "epochs": {"type": "int", "low": 1, "high": 4},
        "batch_size": {"type": "int", "low": 1, "high": 53, "log": True},
        "learning_rate": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
    }
    return config(search_space=searched, **changes)


def test_a_trial_in_its_bucket_is_the_trial_in_the_plain_loop() -> None:
    policy = vmapped(2, groups=2)
    programs = sweeping.make_programs(sweep(), policy)
    trials_in_lanes = [lane_trial(programs, sweep(), *each) for each in enumerate(TRIALS)]
    assert (
        len({trial_in_lane.program_key.micro_batches for trial_in_lane in trials_in_lanes})
        == len(programs.program_micro_batches)
        == 3
    )
    from_lanes = train_in_lanes(programs, policy, trials_in_lanes)
    for number in (0, 1, 2, 5):
        assert_same(from_lanes[number], refer(sweep(), number, TRIALS[number]), tolerances.TRAINED)


def test_every_bucket_is_compiled_once_and_ahead_of_the_first_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    begin, begun = Program.begin_to_compile, []

    def watched(self: Program) -> None:
        begun.append(self.micro_batches.sizes)
        begin(self)

    monkeypatch.setattr(Program, "begin_to_compile", watched)
    policy = vmapped(2)
    with counting_compilations() as compiled:
        programs = sweeping.make_programs(sweep(), policy)
        programs.compile_ahead()
        assert begun == [micro_batches.sizes for micro_batches in programs.program_micro_batches]
        train_in_lanes(programs, policy, [lane_trial(programs, sweep(), *each) for each in enumerate(TRIALS)])
    assert len(compiled) == 3


def test_a_micro_batch_that_is_given_makes_one_bucket() -> None:
    programs = sweeping.make_programs(sweep(micro_batch=7), vmapped(2))
    assert [micro_batches.sizes for micro_batches in programs.program_micro_batches] == [(7,)]


def test_lanes_one_after_the_other_keep_their_sizes_in_one_program() -> None:
    programs = sweeping.make_programs(sweep(), sweeping.mapped(2))
    (micro_batches,) = programs.program_micro_batches
    assert len(micro_batches.sizes) > 1
