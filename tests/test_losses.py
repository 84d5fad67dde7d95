"""Losses and metrics against their definitions, in NumPy and float64."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
import tolerances
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.datasets.base import Dataset, Split, checked
from sweeps.errors import DataError, ModelError
from sweeps.training.losses import LOSSES, find_loss, outputs_needed
from sweeps.training.metrics import METRICS, find_metric

ROWS = 7
GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(0, 3, (ROWS, 4)).astype(np.float32)
VALUES = GENERATOR.normal(0, 3, (ROWS, 4)).astype(np.float32)
LABELS = GENERATOR.integers(0, 4, ROWS).astype(np.int32)
BITS = GENERATOR.integers(0, 2, (ROWS, 4)).astype(np.int32)


def loss(name: str, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return np.asarray(find_loss(name)(jnp.asarray(outputs), jnp.asarray(targets)))


def metric(name: str, outputs: np.ndarray, targets: np.ndarray) -> float:
    measured = find_metric(name)(jnp.asarray(outputs), jnp.asarray(targets))
    assert measured.shape == ()
    assert measured.dtype == jnp.float32
    return float(measured)


# ---- losses: a number a row ------------------------------------------------------------------------------------------


def test_mean_squared_error_averages_the_squares_of_a_rows_outputs() -> None:
    expected = ((LOGITS.astype(np.float64) - VALUES) ** 2).mean(axis=1)
    np.testing.assert_allclose(loss("mean_squared_error", LOGITS, VALUES), expected, **tolerances.FORMULA)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_mean_squared_error_takes_one_target_a_row_without_a_column(dtype: type) -> None:
    targets = np.arange(ROWS).astype(dtype)
    expected = (LOGITS[:, 0].astype(np.float64) - targets) ** 2
    np.testing.assert_allclose(loss("mean_squared_error", LOGITS[:, :1], targets), expected, **tolerances.FORMULA)


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_binary_cross_entropy_is_minus_the_log_of_the_probability_of_what_was(width: int, dtype: type) -> None:
    chance = 1 / (1 + np.exp(-LOGITS[:, :width].astype(np.float64)))
    expected = -np.log(np.where(BITS[:, :width] == 1, chance, 1 - chance)).mean(axis=1)
    found = loss("binary_cross_entropy", LOGITS[:, :width], BITS[:, :width].astype(dtype))
    np.testing.assert_allclose(found, expected, **tolerances.FORMULA)


def test_binary_cross_entropy_takes_one_label_a_row_without_a_column() -> None:
    column, flat = BITS[:, :1], BITS[:, 0]
    np.testing.assert_array_equal(
        loss("binary_cross_entropy", LOGITS[:, :1], flat), loss("binary_cross_entropy", LOGITS[:, :1], column)
    )


def test_softmax_cross_entropy_is_minus_the_log_of_the_probability_of_the_label() -> None:
    exponentials = np.exp(LOGITS.astype(np.float64))
    chances = exponentials / exponentials.sum(axis=1, keepdims=True)
    expected = -np.log(chances[np.arange(ROWS), LABELS])
    np.testing.assert_allclose(loss("softmax_cross_entropy", LOGITS, LABELS), expected, **tolerances.FORMULA)


@pytest.mark.parametrize("name", ["binary_cross_entropy", "softmax_cross_entropy"])
def test_a_cross_entropy_of_enormous_outputs_is_finite(name: str) -> None:
    targets = np.array([0, 1] if name == "softmax_cross_entropy" else [[1, 0], [0, 1]], np.int32)
    found = loss(name, np.array([[1e4, -1e4], [1e4, -1e4]], np.float32), targets)
    np.testing.assert_allclose(found, [0, 2e4] if name == "softmax_cross_entropy" else [0, 1e4], atol=1e-3)


@pytest.mark.parametrize("name", sorted(LOSSES))
@given(st.permutations(range(ROWS)))
@settings(max_examples=5)
def test_a_rows_loss_is_its_own_whatever_the_other_rows(name: str, order: list[int]) -> None:
    targets = {"softmax_cross_entropy": LABELS, "binary_cross_entropy": BITS, "mean_squared_error": VALUES}[name]
    whole = loss(name, LOGITS, targets)
    assert whole.shape == (ROWS,)
    np.testing.assert_array_equal(loss(name, LOGITS[order], targets[order]), whole[order])


# ---- how many outputs a loss wants -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "classes", "width", "outputs"),
    [
        ("softmax_cross_entropy", 10, 1, 10),
        ("softmax_cross_entropy", 2, 1, 2),
        ("binary_cross_entropy", 2, 1, 1),
        ("binary_cross_entropy", None, 3, 3),
        ("mean_squared_error", None, 1, 1),
        ("mean_squared_error", None, 3, 3),
        ("mean_squared_error", 10, 1, 1),
        ("own:loss", 10, 1, 10),
        ("own:loss", None, 3, 3),
    ],
)
def test_a_model_has_one_output_a_class_or_one_a_target(
    name: str, classes: int | None, width: int, outputs: int
) -> None:
    assert outputs_needed(name, data(classes, width)) == outputs


def data(classes: int | None, width: int) -> Dataset:
    """Targets of some classes, or some numbers from 0 to 1 in a row."""
    y = np.arange(6, dtype=np.float32).reshape(6, 1) / 6 if classes is None else np.arange(6) % classes
    split = Split(np.zeros((6, 2), np.float32), y.repeat(width, axis=1) if classes is None else y)
    return checked(Dataset(split, split, classes=classes))


def test_softmax_refuses_fractional_targets() -> None:
    with pytest.raises(DataError, match="class labels"):
        outputs_needed("softmax_cross_entropy", data(None, 1))


def test_binary_cross_entropy_refuses_more_than_two_classes_and_names_the_loss_that_takes_them() -> None:
    with pytest.raises(DataError, match="0 to 2; use softmax_cross_entropy"):
        outputs_needed("binary_cross_entropy", data(3, 1))


# ---- metrics: a number a split ---------------------------------------------------------------------------------------


def test_accuracy_is_the_fraction_of_rows_whose_highest_output_is_the_label() -> None:
    outputs = np.array([[1, 2, 0], [5, 4, 3], [0, 0, 1], [1, 0, 0]], np.float32)
    assert metric("accuracy", outputs, np.array([1, 0, 2, 2], np.int32)) == 0.75


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_accuracy_of_one_output_goes_by_its_sign(dtype: type, shape: tuple[int, ...]) -> None:
    outputs = np.array([[0.1], [-0.1], [30], [-30]], np.float32)
    assert metric("accuracy", outputs, np.array([1, 0, 0, 0]).astype(dtype).reshape(shape)) == 0.75


def test_accuracy_of_nan_outputs_is_a_number() -> None:
    assert 0 <= metric("accuracy", np.full((4, 3), np.nan, np.float32), np.arange(4, dtype=np.int32) % 3) <= 1


@pytest.mark.parametrize("targets", [VALUES[:, :1], VALUES[:, 0]], ids=["column", "flat"])
def test_mean_absolute_error_of_one_output_a_row(targets: np.ndarray) -> None:
    expected = np.abs(LOGITS[:, 0].astype(np.float64) - VALUES[:, 0]).mean()
    np.testing.assert_allclose(metric("mean_absolute_error", LOGITS[:, :1], targets), expected, **tolerances.FORMULA)


def test_mean_absolute_error_averages_over_rows_and_outputs() -> None:
    expected = np.abs(LOGITS.astype(np.float64) - VALUES).mean()
    np.testing.assert_allclose(metric("mean_absolute_error", LOGITS, VALUES), expected, **tolerances.FORMULA)


# ---- names -----------------------------------------------------------------------------------------------------------


def test_a_loss_and_a_metric_of_the_users_own_are_found_by_module_and_name() -> None:
    assert find_loss("sweeps.training.losses:mean_squared_error") is LOSSES["mean_squared_error"]
    assert find_metric("sweeps.training.metrics:accuracy") is METRICS["accuracy"]


def test_a_loss_or_metric_that_its_module_lacks_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ModelError, match="mean_squared_error"):
        find_loss("sweeps.training.losses:mean_square_error")
    with pytest.raises(ModelError, match="nowhere"):
        find_metric("nowhere:metric")
