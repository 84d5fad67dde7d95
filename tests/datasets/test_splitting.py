"""Whatever way rows are split, each is in one split; classes keep their shares, groups and times stay together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.datasets import splitting
from sweeps.datasets.splitting import Counts, Parts
from sweeps.errors import DataError

COUNTS = st.tuples(st.integers(1, 20), st.integers(0, 20)).map(lambda pair: Counts(*pair))
SEEDS = st.integers(0, 5)


def rows_after(counts: Counts, more: int) -> int:
    return sum(counts) + more


def check_parted(parts: Parts, rows: int) -> None:
    """Each row is in one split, and training and validation have some."""
    assert sorted(np.concatenate(parts)) == list(range(rows))
    assert len(parts.train) > 0
    assert len(parts.valid) > 0


@given(counts=COUNTS, more=st.integers(1, 60), seed=SEEDS)
def test_at_random_every_row_is_in_one_split_of_the_wanted_size(counts: Counts, more: int, seed: int) -> None:
    parts = splitting.at_random(rows_after(counts, more), counts, seed)
    check_parted(parts, rows_after(counts, more))
    assert (len(parts.valid), len(parts.test)) == counts


@given(counts=COUNTS, labels=st.data(), more=st.integers(1, 60), seed=SEEDS)
def test_stratified_splits_have_their_sizes_and_each_class_its_share(
    counts: Counts, labels: st.DataObject, more: int, seed: int
) -> None:
    rows = rows_after(counts, more)
    of_rows = np.array(labels.draw(st.lists(st.integers(0, 4), min_size=rows, max_size=rows)))
    parts = splitting.stratified(of_rows, counts, seed)
    check_parted(parts, rows)
    assert (len(parts.valid), len(parts.test)) == counts
    for label in np.unique(of_rows):
        share = counts.test * (of_rows == label).sum() / rows
        assert abs((of_rows[parts.test] == label).sum() - share) < 1
        left = (of_rows == label).sum() - (of_rows[parts.test] == label).sum()
        assert abs((of_rows[parts.valid] == label).sum() - counts.valid * left / (rows - counts.test)) < 1


def test_stratified_training_rows_are_not_in_the_order_of_their_classes() -> None:
    labels = np.repeat([0, 1, 2], 100)
    drawn = labels[splitting.stratified(labels, Counts(30, 30), 0).train]
    assert (np.diff(drawn) != 0).sum() > 100


@given(counts=COUNTS, groups=st.lists(st.integers(0, 9), min_size=42, max_size=80), seed=SEEDS)
def test_a_group_is_in_one_split_alone(counts: Counts, groups: list[int], seed: int) -> None:
    of_rows = np.array(groups)
    if len(np.unique(of_rows)) < 3:
        return
    parts = splitting.by_group(of_rows, counts, seed)
    check_parted(parts, len(of_rows))
    assert bool(len(parts.test)) == (counts.test > 0)
    found = [set(of_rows[rows]) for rows in parts]
    assert sum(map(len, found)) == len(set().union(*found))


def test_groups_fill_splits_to_about_their_sizes() -> None:
    groups = np.repeat(np.arange(200), 5)
    parts = splitting.by_group(groups, Counts(200, 100), 0)
    assert [len(rows) for rows in parts] == [700, 200, 100]


def test_too_few_groups_are_refused() -> None:
    with pytest.raises(DataError, match="3 splits by group need as many groups, but there are 2"):
        splitting.by_group(np.array([1, 1, 2, 2]), Counts(1, 1), 0)


@given(counts=COUNTS, more=st.integers(1, 60), seed=SEEDS, spread=st.integers(1, 200))
def test_by_time_no_row_is_as_late_as_a_row_of_a_later_split(counts: Counts, more: int, seed: int, spread: int) -> None:
    times = np.random.default_rng(seed).integers(0, spread, rows_after(counts, more))
    try:
        parts = splitting.by_time(times, counts)
    except DataError:
        assert len(np.unique(times)) < len(times), "only equal times can be in the way"
        return
    check_parted(parts, len(times))
    assert times[parts.train].max() < times[parts.valid].min()
    if len(parts.test):
        assert times[parts.valid].max() < times[parts.test].min()
    assert len(parts.test) >= counts.test


def test_different_times_are_split_into_exactly_the_wanted_rows() -> None:
    times = np.random.default_rng(0).permutation(20)
    parts = splitting.by_time(times, Counts(5, 3))
    assert [sorted(times[rows]) for rows in parts] == [list(range(12)), list(range(12, 17)), [17, 18, 19]]


def test_rows_that_all_have_one_time_are_refused() -> None:
    with pytest.raises(DataError, match="too many rows have the same time"):
        splitting.by_time(np.zeros(10), Counts(2, 2))


@given(names=st.lists(st.sampled_from(["train", "valid", "test", "Validation", " val", "training"]), min_size=1))
def test_by_name_rows_go_where_they_say(names: list[str]) -> None:
    meant = [splitting.NAMES[name.strip().lower()] for name in names]
    if not {"train", "valid"} <= set(meant):
        with pytest.raises(DataError, match="it must give rows to train and valid"):
            splitting.by_name(names)
        return
    parts = splitting.by_name(names)
    check_parted(parts, len(names))
    for split, rows in parts._asdict().items():
        assert {meant[row] for row in rows} <= {split}


def test_a_split_of_another_name_is_refused() -> None:
    with pytest.raises(DataError, match="it must say train, valid or test, but says 'holdout'"):
        splitting.by_name(["train", "valid", "holdout"])
