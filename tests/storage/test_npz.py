"""Arrays in NumPy's files are read as they are, with the splits that they have; objects in them never are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweeps.datasets import loading
from sweeps.datasets.dataset import Dataset
from sweeps.errors import DataError

X = np.arange(20 * 4 * 4, dtype=np.uint16).reshape(20, 4, 4)
Y = np.arange(20) % 3


def load(use: str, path: Path, **arguments: Any) -> Dataset:
    return loading.load(use, {"path": str(path), **arguments})


def refused(make: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        make()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def labels_by_row(dataset: Dataset) -> dict[int, int]:
    return {int(x.flat[0]) // 16: int(y) for split in dataset.splits.values() for x, y in zip(*split, strict=True)}


def test_a_pair_of_arrays_in_one_file_is_split(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=X, y=Y)
    dataset = load("npz", tmp_path / "data.npz", valid_fraction=0.25, test_fraction=0.1)
    assert [split.rows for split in dataset.splits.values()] == [13, 5, 2]
    assert labels_by_row(dataset) == dict(enumerate(Y.tolist()))
    assert dataset.notes == (f"{tmp_path}/data.npz: x 20 x 4 x 4 uint16, y 20 int64",)


def test_splits_that_a_file_has_stay_as_they_are(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x_train=X[:10], y_train=Y[:10], x_valid=X[10:14], y_valid=Y[10:14],
             x_test=X[14:], y_test=Y[14:])  # fmt: skip
    dataset = load("npz", tmp_path / "data.npz")
    assert (dataset.train.x == X[:10]).all()
    assert (dataset.valid.x == X[10:14]).all()
    assert dataset.test is not None
    assert (dataset.test.x == X[14:]).all()


def test_validation_rows_come_from_training_where_a_file_has_only_a_test_split(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x_train=X[:15], y_train=Y[:15], x_test=X[15:], y_test=Y[15:])
    dataset = load("npz", tmp_path / "data.npz", valid_fraction=0.2)
    assert [split.rows for split in dataset.splits.values()] == [12, 3, 5]
    assert labels_by_row(dataset) == dict(enumerate(Y.tolist()))
    said = refused(lambda: load("npz", tmp_path / "data.npz", test_fraction=0.1))
    assert said == "test_fraction is for data without a test split, but these have one. Remove it"


def test_test_rows_come_from_training_where_a_file_has_only_a_validation_split(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x_train=X[:15], y_train=Y[:15], x_valid=X[15:], y_valid=Y[15:])
    dataset = load("npz", tmp_path / "data.npz", test_fraction=0.2)
    assert [(name, split.rows) for name, split in dataset.splits.items()] == [("train", 12), ("valid", 5), ("test", 3)]
    assert (dataset.valid.x == X[15:]).all()
    assert labels_by_row(dataset) == dict(enumerate(Y.tolist()))


def test_what_a_file_decides_is_not_for_a_config_to_say_otherwise(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x_train=X[:15], y_train=Y[:15], x_valid=X[15:], y_valid=Y[15:])
    said = refused(lambda: load("npz", tmp_path / "data.npz", valid_fraction=0.2))
    assert said == "valid_fraction is for data without a valid split, but these have one. Remove it"
    said = refused(lambda: load("npz", tmp_path / "data.npz", stratify=True))
    assert said == "stratify is for rows that are split at random, but these are split already. Remove it"


def test_a_value_that_is_not_finite_is_told_with_file_row_and_column(tmp_path: Path) -> None:
    x = X.reshape(20, 16) / 2
    x[7, 3] = np.nan
    np.savez(tmp_path / "data.npz", x=x, y=Y)
    np.savez(tmp_path / "cut.npz", x_train=X / 2, y_train=Y, x_valid=x, y_valid=Y)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", Y)
    fault = "row 7 has a NaN or an infinity in column 3 (both count from 0)"
    assert refused(lambda: load("npz", tmp_path / "data.npz")) == f"{tmp_path}/data.npz: x: {fault}"
    assert refused(lambda: load("npz", tmp_path / "cut.npz")) == f"{tmp_path}/cut.npz: valid x: {fault}"
    said = refused(lambda: load("npy", tmp_path / "x.npy", targets=str(tmp_path / "y.npy")))
    assert said == f"{tmp_path}/x.npy, {tmp_path}/y.npy: x: {fault}"


def test_two_files_of_one_array_each_make_a_dataset(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y * 0.5)
    dataset = load("npy", tmp_path / "x.npy", targets=str(tmp_path / "y.npy"), scale=0.5, offset=-1.0)
    assert (dataset.classes, dataset.scale, dataset.offset, dataset.input_shape) == (None, 0.5, -1.0, (4, 4))


def test_classes_keep_their_share_when_it_is_asked_for(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=X, y=np.repeat([0, 1], [4, 16]))
    dataset = load("npz", tmp_path / "data.npz", valid_fraction=0.25, stratify=True)
    assert np.bincount(dataset.valid.y).tolist() == [1, 4]


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", images=X, labels=Y)
    np.savez(tmp_path / "half.npz", x_train=X, y_train=Y, x_test=X)
    np.savez(tmp_path / "objects.npz", x=np.array([{}, []], object), y=Y)
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "text.npz").write_text("not arrays")
    (tmp_path / "torn.npz").write_bytes((tmp_path / "other.npz").read_bytes()[:300])
    for name, said in {
        "other": "has no array 'x'; it has images, labels",
        "half": "has no array 'y_test'",
        "objects": "cannot be read as NumPy arrays: it holds objects, which are not read",
        "text": "cannot be read as NumPy arrays: ",
        "torn": "cannot be read as NumPy arrays: ",
        "none": "there is no file ",
    }.items():
        assert said in refused(lambda name=name: load("npz", tmp_path / f"{name}.npz"))
    assert "holds one array; `use: npy` reads it" in refused(lambda: load("npz", tmp_path / "x.npy"))
    several = refused(lambda: load("npy", tmp_path / "x.npy", targets=str(tmp_path / "other.npz")))
    assert "holds several arrays; `use: npz` reads them" in several
