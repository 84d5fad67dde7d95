"""The checksum of a dataset is that of its rows: of every one, in its place, in every split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sweeping import blobs

from sweeps.datasets import checksum as checksums
from sweeps.datasets.checksum import checksum
from sweeps.datasets.dataset import Split


def test_the_same_rows_have_the_same_checksum_wherever_they_are_in_memory() -> None:
    dataset = blobs()
    copied = replace(dataset, train=Split(np.asfortranarray(dataset.train.x), dataset.train.y.copy()))
    assert checksum(dataset) == checksum(copied)


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_a_number_a_label_and_an_order_count_in_each_split(split: str) -> None:
    dataset = blobs()
    rows = dataset.splits[split]
    x = rows.x.copy()
    x[3, 2] = np.nextafter(x[3, 2], np.float32(9))
    y = rows.y.copy()
    y[5] = (y[5] + 1) % 3
    others = [Split(x, rows.y), Split(rows.x, y), Split(rows.x[::-1], rows.y[::-1]), Split(rows.x[:-1], rows.y[:-1])]
    found = {checksum(replace(dataset, **{split: other})) for other in (rows, *others)}
    assert len(found) == 5


def test_weights_count() -> None:
    dataset = blobs()
    weighted = replace(dataset, weights=np.ones(dataset.train.rows, np.float32))
    assert len({checksum(dataset), checksum(weighted)}) == 2


def test_of_very_large_arrays_blocks_from_the_first_row_to_the_last_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksums, "BLOCK", 40)
    monkeypatch.setattr(checksums, "MOST_BLOCKS", 3)
    dataset = blobs()
    for row in (0, -1):
        x = dataset.train.x.copy()
        x[row, 0] += 1
        assert checksum(replace(dataset, train=Split(x, dataset.train.y))) != checksum(dataset)
