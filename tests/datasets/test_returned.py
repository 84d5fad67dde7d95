"""Arrays that a function returns are taken in the order, or by the names, that they have; never the wrong way round."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sweeps.datasets import loading, targets
from sweeps.datasets.dataset import Dataset, Split
from sweeps.datasets.doubts import doubts
from sweeps.errors import DataError

ROWS = 60
X, Y = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32), np.arange(ROWS) % 2
PARTS = X[:40], Y[:40], X[40:], Y[40:]
X_TRAIN, Y_TRAIN, X_TEST, Y_TEST = PARTS
WORDS = np.array(["cat", "ant", "bee"])[np.arange(ROWS) % 3]
RETURNED: dict[str, Any] = {}


def returned(what: str = "it") -> Any:
    return RETURNED[what]


def load(made: Any, **arguments: Any) -> Dataset:
    RETURNED["it"] = made
    return loading.load("test_returned:returned", arguments)


def refused(make: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        make()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def pairs(dataset: Dataset, *names: str) -> set[tuple[Any, ...]]:
    return {(*x.tolist(), int(y)) for name in names for x, y in zip(*dataset.splits[name], strict=True)}


def of(x: Any, y: Any) -> set[tuple[Any, ...]]:
    return {(*row, label) for row, label in zip(np.asarray(x).tolist(), np.asarray(y).tolist(), strict=True)}


@pytest.mark.parametrize(
    "made",
    [
        (X_TRAIN, Y_TRAIN, X_TEST, Y_TEST),
        (X_TRAIN, X_TEST, Y_TRAIN, Y_TEST),
        [[X_TRAIN, X_TEST], [Y_TRAIN, Y_TEST]],
        ((X_TRAIN, Y_TRAIN), (X_TEST, Y_TEST)),
        {"x_train": X_TRAIN, "y_train": Y_TRAIN, "x_test": X_TEST, "y_test": Y_TEST},
        {"X_test": X_TEST, "train-images": X_TRAIN, "test_labels": Y_TEST, "train labels": Y_TRAIN},
        {"train": (X_TRAIN, Y_TRAIN), "test": {"data": X_TEST, "target": Y_TEST}},
    ],
    ids=["by split", "x before y", "nested x before y", "pairs", "names", "other names", "splits"],
)
def test_splits_are_what_they_are_called_and_shaped(made: Any) -> None:
    dataset = load(made)
    assert pairs(dataset, "train", "valid") == of(X_TRAIN, Y_TRAIN)
    assert pairs(dataset, "test") == of(X_TEST, Y_TEST)


def test_the_order_of_scikit_learn_s_train_test_split_is_taken_and_said() -> None:
    frame, labels, order = (
        pd.DataFrame(X, columns=list("abc")),
        pd.Series(Y),
        np.random.default_rng(1).permutation(ROWS),
    )
    x_train, x_test, y_train, y_test = (
        each.iloc[rows] for each in (frame, labels) for rows in (order[15:], order[:15])
    )
    dataset = load((x_train, x_test, y_train, y_test))
    assert pairs(dataset, "test") == of(x_test, y_test)
    told = "test_returned:returned returned 4 arrays: taken, by their shapes, as x before y (45 train, 15 test rows)"
    assert told in dataset.notes


def test_three_splits_are_taken_in_both_orders() -> None:
    parts = [slice(0, 30), slice(30, 45), slice(45, ROWS)]
    by_kind = load([X[part] for part in parts] + [Y[part] for part in parts])
    by_split = load([array[part] for part in parts for array in (X, Y)])
    for dataset in (by_kind, by_split):
        for name, part in zip(("train", "valid", "test"), parts, strict=True):
            assert pairs(dataset, name) == of(X[part], Y[part])


def test_arrays_of_which_two_orders_are_right_are_refused_with_the_way_out() -> None:
    half = np.arange(30.0)
    said = refused(lambda: load((half, half, half, half)))
    assert said.startswith("test_returned:returned returned 4 arrays of shapes (30,), (30,), (30,), (30,)")
    assert said.endswith("both orders of them fit. Return ((x_train, y_train), (x_test, y_test))")
    assert load(((half, half), (half, half))).target_width == 1  # which is what the advice says
    assert "no order of them fits" in refused(lambda: load((X, Y, X[:5], Y[:6])))


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ({"x": X, "y": Y, "z": Y}, "'z' is none of the names that are known"),
        ({"x_train": X, "y_train": Y, "x_test": X}, "there is no y_test"),
        ({"x": X, "inputs": X, "y": Y}, "two are x"),
        ({"x_test": X, "y_test": Y}, "there is no x_train"),
        ({"train": X, "test": X}, "'train' is no pair (x, y)"),
        ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y, "weights_test": Y}, "weights are for rows that train"),
    ],
)
def test_a_dict_that_is_not_clear_is_refused_with_the_names(made: Any, why: str) -> None:
    said = refused(lambda: load(made))
    assert said.startswith(f"test_returned:returned returned a dict of {', '.join(made)}")
    assert why in said
    assert said.endswith("Call them x and y, or x_train, y_train, x_test and y_test, or return ((x_train, y_train), "
                         "(x_test, y_test))")  # fmt: skip


def test_a_dict_may_have_weights_of_the_rows_that_train() -> None:
    weights = np.linspace(0.5, 1.5, ROWS)
    for made in ({"x": X, "y": Y, "weights": weights}, {"features": X, "labels": Y, "sample_weight": weights}):
        dataset = load(made)
        assert dataset.weights is not None
        rows = [int(np.flatnonzero((each == X).all(axis=1))[0]) for each in dataset.train.x]
        np.testing.assert_allclose(dataset.weights, weights[rows], rtol=1e-6)


def test_labels_in_the_place_of_inputs_are_told() -> None:
    told = "x is one column of whole numbers, and y has 3 columns: are they the wrong way round?"
    assert told in doubts(load((Y, X)))
    assert told not in doubts(load((X, Y)))


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "made",
    [
        (X, WORDS),
        (X, WORDS.tolist()),
        (X, WORDS.astype("S")),
        (X, WORDS.astype(object)),
        (X, WORDS[:, None]),
        (pd.DataFrame(X), pd.Series(WORDS, dtype="category")),
        (X[:40], X[40:], WORDS[:40], WORDS[40:]),
        Dataset(Split(X[:40], WORDS[:40]), Split(X[40:], WORDS[40:])),
    ],
    ids=["text", "list", "bytes", "objects", "column", "pandas", "splits", "Dataset"],
)
def test_words_are_classes_by_the_alphabet_and_refused_by_a_loss_of_numbers(made: Any) -> None:
    dataset = targets.under("softmax_cross_entropy", load(made))
    assert (dataset.classes, dataset.class_names, dataset.labels) == (3, *[("ant", "bee", "cat")] * 2)
    found = {
        tuple(x.tolist()): dataset.labels[y] for split in dataset.splits.values() for x, y in zip(*split, strict=True)
    }
    assert found == {tuple(x.tolist()): str(word) for x, word in zip(X, WORDS, strict=True)}
    said = refused(lambda: targets.under("mean_squared_error", load(made)))
    assert said == (
        "test_returned:returned: the targets are words, the first is 'cat', but mean_squared_error is for numbers. "
        "softmax_cross_entropy is for classes"
    )


def test_numbers_that_are_words_have_another_way_out() -> None:
    said = refused(lambda: targets.under("mean_squared_error", load((X, np.arange(ROWS).astype(str)))))
    assert said.endswith("but mean_squared_error is for numbers. `y.astype(float)` makes numbers of them")


@pytest.mark.parametrize("bad", [None, float("nan"), 3, ""])
def test_words_among_which_something_is_none_are_refused_by_their_row(bad: Any) -> None:
    y = WORDS.astype(object)
    y[7] = bad
    said = refused(lambda: load((X, y)))
    assert "y: row 7 must be the name of a class, as others are, but is " in said


def test_words_in_numpy_s_files_are_classes(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("t.npz", x_train=X[:40], y_train=WORDS[:40], x_test=X[40:], y_test=WORDS[40:])
    np.save("x.npy", X)
    np.save("y.npy", WORDS)
    for arguments in ({"use": "npz", "path": "t.npz"}, {"use": "npy", "path": "x.npy", "targets": "y.npy"}):
        dataset = loading.load(arguments.pop("use"), {**arguments, "class_weight": (("ant", 2.0),)})
        assert dataset.class_names == ("ant", "bee", "cat")
        assert dataset.weights is not None
        np.testing.assert_array_equal(dataset.weights, np.where(dataset.train.y == 0, 2.0, 1.0))
