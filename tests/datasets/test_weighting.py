"""Rows and classes with weights: training multiplies losses by them, as Keras does, and nothing else knows of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import sweeping
import tolerances
import yaml
from reference import batches
from sweeping import CPU, Trained, assert_same, config, lane_trial, mapped, refer, train_in_lanes, vmapped

from sweeps.command import data_facts
from sweeps.config import SweepConfig, json_schema, parse_config, to_yaml
from sweeps.datasets import loading
from sweeps.datasets.dataset import Dataset, Split, checked, from_arrays
from sweeps.datasets.loading import Datasets
from sweeps.datasets.weighting import balanced, weighted
from sweeps.engine.devices import Policy
from sweeps.engine.feed import feed
from sweeps.engine.programs import Programs
from sweeps.errors import ConfigError, DataError

pytestmark = pytest.mark.usefixtures("any_promotion")
SPACE = {
    "epochs": 2,
    "batch_size": {"type": "categorical", "choices": [5, 8, 16]},
    "learning_rate": {"type": "float", "low": 0.01, "high": 1.0},
}
TRIALS = [{"batch_size": size, "learning_rate": rate} for size, rate in [(8, 0.1), (16, 0.3), (5, 0.5)]]
CHUNK_BYTES = 16 * (5 * 4 + 4)
"""Sixteen rows of five float32 and a label."""


def important(kind: str = "uneven") -> Dataset:
    """`sweeping.blobs`, whose rows weigh from 0 to 3 (`uneven`), or all 1 (`ones`), or some 1 and some 0 (`some`)."""
    plain = sweeping.blobs()
    weights = np.random.default_rng(1).uniform(0, 3, plain.train.rows).astype(np.float32)
    weights[::7] = 0
    ones = np.ones_like(weights)
    return dataclasses.replace(plain, weights={"uneven": weights, "ones": ones, "some": ones * (weights > 1.5)}[kind])


def spoilt() -> Dataset:
    """`some` with other inputs and labels in the rows that weigh nothing."""
    some = important("some")
    is_none, x, y = some.weights == 0, some.train.x.copy(), some.train.y.copy()
    x[is_none], y[is_none] = 1 - 2 * x[is_none], 0
    return dataclasses.replace(some, train=Split(x, y))


def swept(use: str = "test_weighting:important", **arguments: Any) -> SweepConfig:
    return config(dataset={"use": use, **arguments}, search_space=SPACE, micro_batch=8)


def trained(config: SweepConfig, policy: Policy) -> dict[int, Trained]:
    programs = Programs(config, Datasets(), policy, chunk_bytes=CHUNK_BYTES)
    return train_in_lanes(programs, policy, [lane_trial(programs, config, *each) for each in enumerate(TRIALS)])


def layers() -> keras.Model:
    return keras.Sequential([keras.Input((5,)), keras.layers.Dense(6, activation="tanh"), keras.layers.Dense(3)])


# ---- training --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [mapped(2), vmapped(3)], ids=["mapped", "vmapped"])
@pytest.mark.parametrize("resident_bytes", [None, 0], ids=["resident", "streamed"])
def test_a_trial_on_weighted_rows_is_the_trial_in_the_plain_loop(policy: Policy, resident_bytes: int | None) -> None:
    # In particular the validation loss is the plain loop's, which is of rows without weights.
    for number, found in trained(swept(), policy._replace(resident_bytes=resident_bytes)).items():
        assert_same(found, refer(swept(), number, TRIALS[number], chunk_rows=16), tolerances.TRAINED)


def test_weights_that_are_all_1_change_no_bit() -> None:
    ones, none = (trained(each, mapped(2)) for each in (swept(kind="ones"), swept("sweeping:blobs")))
    for number, found in ones.items():
        assert_same(found, none[number], tolerances.EXACT)


def test_rows_that_weigh_nothing_have_no_influence() -> None:
    clean, other = (trained(each, mapped(2)) for each in (swept(kind="some"), swept("test_weighting:spoilt")))
    for number, found in clean.items():
        assert_same(found, other[number], tolerances.EXACT)
    assert not np.array_equal(important("some").train.x, spoilt().train.x)


def test_the_training_loss_is_the_mean_of_weighted_losses() -> None:
    # A linear model that starts at zero gives every class the same chance, and without learning keeps to it.
    still = config(
        dataset={"use": "test_weighting:important"},
        model={"use": "sweeping:flat"},
        search_space={"epochs": 1, "batch_size": 8, "learning_rate": 0.0},
    )
    scores = sweeping.single(still).call(2**30)[1].scores
    expected = [np.log(3) * important().weights.mean(), np.log(3)]
    np.testing.assert_allclose(scores[:2], expected, **tolerances.FORMULA)


@pytest.mark.parametrize("by", ["sample_weight", "class_weight"])
def test_losses_and_weights_are_those_of_keras(by: str) -> None:
    classes = {0: 1.0, 1: 5.0, 2: 0.25}
    use = (
        {"use": "sweeping:blobs", "class_weight": classes}
        if by == "class_weight"
        else {"use": "test_weighting:important"}
    )
    space = {"epochs": 1, "batch_size": 8, "learning_rate": 0.1}
    trial = sweeping.single(config(dataset=use, search_space=space, model={"use": "test_weighting:layers"}))
    model = layers()
    for variable, value in zip(model.trainable_variables, trial.state.params.values(), strict=True):
        variable.assign(np.array(value))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss=loss)
    (x, y), losses, sums = important().train, [], [0.0]
    cut = batches(len(x), 8, seed=0, number=0, epoch=0)
    for rows in cut[:-1]:
        how = {by: important().weights[rows] if by == "sample_weight" else classes}
        losses.append(float(model.train_on_batch(x[rows], y[rows], **how)))
        trial, _ = trial.call(1)
        sums.append(float(trial.state.loss_sum))
    sizes = [len(rows) for rows in cut[:-1]]
    np.testing.assert_allclose(np.diff(sums) / sizes, losses, **tolerances.TRAINED)
    for variable, value in zip(model.trainable_variables, trial.state.params.values(), strict=True):
        np.testing.assert_allclose(np.array(value), np.array(variable.value), **tolerances.TRAINED)


def test_rows_without_weights_have_none_on_the_device() -> None:
    assert feed(sweeping.blobs(), CPU, 64, None).shapes.train_w is None
    assert feed(important(), CPU, 64, None).shapes.train_w.shape == (53,)


# ---- weights of classes ----------------------------------------------------------------------------------------------


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    # compute_class_weight("balanced", …) and compute_sample_weight("balanced", …) of scikit-learn 1.9.1.
    labels = np.array([2] * 3 + [0] * 7 + [1])
    expected = [0.5238095238095238, 3.6666666666666665, 1.2222222222222223]
    np.testing.assert_allclose(balanced(labels, 3), expected, rtol=1e-12)
    np.testing.assert_allclose(balanced(np.array([0, 0, 0, 2]), 3)[[0, 2]], [0.6666666666666666, 2.0], rtol=1e-12)


def test_balanced_weights_are_by_the_rows_that_train() -> None:
    dataset = loading.load("sweeping:blobs", {"class_weight": "balanced"})
    shares = [dataset.weights[dataset.train.y == label].sum() for label in range(3)]
    np.testing.assert_allclose(shares, [53 / 3] * 3, rtol=1e-6)


def test_weights_of_classes_and_of_rows_are_multiplied_and_other_classes_weigh_1() -> None:
    dataset = loading.load("test_weighting:important", {"class_weight": (("2", 4.0),)})
    by_class = np.where(important().train.y == 2, 4, 1)
    np.testing.assert_allclose(dataset.weights, important().weights * by_class, rtol=1e-6)


def test_classes_are_called_by_their_names_where_they_have_any() -> None:
    named = dataclasses.replace(checked(sweeping.blobs()), class_names=("ant", "bee", "cat"))
    assert set(weighted(named, {"bee": 3}).weights[named.train.y == 1]) == {3}
    with pytest.raises(DataError, match="there is no class '1'; the 3 classes are ant, bee, cat"):
        weighted(named, {"1": 3})


@pytest.mark.parametrize(
    ("class_weight", "said"),
    [
        ("balance", "must be `balanced`, or weights by class such as {0: 1.0, 1: 5.0}, but got 'balance'"),
        (3, "must be `balanced`, or weights by class"),
        ({}, "must be `balanced`, or weights by class"),
        ({"0": -1}, "class_weight of '0' must be at least 0, but got -1"),
        ({"0": float("inf")}, "class_weight of '0' must be a finite number, but got inf"),
        ({"0": "2"}, "class_weight of '0' must be a finite number, but got '2'"),
        ({"0": 0, "1": 0, "2": 0}, "must not all be 0"),
    ],
)
def test_what_is_no_weight_of_a_class_is_refused(class_weight: Any, said: str) -> None:
    with pytest.raises(DataError) as caught:
        weighted(checked(sweeping.blobs()), class_weight)
    assert said in str(caught.value)


def test_values_to_regress_on_have_no_weights_of_classes() -> None:
    with pytest.raises(DataError, match="class_weight is for targets that are classes"):
        loading.load("sweeping:plane", {"class_weight": "balanced"})


# ---- configs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["{0: 1.0, 1: 5}", "{'0': 1.0, '1': 5}", "[[0, 1.0], ['1', 5]]"])
def test_labels_of_classes_are_written_as_they_are(written: str) -> None:
    text = to_yaml(config()).replace("{use: 'sweeping:blobs'}", f"{{use: sweeping:blobs, class_weight: {written}}}")
    made = parse_config(text)
    found = loading.load(made.dataset.use, made.dataset.arguments)
    assert [set(found.weights[found.train.y == label]) for label in range(3)] == [{1}, {5}, {1}]
    assert parse_config(to_yaml(made)) == made


def test_labels_of_classes_can_be_numbers_in_python_and_in_an_override() -> None:
    from_python = config(dataset={"use": "sweeping:blobs", "class_weight": {0: 1.0, np.int64(1): 5}})
    overridden = parse_config(to_yaml(config()), ["dataset.class_weight={0: 1.0, 1: 5}"])
    assert from_python == overridden
    assert parse_config(to_yaml(overridden), ["dataset.class_weight.1=5"]) == overridden


@pytest.mark.parametrize("class_weight", [{"0": 1.0, "1": 5}, "balanced", None])
def test_the_json_schema_knows_weights_of_classes(class_weight: Any) -> None:
    tree = yaml.safe_load(to_yaml(config())) | {"dataset": {"use": "mnist", "class_weight": class_weight}}
    jsonschema = pytest.importorskip("jsonschema")
    assert list(jsonschema.Draft202012Validator(json_schema()).iter_errors(tree)) == []


def test_other_keys_are_still_text() -> None:
    with pytest.raises(ConfigError, match="keys must be text"):
        parse_config(to_yaml(config()), ["model.widths={0: 1.0}"])


# ---- weights of rows -------------------------------------------------------------------------------------------------


def rows_of_a_table(tmp_path: Path, weights: list[str], **arguments: Any) -> Dataset:
    lines = ["x,kind,importance", *(f"{row},{'ab'[row % 2]},{weight}" for row, weight in enumerate(weights))]
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    given = {"path": str(tmp_path / "rows.csv"), "target": "kind", "weight": "importance"}
    return loading.load("csv", {**given, **arguments})


@pytest.mark.parametrize("arguments", [{}, {"stratify": True}, {"time": "x"}, {"features": ("x",)}])
def test_a_column_of_weights_is_no_feature_and_goes_with_its_rows(tmp_path: Path, arguments: dict[str, Any]) -> None:
    arguments = {"drop": (), **arguments}
    if "time" in arguments:
        arguments["features"] = ("x",)
    dataset = rows_of_a_table(tmp_path, [str(row / 2) for row in range(40)], **arguments)
    assert dataset.input_shape == (1,)
    np.testing.assert_array_equal(dataset.weights, dataset.train.x[:, 0] / 2)
    assert [column["name"] for column in dataset.preprocessing["columns"]] == ["x"]


def test_rows_without_a_weight_can_be_dropped(tmp_path: Path) -> None:
    dataset = rows_of_a_table(tmp_path, ["1.5", "1.5", ""] * 10, missing="drop")
    assert dataset.train.rows + dataset.valid.rows == 20
    assert set(dataset.weights) == {1.5}


@pytest.mark.parametrize(
    ("cell", "arguments", "said"),
    [
        ("-1", {}, "rows.csv:2: every cell of column 'importance' must be a weight, a finite number of at least 0"),
        ("", {}, "but got an empty cell"),
        ("much", {}, "must be a weight, a finite number of at least 0, but got 'much'"),
        ("1", {"weight": "importanc"}, "there is no column 'importanc'; the nearest are 'importance'"),
        ("1", {"weight": "kind"}, "weight: 'kind' must be neither the target nor a feature"),
        ("1", {"features": ("x", "importance")}, "weight: 'importance' must be neither the target nor a feature"),
    ],
)
def test_what_is_no_column_of_weights_is_refused(
    tmp_path: Path, cell: str, arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError) as caught:
        rows_of_a_table(tmp_path, [cell, *["1"] * 9], **arguments)
    assert said in str(caught.value)


def test_an_array_of_weights_goes_with_its_rows(tmp_path: Path) -> None:
    x, path = np.arange(20, dtype=np.float32)[:, None], tmp_path / "rows.npz"
    np.savez(path, x=x, y=x[:, 0], weights=x[:, 0] + 1, other=x[:, 0] + 2)
    for arguments, more in ({}, 1), ({"weights": "other"}, 2):
        dataset = loading.load("npz", {"path": str(path), **arguments})
        np.testing.assert_array_equal(dataset.weights, dataset.train.x[:, 0] + more)
    assert "other 20 float32" in dataset.notes[0]
    with pytest.raises(DataError, match="has no array 'another'"):
        loading.load("npz", {"path": str(path), "weights": "another"})


def test_an_array_of_weights_is_beside_the_rows_that_train(tmp_path: Path) -> None:
    x, path = np.arange(20, dtype=np.float32)[:, None], tmp_path / "rows.npz"
    np.savez(path, x_train=x, y_train=x[:, 0], x_valid=x[:3], y_valid=x[:3, 0], weights_train=x[:, 0] + 1)
    np.testing.assert_array_equal(loading.load("npz", {"path": str(path)}).weights, x[:, 0] + 1)


def three(rows: int = 20) -> tuple[np.ndarray, ...]:
    x = np.arange(rows, dtype=np.float32)
    return x[:, None], x, x * 3


def test_a_function_can_return_weights_as_a_third_array() -> None:
    dataset = loading.load("test_weighting:three", {"valid_fraction": 0.5})
    np.testing.assert_array_equal(dataset.weights, dataset.train.y * 3)
    assert len(dataset.weights) == 10


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (np.full(20, np.nan), "weights must be finite and at least 0, but row 0 has nan"),
        (np.arange(20) - 3.0, "weights must be finite and at least 0, but row 0 has -3.0"),
        (np.full(20, 1e39), "weights must be finite and at least 0, but row 0 has 1e+39"),
        (np.zeros(20), "weights must not all be 0"),
        (np.ones(19), r"a number for each row, shape (20,), but got float64 of shape (19,)"),
        (np.ones((20, 1)), r"but got float64 of shape (20, 1)"),
        (["a"] * 20, "weights must be a number for each row"),
    ],
)
def test_what_is_no_weight_of_a_row_is_refused(weights: Any, said: str) -> None:
    with pytest.raises(DataError) as caught:
        from_arrays(*three()[:2], weights, valid_fraction=0.2)
    assert said in str(caught.value)


def test_weights_of_a_dataset_are_those_of_its_training_rows() -> None:
    with pytest.raises(DataError, match="a number for each training row"):
        checked(dataclasses.replace(sweeping.blobs(), weights=np.ones(83)))


def test_a_check_says_what_rows_weigh() -> None:
    found = dict(data_facts.facts("mine:data", checked(important("some"))))
    few = int((important("some").weights == 0).sum())
    mean = important("some").weights.mean()
    assert found["  weights"] == f"0 to 1 a training row, mean {mean:.4g}; {few} rows weigh nothing"
    assert "  weights" not in dict(data_facts.facts("mine:data", checked(sweeping.blobs())))
