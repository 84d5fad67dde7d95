"""The loss says whether targets are classes or numbers; what is neither for certain is refused with the way out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sweeps.config.names import LOSSES
from sweeps.datasets import loading, targets
from sweeps.datasets.dataset import Dataset, Split, checked
from sweeps.datasets.loading import Datasets
from sweeps.errors import DataError

RNG = np.random.default_rng(0)
ROWS = 60
MSE, SOFTMAX, BCE = "mean_squared_error", "softmax_cross_entropy", "binary_cross_entropy"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stored(y: Any, use: str) -> dict[str, Any]:
    """A dataset with these targets in a file of a kind; feature `n` is the number of the row."""
    n = np.arange(len(y)) / 8
    if use in ("csv", "parquet"):
        frame = pd.DataFrame({"n": n, "y": y})
        frame.to_csv("t.csv", index=False) if use == "csv" else frame.to_parquet("t.parquet", index=False)
        return {"use": use, "path": f"t.{use}", "target": "y"}
    np.savez("t.npz", x=n, y=y)
    np.save("x.npy", n)
    np.save("y.npy", y)
    return {"use": "npz", "path": "t.npz"} if use == "npz" else {"use": "npy", "path": "x.npy", "targets": "y.npy"}


def read(y: Any, use: str, loss: str, **more: Any) -> Dataset:
    arguments = {**stored(y, use), **more}
    return Datasets().get(arguments.pop("use"), arguments, loss)


def of_rows(dataset: Dataset) -> dict[int, Any]:
    """The label of each row in the type that the data had."""
    labels = dataset.labels or range(dataset.classes or 0)
    return {int(8 * x[0]): labels[y] for split in dataset.splits.values() for x, y in zip(*split, strict=True)}


def refused(make: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        make()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_built_in_loss_is_of_classes_or_of_numbers() -> None:
    assert {*targets.OF_CLASSES, *targets.OF_NUMBERS} == set(LOSSES)


# --- labels that leave numbers out ------------------------------------------------------------------------------------


@pytest.mark.parametrize("use", ["csv", "parquet", "npz", "npy"])
@pytest.mark.parametrize("labels", [[1, 2], [1, 2, 3], [0, 2], [3, 7, 40]])
@pytest.mark.parametrize("dtype", ["int64", "float64", "uint8"])
def test_labels_that_leave_numbers_out_are_numbered_and_that_is_said(use: str, labels: list[int], dtype: str) -> None:
    y = np.resize(np.array(labels, dtype), ROWS)
    dataset = read(y, use, SOFTMAX)
    assert (dataset.classes, dataset.class_names, dataset.labels) == (
        len(labels),
        tuple(map(str, labels)),
        tuple(labels),
    )
    assert of_rows(dataset) == dict(enumerate(y.astype(int).tolist()))
    assert {split.y.dtype.name for split in dataset.splits.values()} == {"int32"}
    assert dataset.notes[-1].endswith(f"taken as {len(labels)} classes, numbered 0 to {len(labels) - 1} to train on")


def test_labels_from_0_stay_as_they_are_and_nothing_is_said() -> None:
    dataset = read(np.arange(ROWS) % 3, "npz", SOFTMAX)
    assert (dataset.classes, dataset.labels, len(dataset.notes)) == (3, None, 1)


def test_two_classes_that_begin_at_1_are_0_and_1_to_binary_cross_entropy() -> None:
    dataset = read(1 + np.arange(ROWS) % 2, "csv", BCE)
    assert (sorted(np.unique(dataset.train.y)), dataset.labels) == ([0, 1], (1, 2))


def test_labels_are_numbers_to_a_loss_of_numbers() -> None:
    y = 1 + np.arange(ROWS) % 5
    for more in ({}, {"class_weight": "balanced"}):
        dataset = read(y, "npz", MSE, **more)
        assert {int(8 * x[0]): int(t) for s in dataset.splits.values() for x, t in zip(*s, strict=True)} == dict(
            enumerate(y)
        )
    named = read(y * 0.5, "csv", MSE, task="classification")
    assert sorted(np.unique(named.train.y)) == [0.5, 1, 1.5, 2, 2.5]


def test_a_loss_of_ones_own_is_given_the_numbers_that_are_there() -> None:
    dataset = read(1 + np.arange(ROWS) % 5, "npz", "mine:poisson")
    assert sorted(np.unique(dataset.train.y)) == [1, 2, 3, 4, 5]


def test_classes_whose_number_is_given_are_not_numbered_anew() -> None:
    split = Split(np.zeros((4, 2)), np.array([1, 3, 1, 3]))
    dataset = targets.under(SOFTMAX, checked(Dataset(split, split, classes=5)))
    assert (dataset.classes, dataset.train.y.tolist()) == (5, [1, 3, 1, 3])


def test_weights_of_classes_are_by_the_labels_that_the_data_have() -> None:
    dataset = read(1 + np.arange(ROWS) % 3, "npz", SOFTMAX, class_weight=(("1", 5.0),))
    assert dataset.weights is not None
    assert np.array_equal(dataset.weights, np.where(dataset.train.y == 0, 5, 1))


# --- classes that are held otherwise ----------------------------------------------------------------------------------


@pytest.mark.parametrize("use", ["csv", "parquet", "npz", "npy"])
@pytest.mark.parametrize("loss", [SOFTMAX, BCE])
def test_0_and_1_as_floats_are_classes_to_a_loss_of_classes(use: str, loss: str) -> None:
    y = RNG.integers(0, 2, ROWS).astype(float)
    dataset = read(y, use, loss, stratify=True)
    assert (dataset.classes, of_rows(dataset)) == (2, dict(enumerate(y.tolist())))
    assert dataset.notes[-1] == "targets 0, 1 are numbers with a decimal point: taken as 2 classes"
    assert read(y, use, MSE).classes is None


def test_chances_stay_numbers_to_binary_cross_entropy() -> None:
    y = RNG.uniform(0, 1, ROWS)
    assert read(y, "npz", BCE).train.y.dtype == np.float32


@pytest.mark.parametrize("dtype", ["int64", "float32", "uint8", "bool"])
def test_one_hot_rows_are_the_class_of_their_one(dtype: str) -> None:
    y = RNG.integers(0, 4, ROWS)
    for more in ({}, {"stratify": True}):
        dataset = read(np.eye(5, dtype=dtype)[y], "npz", SOFTMAX, **more)
        assert (dataset.classes, of_rows(dataset)) == (5, dict(enumerate(y.tolist())))
        assert dataset.notes[-1] == "targets are one-hot rows: taken as 5 classes, 0 to 4"
    assert read(np.eye(5, dtype=dtype)[y], "npz", MSE).target_width == 5


def test_classes_of_a_series_may_be_whole_numbers() -> None:
    pd.DataFrame({"a": RNG.normal(size=ROWS), "kind": np.arange(ROWS) % 3}).to_csv("s.csv", index=False)
    dataset = Datasets().get("series", {"path": "s.csv", "target": "kind", "window": 2}, SOFTMAX)
    assert (dataset.classes, dataset.train.y[:4].tolist()) == (3, [2, 0, 1, 2])


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (np.eye(3)[np.arange(ROWS) % 3] + np.eye(3)[0] * (np.arange(ROWS) == 0)[:, None], "but the targets have rows"),
        (
            np.tile([1, 1, 0], (ROWS, 1)),
            "row 0 of train has 2 ones (rows count from 0). binary_cross_entropy takes each",
        ),
        (
            np.tile([0.2, 0.5, 0.3], (ROWS, 1)),
            "rows of probabilities. Give the most probable class of each, `y.argmax(axis=1)`",
        ),
        (np.arange(ROWS) * 10.0, "the targets have 60 different numbers in 60 rows. Numbers to regress on need a loss"),
        (np.arange(ROWS) * 10, "the targets have 60 different numbers in 60 rows. Numbers to regress on need a loss"),
    ],
)
def test_what_may_be_no_class_is_refused_with_the_way_out(y: Any, said: str) -> None:
    if said == "but the targets have rows":
        assert read(y, "npz", SOFTMAX).classes is None  # for the check of losses to refuse
    else:
        assert said in refused(lambda: read(y, "npz", SOFTMAX))


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("use", ["csv", "parquet"])
@pytest.mark.parametrize("loss", targets.OF_NUMBERS)
@pytest.mark.parametrize(
    ("cells", "way_out"),
    [
        (["$1,290,604", "$158,157"], "Remove '$' from its cells, and say `thousands: \",\"`"),
        (["1,290,604", "158,157"], 'Say `thousands: ","`'),
        (["290,604", "158,157"], 'Say `thousands: ","` or `decimal: ","`'),
        (["23,9", "7,25"], 'Say `decimal: ","`'),
        (["1.234,5", "7,25"], 'Say `decimal: ","` and `thousands: "."`'),
        (["12 %", "7 %"], "Remove '%' from its cells"),
        (["cat", "dog"], "softmax_cross_entropy is for classes, and `task: regression` for a column of numbers"),
    ],
)
def test_words_are_refused_under_a_loss_of_numbers(use: str, loss: str, cells: list[str], way_out: str) -> None:
    said = refused(lambda: read(np.resize(cells, ROWS), use, loss))
    place = "t.csv:2" if use == "csv" else "t.parquet, row 0 from 0"
    assert (
        said == f"{place}: the target 'y' holds words, the first is {cells[0]!r}, but {loss} is for numbers. {way_out}"
    )
    assert read(np.resize(cells, ROWS), use, SOFTMAX).classes == 2


def test_true_and_false_are_0_and_1_to_a_loss_of_numbers() -> None:
    dataset = read(np.arange(ROWS) % 2 == 1, "csv", MSE)
    assert sorted(np.unique(dataset.train.y)) == [0, 1]


def test_names_of_folders_and_characters_are_no_numbers() -> None:
    Path("a.txt").write_text("abc" * 40)
    said = refused(lambda: Datasets().get("text", {"path": "a.txt", "window": 2}, MSE))
    assert said == (
        "the targets are names of classes, such as 'a', but mean_squared_error is for numbers. "
        "Use softmax_cross_entropy"
    )


# --- numbers that are large and close together ------------------------------------------------------------------------


@pytest.mark.parametrize("use", ["csv", "parquet", "npz", "npy"])
def test_targets_are_scaled_before_they_become_float32(use: str) -> None:
    y = 1.7e9 + RNG.uniform(0, 20, ROWS)
    more = {"task": "regression"} if use in ("csv", "parquet") else {}
    dataset = read(y, use, MSE, scale_target=True, **more)
    rows = [int(8 * x[0]) for x in dataset.train.x]
    wanted = (y[rows] - y[rows].mean()) / y[rows].std()
    np.testing.assert_allclose(dataset.train.y, wanted, atol=1e-6)
    valid = [int(8 * x[0]) for x in dataset.valid.x]
    np.testing.assert_allclose(dataset.valid.y, (y[valid] - y[rows].mean()) / y[rows].std(), atol=1e-6)
    assert (dataset.train.y.dtype, dataset.target_scaling) == (
        np.float32,
        ((pytest.approx(y[rows].mean()),), (pytest.approx(y[rows].std()),)),
    )


def test_scaled_targets_are_no_classes() -> None:
    said = refused(lambda: read(RNG.normal(size=ROWS), "npz", SOFTMAX, scale_target=True))
    assert said == f"scale_target is for numbers to regress on, but {SOFTMAX} is for classes. Remove it"
    advice = "say `task: regression` of a table, or give floats in an array; else remove it"
    assert advice in refused(lambda: loading.load("two_moons", {"scale_target": True}))


# ---- a loss of one's own ---------------------------------------------------------------------------------------------

OWN = "test_targets:own"


def own(outputs: Any, targets: Any) -> Any:
    return outputs


def under_own(y: Any, outputs: str, use: str = "npz", **more: Any) -> Dataset:
    arguments = {**stored(y, use), **more}
    return Datasets().get(arguments.pop("use"), arguments, OWN, {"outputs": outputs})


@pytest.mark.parametrize("outputs", targets.CLASS_OUTPUTS)
def test_outputs_of_classes_make_classes_of_labels_from_1_and_of_one_hot_rows(outputs: str) -> None:
    y = RNG.integers(1, 4, ROWS)
    for given in (y, y.astype(np.float32)):
        dataset = under_own(given, outputs)
        assert (dataset.classes, dataset.labels) == (3, (1, 2, 3))
        assert of_rows(dataset) == dict(enumerate(y.tolist()))
    dataset = under_own(np.eye(3, dtype=int)[y - 1], outputs)
    assert of_rows(dataset) == dict(enumerate((y - 1).tolist()))
    several = np.eye(3)[y - 1]
    several[0] = 1
    assert under_own(several, outputs).train.y.shape[1:] == (3,)  # independent labels stay rows


@pytest.mark.parametrize("outputs", targets.NUMBER_OUTPUTS)
def test_outputs_of_numbers_make_numbers_of_whole_targets(outputs: str) -> None:
    y = RNG.poisson(3, ROWS)
    for use in ("npz", "csv"):
        dataset = under_own(y, outputs, use)
        assert (dataset.classes, dataset.train.y.dtype) == (None, np.float32)
        found = {int(8 * x[0]): target for split in dataset.splits.values() for x, target in zip(*split, strict=True)}
        assert found == dict(enumerate(y.tolist()))


def test_words_are_no_numbers_and_what_is_below_0_is_no_count() -> None:
    said = refused(lambda: under_own(["cat", "dog"] * 30, "counts", "csv"))
    assert "'cat'" in said
    assert said.endswith("`outputs: logits` is for classes, and `task: regression` for a column of numbers")
    said = refused(lambda: under_own(np.arange(ROWS) - 5.0, "log_counts"))
    assert (
        said == f"to {OWN} outputs are log_counts, but a target is -5, which is no count. `outputs: values` is for "
        "any numbers"
    )
    for outputs in ("logits", "counts"):
        with pytest.raises(DataError, match="scale_target is for numbers to regress on"):
            under_own(np.arange(ROWS) / 7, outputs, scale_target=True)
