"""Rows that stream through a device train a trial as resident rows do, in batches that span chunks too."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest
import tolerances
from sweeping import CPU, Trained, assert_same, config, lane_trial, mapped, refer, train_in_lanes, vmapped

from sweeps.datasets.dataset import Dataset, Split
from sweeps.datasets.loading import Datasets
from sweeps.engine.devices import Policy
from sweeps.engine.feed import chunk_rows, feed
from sweeps.engine.programs import Programs

pytestmark = pytest.mark.usefixtures("ordinary_promotion")

CHUNK_BYTES = 16 * (2 * 4 + 4)
"""Sixteen rows of two float32 and a label: the 53 rows are four chunks, the last of five."""
TRIALS: list[dict[str, Any]] = [
    {"epochs": epochs, "batch_size": size, "learning_rate": 0.1}
    for epochs, size in [(3, 8), (2, 13), (2, 16), (2, 1), (1, 5)]
]
SWEPT = config(
    dataset={"use": "sweeping:blobs"},
    search_space={
        "epochs": {"type": "int", "low": 1, "high": 4},
        "batch_size": {"type": "int", "low": 1, "high": 16},
        "learning_rate": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
    },
)


def trained(policy: Policy) -> dict[int, Trained]:
    programs = Programs(SWEPT, Datasets(), policy, chunk_bytes=CHUNK_BYTES)
    trials_in_lanes = [lane_trial(programs, SWEPT, *each) for each in enumerate(TRIALS)]
    return train_in_lanes(programs, policy, trials_in_lanes)


def streamed(policy: Policy) -> Policy:
    return policy._replace(resident_bytes=0)


@pytest.mark.parametrize("policy", [mapped(3), vmapped(2), vmapped(5)], ids=["mapped", "vmapped", "vmapped together"])
def test_streamed_rows_train_as_resident_rows_do(policy: Policy) -> None:
    resident, passing = trained(policy), trained(streamed(policy))
    exact = policy.lanes_per_group is None
    for number, from_lanes in passing.items():
        assert_same(from_lanes, resident[number], tolerances.EXACT if exact else tolerances.TRAINED)


@pytest.mark.parametrize("policy", [mapped(3), vmapped(3)], ids=["mapped", "vmapped"])
def test_a_streamed_trial_is_the_trial_in_the_plain_loop_over_the_same_chunks(policy: Policy) -> None:
    passing = trained(streamed(policy))
    for number in (1, 2):
        expected = refer(SWEPT, number, TRIALS[number], chunk_rows=16)
        assert_same(passing[number], expected, tolerances.TRAINED)


def test_calls_of_one_part_each_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = streamed(mapped(3))
    whole = trained(policy)
    monkeypatch.setattr("sweeps.engine.program.FIRST_CALL_PARTS", 1)
    monkeypatch.setattr("sweeps.engine.program.Program.pace", lambda *_: None)
    for number, from_lanes in trained(policy).items():
        assert_same(from_lanes, whole[number], tolerances.EXACT)


def numbered(rows: int) -> Dataset:
    x = np.arange(rows, dtype=np.float32)[:, None]
    split = Split(x, np.arange(rows, dtype=np.float32))
    return Dataset(train=split, valid=Split(*(array[:1] for array in split)))


def test_a_window_is_a_chunk_and_the_next_one() -> None:
    window = feed(numbered(10), CPU, chunk_rows=4, resident_bytes=0).open()
    for chunk, rows in enumerate([(0, 1, 2, 3, 4, 5, 6, 7), (4, 5, 6, 7, 8, 9), (8, 9)]):
        data = window(chunk)
        assert tuple(np.asarray(data.train_y)[: len(rows)]) == rows
        assert data.train_x.shape == (8, 1)


def test_rows_that_fit_stay_on_the_device() -> None:
    dataset = numbered(10)
    held = feed(dataset, CPU, chunk_rows=4, resident_bytes=80).open()
    assert held(0) is held(1)
    assert held(0).train_x.shape == (10, 1)
    assert feed(dataset, CPU, chunk_rows=4, resident_bytes=79).open()(0).train_x.shape == (8, 1)


@pytest.mark.parametrize(
    ("chunk_bytes", "largest_batch", "expected"),
    [(8 * 100, 1, 10), (8 * 7, 1, 4), (8 * 8, 1, 8), (8 * 4, 5, 8), (1, 1, 1), (1, 9, 10)],
)
def test_a_chunk_is_a_power_of_two_of_rows_that_holds_the_largest_batch(
    chunk_bytes: int, largest_batch: int, expected: int
) -> None:
    assert chunk_rows(numbered(10), largest_batch, chunk_bytes) == expected


def test_rows_may_stay_in_a_file(tmp_path: Any) -> None:
    """A memory-mapped array is read a chunk at a time; nothing here makes a copy of all of it."""
    path = tmp_path / "x.npy"
    np.save(path, np.arange(4_000, dtype=np.float32).reshape(1_000, 4))
    x = np.load(path, mmap_mode="r")
    dataset = dataclasses.replace(numbered(1_000), train=Split(x, np.arange(1_000, dtype=np.float32)))
    window = feed(dataset, CPU, chunk_rows=64, resident_bytes=0).open()
    np.testing.assert_array_equal(window(15).train_x[:40], x[960:])
    assert isinstance(window(0).train_x, jax.Array)
