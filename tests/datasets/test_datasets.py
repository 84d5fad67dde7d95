"""Data arrive as they are, split once and reproducibly; whatever cannot be trained on is named by its row or line."""

from __future__ import annotations

import gzip
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from sweeps.datasets import loading
from sweeps.datasets.builtin import mnist
from sweeps.datasets.dataset import Dataset, Split, checked, from_arrays
from sweeps.datasets.loading import Datasets
from sweeps.datasets.tabular.load import tabular as csv
from sweeps.errors import DataError
from sweeps.training.lane import as_input
from sweeps.user_code import project_folders

X, Y = np.arange(40.0).reshape(20, 2), np.arange(20) % 3

MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def refused(make: Callable[[], object]) -> str:
    """What is said when `make` is refused, which must be one line."""
    with pytest.raises(DataError) as caught:
        make()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- arrays ---------------------------------------------------------------------------------------------------------


def dataset_of(x: Any, y: Any) -> Dataset:
    return checked(Dataset(Split(x, y), Split(x, y)))


@pytest.mark.parametrize(
    ("given", "kept"),
    [("uint8", "uint8"), ("int64", "int32"), ("uint16", "int32"), ("float64", "float32"), ("bool", "float32")],
)
def test_inputs_stay_bytes_and_become_32_bits_otherwise(given: str, kept: str) -> None:
    dataset = dataset_of(np.ones((4, 2), given), np.arange(4))
    assert dataset.train.x.dtype == kept
    assert (dataset.train.x == 1).all()


def test_bytes_are_not_copied() -> None:
    x = np.zeros((4, 2), np.uint8)
    assert dataset_of(x, np.arange(4)).train.x is x


@pytest.mark.parametrize("given", [1.0, 0.5, 1.0000001, -2.0])
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float64"])
@pytest.mark.parametrize("shape", [(4, 2), (4, 3, 3), (4, 3, 3, 3)])
def test_a_scale_that_is_given_is_what_is_done_whatever_the_dtype(
    given: float, dtype: str, shape: tuple[int, ...]
) -> None:
    x = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    split = Split(x, np.arange(4))
    for offset in (0.0, -1.5):
        found = checked(Dataset(split, split, scale=given, offset=offset))
        affine = jnp.array([found.scale, found.offset], jnp.float32)
        seen = np.asarray(as_input(jnp.asarray(found.train.x), affine))
        np.testing.assert_allclose(seen, x * given + offset, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "scale"), [((4, 3, 3), 1 / 255), ((4, 3, 3, 3), 1 / 255), ((4, 2), 1), ((4,), 1), ((4, 2, 3, 3, 3), 1)]
)
def test_bytes_of_the_shape_of_images_are_seen_as_0_to_1_and_other_bytes_as_they_are(
    shape: tuple[int, ...], scale: float
) -> None:
    split = Split(np.zeros(shape, np.uint8), np.arange(4))
    assert checked(Dataset(split, split)).scale == scale
    other = Split(np.zeros(shape, np.int32), np.arange(4))
    assert checked(Dataset(other, other)).scale == 1


def test_whole_numbers_that_nothing_is_to_be_done_to_stay_tokens() -> None:
    split = Split(np.zeros((4, 3), np.int64), np.arange(4))
    assert checked(Dataset(split, split, scale=1.0)).input_dtype == np.int32
    assert checked(Dataset(split, split, scale=0.5)).input_dtype == np.float32


@pytest.mark.parametrize(
    ("targets", "shape", "dtype", "classes"),
    [
        (np.array([0, 2, 1]), (3,), "int32", 3),
        (np.array([False, True, True]), (3,), "int32", 2),
        (np.array([[0], [2], [1]], np.uint8), (3,), "int32", 3),
        (np.array([0.0, 2.0, 1.0]), (3,), "float32", None),
        (np.zeros((3, 1)), (3,), "float32", None),
        (np.zeros((3, 2)), (3, 2), "float32", None),
        (np.array([[0, 1], [1, 0], [1, 1]]), (3, 2), "float32", None),
    ],
)
def test_whole_number_targets_are_classes_and_others_are_values(
    targets: Any, shape: tuple[int, ...], dtype: str, classes: int | None
) -> None:
    dataset = dataset_of(np.zeros((3, 4)), targets)
    assert (dataset.train.y.shape, str(dataset.train.y.dtype), dataset.classes) == (shape, dtype, classes)
    assert dataset.target_width == (shape[1] if len(shape) == 2 else 1)


def test_names_of_classes_say_how_many_there_are() -> None:
    split = Split(np.zeros((3, 4)), np.array([0, 2, 1]))
    assert checked(Dataset(split, split, class_names=("a", "b", "c", "d"))).classes == 4


def test_one_feature_without_an_axis_of_its_own_gets_one() -> None:
    assert dataset_of(np.arange(5.0), np.arange(5)).input_shape == (1,)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 3, 19])
def test_a_value_that_is_not_finite_is_named_by_its_row_before_shuffling(bad: float, row: int) -> None:
    x = X.copy()
    x[row, 1] = bad
    assert refused(lambda: from_arrays(x, Y, valid_fraction=0.2)).startswith(f"x: row {row} has a NaN or an infinity")
    assert f"train x: row {row} " in refused(lambda: dataset_of(x, Y))


def test_the_first_of_several_wrong_rows_is_named() -> None:
    x = X.copy()
    x[[5, 7, 12]] = np.nan
    assert "row 5 " in refused(lambda: from_arrays(x, Y, valid_fraction=0.2))


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (np.where(X == 14, 1e300, X), Y, "x: row 7 has a number beyond float32"),
        (X, np.where(Y == 2, 1e300, 0.0), "y: row 2 has a number beyond float32"),
        (X, np.where(Y == 2, 2**40, 0), "y: row 2 has a number beyond int32"),
        (X.astype(np.int64) + 2**31, Y, "x: row 0 has a number beyond int32"),
        (X, Y[:-1], "x and y must have the same number of rows, but got shapes (20, 2) and (19,)"),
        (X, np.float64(3), "the same number of rows, but got shapes (20, 2) and ()"),
        (X[:0], Y[:0], "must have rows with values, but got shapes (0, 2) and (0,)"),
        (X[:, :0], Y, "must have rows with values, but got shapes (20, 0)"),
        (X, Y.astype(str), "y must hold numbers, but its dtype is <U21. Number classes from 0"),
        (X.astype(complex), Y, "x must hold numbers, but its dtype is complex128"),
        ([[1, 2], [3]], [0, 1], "x must be an array, but is list"),
        (None, Y, "x must hold numbers, but its dtype is object"),
        (X, np.zeros((20, 2, 2)), "y must have shape [rows] or [rows, outputs], but got (20, 2, 2)"),
    ],
)
def test_arrays_that_cannot_be_trained_on_are_refused(x: Any, y: Any, said: str) -> None:
    assert said in refused(lambda: from_arrays(x, y, valid_fraction=0.2))


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        (Dataset(Split(X, Y - 1), Split(X, Y)), "must be at least 0, but got -1 … 2"),
        (Dataset(Split(X, Y), Split(X, Y), classes=2), "must be 0 … 1, as classes=2 says, but got 0 … 2"),
        (
            Dataset(Split(X, Y), Split(X, Y), classes=3, class_names=("a", "b")),
            "there must be a name for each class, but there are 3 and 2 names",
        ),
        (Dataset(Split(X, Y), Split(X, Y), class_names=("a", "b")), "must be 0 … 1, as classes=2 says, but got 0 … 2"),
        (Dataset(Split(X, X), Split(X, X), classes=2), "classes=2 is for targets that are whole numbers"),
        (Dataset(Split(X, Y), Split(X[:, :1], Y)), "x of every split must have rows of one shape and dtype"),
        (Dataset(Split(X, Y), Split(X.astype(np.uint8), Y)), "x of every split must have rows of one shape and dtype"),
        (Dataset(Split(X, Y), Split(X, Y * 0.5)), "y of every split must have rows of one shape and dtype"),
        (Dataset(Split(X, Y), Split(X, Y), scale=float("nan")), "scale must be a finite number, but got nan"),
        (Dataset(Split(X, Y), X), "the valid split must be a Split or a pair (x, y), but got ndarray"),  # type: ignore[arg-type]
    ],
)
def test_splits_that_do_not_fit_each_other_are_refused(dataset: Dataset, said: str) -> None:
    assert said in refused(lambda: checked(dataset))


# --- splitting ------------------------------------------------------------------------------------------------------


def test_every_row_lands_in_one_split() -> None:
    dataset = from_arrays(np.arange(100.0), np.arange(100), valid_fraction=0.2, test_fraction=0.1, seed=3)
    assert {name: split.rows for name, split in dataset.splits.items()} == {"train": 70, "valid": 20, "test": 10}
    assert sorted(np.concatenate([split.x[:, 0] for split in dataset.splits.values()])) == list(range(100))
    assert all((split.x[:, 0] == split.y).all() for split in dataset.splits.values())


def test_the_seed_alone_decides_the_split() -> None:
    first, again, other = (from_arrays(X, Y, valid_fraction=0.3, seed=seed).valid.x for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize(
    ("valid", "test", "said"),
    [
        (0.0, 0.0, "must leave rows for training and validation"),
        (0.01, 0.0, "must leave rows for training and validation, but got 0.01 and 0.0 of 20 rows"),
        (0.5, 0.5, "must leave rows for training and validation"),
        (1.0, 0.0, "valid_fraction must be from 0 to less than 1, but got 1.0"),
        (0.2, -0.1, "test_fraction must be from 0 to less than 1, but got -0.1"),
        (float("nan"), 0.0, "valid_fraction must be a finite number, but got nan"),
    ],
)
def test_fractions_that_leave_nothing_are_refused(valid: float, test: float, said: str) -> None:
    assert said in refused(lambda: from_arrays(X, Y, valid_fraction=valid, test_fraction=test))


# --- built-in datasets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MNIST_SHA256)
def test_the_mnist_files_are_the_original_ones(name: str) -> None:
    content = gzip.decompress((mnist.FOLDER / f"{name}.gz").read_bytes())
    assert hashlib.sha256(content).hexdigest() == MNIST_SHA256[name]


def test_mnist_is_bytes_in_three_splits() -> None:
    dataset = loading.load("mnist", {"valid_fraction": 0.1})
    assert {name: split.x.shape for name, split in dataset.splits.items()} == {
        "train": (54_000, 28, 28),
        "valid": (6_000, 28, 28),
        "test": (10_000, 28, 28),
    }
    assert {split.x.dtype.name for split in dataset.splits.values()} == {"uint8"}
    assert (dataset.scale, dataset.classes) == (1 / 255, 10)
    labels = np.concatenate([dataset.train.y, dataset.valid.y])
    assert np.bincount(labels).tolist() == np.bincount(mnist.read("train")[1]).tolist()


def test_linear_regression_has_the_coefficients_and_the_noise_that_it_promises() -> None:
    dataset = loading.load("linear_regression", {"rows": 5000, "features": 3, "noise": 0.1})
    x = np.column_stack([dataset.train.x, np.ones(dataset.train.rows)])
    found, residuals, *_ = np.linalg.lstsq(x, dataset.train.y, rcond=None)
    np.testing.assert_allclose(found, [1, 2, 3, 0.5], atol=0.01)
    assert residuals[0] / dataset.train.rows == pytest.approx(0.01, rel=0.1)


def test_the_best_error_of_sine_sequences_is_that_of_the_efficient_estimator() -> None:
    """Least squares over phase and frequency, by Newton's method from a grid, predicts as well as is promised."""
    steps, noise = 24, 0.02
    split = loading.load("sine_sequences", {"rows": 3000, "steps": steps, "noise": noise}).train
    waves, time = split.x[:, :, 0].astype(np.float64), np.arange(steps)
    grid = np.linspace(1 / 13, 1 / 5.5, 400)
    frequency = grid[np.abs(waves @ np.exp(-2j * np.pi * np.outer(time, grid))).argmax(axis=1)]
    phase = np.angle((waves * np.exp(-2j * np.pi * frequency[:, None] * time)).sum(axis=1)) / (2 * np.pi) + 0.25
    for _ in range(10):
        angle = 2 * np.pi * (frequency[:, None] * time + phase[:, None])
        slopes = 2 * np.pi * np.cos(angle)[..., None] * np.stack([time, np.ones(steps)], axis=1)
        step = np.linalg.pinv(slopes) @ (waves - np.sin(angle))[..., None]
        frequency, phase = frequency + step[:, 0, 0], phase + step[:, 1, 0]
    error = np.square(np.sin(2 * np.pi * (frequency * steps + phase)) - split.y).mean()
    assert error == pytest.approx(noise**2 * (1 + (4 * steps + 2) / (steps * (steps - 1))), rel=0.05)


def test_the_moons_are_half_apart_and_a_row_is_nearer_to_its_own() -> None:
    angles = np.linspace(0, np.pi, 2001)
    upper = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    lower = np.array([1.0, 0.5]) - upper
    apart = np.hypot(*(upper[:, None] - lower[::40]).transpose(2, 0, 1))
    assert apart.min() == pytest.approx(0.5, abs=1e-4)
    split = loading.load("two_moons", {"noise": 0.1}).train
    far = [np.hypot(*(split.x[:, None] - moon[::20]).transpose(2, 0, 1)).min(axis=1) for moon in (upper, lower)]
    assert ((far[1] < far[0]) == split.y).mean() > 0.99
    assert np.bincount(split.y) == pytest.approx([700, 700], rel=0.1)


@pytest.mark.parametrize(
    ("use", "arguments", "said"),
    [
        ("mnits", {}, "but got 'mnits'. Did you mean `mnist`?"),
        ("linear_regression", {"row": 3}, "row: unknown argument. Did you mean `rows`?"),
        ("npz", {"path": "a.npz", "shift": 1}, "shift: is called `offset` now"),
        ("linear_regression", {"shift": 1}, "shift: unknown argument"),
        ("linear_regression", {"rows": "ten"}, "rows must be a whole number, but got 'ten'"),
        ("linear_regression", {"rows": True}, "rows must be a whole number, but got True"),
        ("linear_regression", {"noise": None}, "noise must be a number, but got None"),
        ("linear_regression", {"rows": -5}, "linear_regression failed: ValueError"),
        ("mnist", {"seed": -1}, "seed must be at least 0, but got -1"),
    ],
)
def test_arguments_of_a_built_in_are_checked(use: str, arguments: dict[str, Any], said: str) -> None:
    assert said in refused(lambda: loading.load(use, arguments))


def test_a_dataset_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = Datasets()
    first = datasets.get("linear_regression", {"rows": 100})
    monkeypatch.setattr(loading, "load", lambda *_: pytest.fail("loaded again"))
    assert datasets.get("linear_regression", {"rows": 100}) is first


# --- CSV ------------------------------------------------------------------------------------------------------------

TABLE = "height,weight,kind\n1,2.5,b\n3,4,a\n5,6,b\n7,8,a\n9,10,c\n"


def written(folder: Path, text: str) -> str:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_text_targets_are_numbered_in_sorted_order(tmp_path: Path) -> None:
    dataset = loading.load("csv", {"path": written(tmp_path, TABLE), "target": "kind", "valid_fraction": 0.2})
    kinds = {float(x[0]): int(y) for split in dataset.splits.values() for x, y in zip(*split, strict=True)}
    assert kinds == {1: 1, 3: 0, 5: 1, 7: 0, 9: 2}
    assert dataset.classes == 3


def test_fractional_targets_are_values(tmp_path: Path) -> None:
    dataset = csv(path=written(tmp_path, TABLE), target="weight", features=("height",), scale=0.5, offset=1.0)
    assert sorted(np.concatenate([split.y for split in dataset.splits.values()])) == [2.5, 4, 6, 8, 10]
    assert (dataset.input_shape, dataset.scale, dataset.offset) == ((1,), 0.5, 1.0)


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz"])
def test_a_compressed_table_reads_as_the_plain_one_and_names_the_same_line(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table.csv.{suffix}"
    pd.DataFrame({"a": [1, 2, None], "b": [0, 1, 0]}).to_csv(path, index=False)
    assert f"{path}:4: every cell of column 'a'" in refused(lambda: csv(path=str(path), target="b"))


def test_lines_are_counted_over_blank_lines_and_line_breaks_in_cells(tmp_path: Path) -> None:
    path = written(tmp_path, 'a,"b\nc",y\n1,2,0\n\n3,4,1\n5,x,0\n7,8,1\n')
    assert refused(lambda: csv(path=path, target="y")) == (
        f"{path}:6: every cell of column 'b\\nc' must be a finite number in float32, but got 'x'"
    )


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        (TABLE, {"target": "knid"}, "there is no column 'knid'; the nearest are 'kind'"),
        (TABLE, {"target": "zzz"}, "there is no column 'zzz'; the first are 'height', 'weight', 'kind'"),
        (TABLE, {"target": "kind", "features": ["heigth"]}, "there is no column 'heigth'; the nearest are 'height'"),
        (TABLE, {"target": "kind", "features": ["kind"]}, "the features must not hold the target 'kind'"),
        (
            TABLE,
            {"target": "height"},
            ":2: every cell of column 'kind' must be a finite number in float32, but got 'b'",
        ),
        ("a,y\n1,0\n,1\n", {"target": "y"}, ":3: every cell of column 'a' must be a finite number"),
        ("a,y\n1,0\n,1\n", {"target": "y"}, "but got an empty cell"),
        ("a,y\n1,0\n2,\n", {"target": "y"}, ":3: every cell of column 'y' must be"),
        ("a,y\n1,p\n2,\n", {"target": "y"}, ":3: every cell of column 'y' must be a class, but got an empty cell"),
        ("a,y\n1,0.5\n2,1.5x\n", {"target": "y"}, ":3: every cell of column 'y' must be a number, as others in it are"),
        ("a,y\n1,0\n1e300,1\n", {"target": "y"}, ":3: every cell of column 'a' must be a finite number in float32"),
        ("a,y\n1,0\ninf,1\n", {"target": "y"}, "but got inf"),
        ("a,y\n", {"target": "y"}, "must have rows below its header"),
        ("", {"target": "y"}, "cannot be read as CSV"),
        ("a,y\n1,0\n1,2,3,4\n", {"target": "y"}, "cannot be read as CSV: "),
        ("a,y\n1,0,2\n1,2,3\n", {"target": "y"}, "rows must not have more cells than the header"),
        ("y\n1\n2\n", {"target": "y"}, "must have columns beside the target 'y'"),
    ],
)
def test_a_table_that_cannot_be_trained_on_is_refused(
    tmp_path: Path, text: str, arguments: dict[str, Any], said: str
) -> None:
    path = written(tmp_path, text)
    assert said in refused(lambda: loading.load("csv", {"path": path, **arguments}))


def test_a_path_is_looked_up_in_the_working_directory_and_then_above_configs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    for folder in (project / "configs", elsewhere):
        folder.mkdir(parents=True)
    (project / "data.csv").write_text("a,y\n1,0\n2,1\n3,1\n")
    monkeypatch.chdir(elsewhere)
    with project_folders(project / "configs" / "sweep.yaml"):
        assert csv(path="data.csv", target="y", valid_fraction=0.4).train.rows == 2
        (elsewhere / "data.csv").write_text("a,y\n1,0\n2,1\n3,1\n4,1\n5,0\n")
        assert csv(path="data.csv", target="y", valid_fraction=0.4).train.rows == 3
        said = refused(lambda: csv(path="nothing.csv", target="y"))
    assert said == f"there is no file nothing.csv in {elsewhere} or {project}"


# --- a user's function ----------------------------------------------------------------------------------------------

OWN = """\
import json
import numpy as np
from sweeps import Dataset, Split

def pair(rows=20):
    return np.arange(rows * 2.0).reshape(rows, 2), np.arange(rows) % 2

def parted(rows=20):
    split = Split(*pair(rows))
    return Dataset(split, split)

def seeded(seed):
    return np.full((10, 1), seed), np.zeros(10)

def needing(size):
    return pair(size)

def broken():
    return json.loads("{")

def four():
    return 1, 2, 3, 4

def nothing():
    pass

def shifted():
    return Dataset(Split(*pair()), Split(*pair()), shift=1.0)
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "own_data.py"
    path.write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_data", raising=False)
    return path


@pytest.mark.parametrize(("arguments", "valid"), [({}, 4), ({"valid_fraction": 0.5}, 10), ({"rows": 40}, 8)])
def test_a_pair_of_arrays_is_split_as_the_config_says(own: Path, arguments: dict[str, Any], valid: int) -> None:
    dataset = loading.load("own_data:pair", arguments)
    assert (dataset.valid.rows, dataset.classes) == (valid, 2)


def test_a_dataset_that_a_function_returns_is_taken_as_it_is(own: Path) -> None:
    assert loading.load("own_data:parted", {"rows": 6}).train.rows == 6


def test_a_seed_that_the_function_takes_goes_to_the_function(own: Path) -> None:
    assert (loading.load("own_data:seeded", {"seed": 5}).train.x == 5).all()


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("broken", {}, "own_data:broken failed at {path}:19: JSONDecodeError: Expecting property name"),
        ("four", {}, "must return a Dataset, or arrays (x, y) or (x, y, weights), but got tuple of 4"),
        ("nothing", {}, "must return a Dataset, or arrays (x, y) or (x, y, weights), but got NoneType"),
        ("parted", {"valid_fraction": 0.5}, "returns a Dataset, which is split already: remove valid_fraction"),
        ("pair", {"row": 4}, "row: unknown argument. Did you mean `rows`?"),
        ("needing", {}, "size: own_data:needing needs this argument"),
        ("shifted", {}, "unexpected keyword argument 'shift'. It is called `offset`"),
        ("pairs", {}, "module own_data has no 'pairs'. Did you mean `pair`?"),
    ],
)
def test_what_is_wrong_with_a_function_of_the_users_own_is_said(
    own: Path, name: str, arguments: dict[str, Any], said: str
) -> None:
    assert said.format(path=own) in refused(lambda: loading.load(f"own_data:{name}", arguments))


# --- what a function of one's own returns ----------------------------------------------------------------------------

INPUTS, LABELS = np.random.default_rng(0).normal(size=(50, 3)), np.arange(50) % 2
RETURNED: dict[str, object] = {}


def returned(what: str) -> object:
    return RETURNED[what]


def test_pairs_are_training_and_test_rows_as_keras_gives_them() -> None:
    RETURNED["keras"] = (INPUTS[:40], LABELS[:40]), (INPUTS[40:], LABELS[40:])
    dataset = loading.load("test_datasets:returned", {"what": "keras", "valid_fraction": 0.25})
    assert {name: split.rows for name, split in dataset.splits.items()} == {"train": 30, "valid": 10, "test": 10}
    assert dataset.test is not None
    np.testing.assert_array_equal(dataset.test.x, INPUTS[40:].astype(np.float32))
    RETURNED["three"] = [(INPUTS[:30], LABELS[:30]), (INPUTS[30:40], LABELS[30:40]), (INPUTS[40:], LABELS[40:])]
    dataset = loading.load("test_datasets:returned", {"what": "three"})
    np.testing.assert_array_equal(dataset.valid.y, LABELS[30:40])
    said = refused(lambda: loading.load("test_datasets:returned", {"what": "keras", "test_fraction": 0.2}))
    assert said == "test_fraction is for data without a test split, but these have one. Remove it"


@pytest.mark.parametrize(
    ("x", "y", "got"),
    [
        (
            {"age": INPUTS, "pixels": INPUTS},
            LABELS,
            "x must be one array, for a model has one input, but got a dict of 2 arrays (age, pixels)",
        ),
        ([INPUTS, INPUTS[:, :2]], LABELS, "x must be one array, for a model has one input, but got a list of 2 arrays"),
        ((INPUTS, INPUTS), LABELS, "x must be one array, for a model has one input, but got a tuple of 2 arrays"),
        (INPUTS, [LABELS, LABELS], "y must be one array, for a model has one output, but got a list of 2 arrays"),
    ],
)
def test_several_inputs_or_outputs_are_refused_as_such(x: object, y: object, got: str) -> None:
    RETURNED["several"] = x, y
    assert refused(lambda: loading.load("test_datasets:returned", {"what": "several"})).startswith(got)


def test_a_list_of_rows_is_no_list_of_inputs() -> None:
    RETURNED["rows"] = list(INPUTS), LABELS.tolist()
    assert loading.load("test_datasets:returned", {"what": "rows"}).input_shape == (3,)
