"""Losses against their definitions, in NumPy and float64."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import sweeping
import tolerances
from hypothesis import given, settings
from hypothesis import strategies as st
from sweeping import fixed, lane_trial, mapped, vmapped

from sweeps.datasets import targets
from sweeps.datasets.dataset import Dataset, Split, checked
from sweeps.errors import DataError, ModelError
from sweeps.training.losses import (
    LOSSES,
    build_loss,
    decision_threshold,
    meaning,
    outputs_needed,
    traceable_arguments,
)
from sweeps.training.metrics import build_metric

ROWS = 7
GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(0, 3, (ROWS, 4)).astype(np.float32)
VALUES = GENERATOR.normal(0, 3, (ROWS, 4)).astype(np.float32)
LABELS = GENERATOR.integers(0, 4, ROWS).astype(np.int32)
BITS = GENERATOR.integers(0, 2, (ROWS, 4)).astype(np.int32)


def loss(name: str, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return np.asarray(LOSSES[name](jnp.asarray(outputs), jnp.asarray(targets)))


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


@pytest.mark.parametrize("rows", [(7,), (5, 6)])
@pytest.mark.parametrize("classes", [2, 3, 32, 33, 100])
def test_softmax_cross_entropy_and_its_slope_are_optaxs_for_few_classes_and_for_many(
    classes: int, rows: tuple[int, ...]
) -> None:
    generator = np.random.default_rng(classes)
    logits = jnp.asarray(generator.normal(0, 3, (*rows, classes)), jnp.float32)
    labels = jnp.asarray(generator.integers(0, classes, rows), jnp.int32)
    weights = jnp.asarray(generator.uniform(size=rows), jnp.float32)

    def total(one: Any) -> Any:
        return jax.value_and_grad(lambda outputs: (weights * one(outputs, labels)).sum())(logits)

    ours = LOSSES["softmax_cross_entropy"]
    theirs = optax.softmax_cross_entropy_with_integer_labels
    np.testing.assert_allclose(ours(logits, labels), theirs(logits, labels), **tolerances.FORMULA)
    np.testing.assert_allclose(total(ours)[1], total(theirs)[1], **tolerances.FORMULA)


@pytest.mark.parametrize("name", ["binary_cross_entropy", "softmax_cross_entropy"])
def test_a_cross_entropy_of_enormous_outputs_is_finite(name: str) -> None:
    targets = np.array([0, 1] if name == "softmax_cross_entropy" else [[1, 0], [0, 1]], np.int32)
    found = loss(name, np.array([[1e4, -1e4], [1e4, -1e4]], np.float32), targets)
    np.testing.assert_allclose(found, [0, 2e4] if name == "softmax_cross_entropy" else [0, 1e4], atol=1e-3)


@pytest.mark.parametrize("name", sorted(LOSSES))
@given(st.permutations(range(ROWS)))
@settings(max_examples=5)
def test_a_rows_loss_is_its_own_whatever_the_other_rows(name: str, order: list[int]) -> None:
    targets = {"softmax_cross_entropy": LABELS, "binary_cross_entropy": BITS}.get(name, VALUES)
    whole = loss(name, LOGITS, targets)
    assert whole.shape == (ROWS,)
    np.testing.assert_array_equal(loss(name, LOGITS[order], targets[order]), whole[order])


# ---- losses with arguments -------------------------------------------------------------------------------------------


def loss_with(name: str, outputs: np.ndarray, targets: np.ndarray, **arguments: Any) -> np.ndarray:
    """A loss whose numbers are tracers, as in a lane."""
    numbers = {key: value for key, value in arguments.items() if isinstance(value, float)}
    rest = {key: value for key, value in arguments.items() if key not in numbers}
    return np.asarray(jax.jit(lambda given: build_loss(name, {**rest, **given})(outputs, targets))(as_float32(numbers)))


def as_float32(numbers: dict[str, float]) -> dict[str, np.float32]:
    return {key: np.float32(value) for key, value in numbers.items()}


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def test_mean_absolute_error_as_a_loss_averages_a_rows_differences() -> None:
    expected = np.abs(LOGITS.astype(np.float64) - VALUES).mean(axis=1)
    np.testing.assert_allclose(loss("mean_absolute_error", LOGITS, VALUES), expected, **tolerances.FORMULA)


@pytest.mark.parametrize("delta", [0.1, 1.0, 2.5, 100.0])
def test_huber_is_a_parabola_inside_delta_and_its_tangent_outside(delta: float) -> None:
    difference = np.abs(LOGITS.astype(np.float64) - VALUES)
    expected = np.where(difference <= delta, difference**2 / 2, delta * (difference - delta / 2)).mean(axis=1)
    np.testing.assert_allclose(loss_with("huber", LOGITS, VALUES, delta=delta), expected, **tolerances.FORMULA)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5, 1.0])
def test_smoothed_softmax_is_the_cross_entropy_against_the_smoothed_label(smoothing: float) -> None:
    targets = (1 - smoothing) * np.eye(4)[LABELS] + smoothing / 4
    expected = -(targets * np.log(softmax(LOGITS))).sum(axis=1)
    found = loss_with("softmax_cross_entropy", LOGITS, LABELS, label_smoothing=smoothing)
    np.testing.assert_allclose(found, expected, **tolerances.FORMULA)


def test_the_slope_of_smoothed_softmax_is_probability_minus_smoothed_label() -> None:
    smoothed = build_loss("softmax_cross_entropy", {"label_smoothing": np.float32(0.3)})
    slope = jax.grad(lambda outputs: smoothed(outputs, jnp.asarray(LABELS)).sum())(jnp.asarray(LOGITS))
    np.testing.assert_allclose(slope, softmax(LOGITS) - (0.7 * np.eye(4)[LABELS] + 0.3 / 4), **tolerances.FORMULA)


@pytest.mark.parametrize("smoothing", [0.1, 0.6])
@pytest.mark.parametrize("from_logits", [True, False])
def test_smoothed_binary_cross_entropy_draws_targets_to_a_half(smoothing: float, from_logits: bool) -> None:
    chances = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))
    targets = BITS * (1 - smoothing) + 0.5 * smoothing
    expected = -(targets * np.log(chances) + (1 - targets) * np.log(1 - chances)).mean(axis=1)
    outputs = LOGITS if from_logits else chances.astype(np.float32)
    arguments = {"from_logits": from_logits, "label_smoothing": smoothing}
    found = loss_with("binary_cross_entropy", outputs, BITS, **arguments)
    np.testing.assert_allclose(found, expected, rtol=1e-4)  # a probability near 1 has lost what its logit knows


def test_binary_cross_entropy_of_a_certain_mistake_is_finite() -> None:
    outputs, targets = jnp.array([[0.0], [1.0]]), jnp.array([1, 0])
    wrong = build_loss("binary_cross_entropy", {"from_logits": False})
    np.testing.assert_allclose(wrong(outputs, targets), [16.1, 15.9], atol=0.1)
    assert np.isfinite(jax.grad(lambda outputs: wrong(outputs, targets).sum())(outputs)).all()


def test_numbers_of_a_loss_ride_in_lanes_and_flags_select_programs() -> None:
    assert traceable_arguments("binary_cross_entropy", {"from_logits": True, "label_smoothing": 0.1}) == {
        "label_smoothing"
    }
    assert traceable_arguments("test_losses:powered", {"power": 2.0, "times": 3}) == {"power"}


def powered(outputs: jax.Array, targets: jax.Array, power: Any = 2.0, times: int = 1) -> jax.Array:
    """A loss of a user's own, with a number that decides something in Python."""
    return jnp.abs(outputs - targets[:, None].astype(jnp.float32)).mean(axis=-1) ** power * len(range(times))


@pytest.mark.parametrize(
    ("loss", "targets", "argument", "values"),
    [
        ({"use": "huber"}, "plane", "delta", [0.2, 1.5]),
        ({"use": "softmax_cross_entropy"}, "blobs", "label_smoothing", [0.05, 0.4]),
    ],
)
@pytest.mark.usefixtures("compiling_anew")
@pytest.mark.parametrize("lanes", [None, 2])
def test_lanes_of_one_program_train_with_their_own_losses(
    loss: dict[str, str], targets: str, argument: str, values: list[float], lanes: int | None
) -> None:
    space = {
        **fixed(epochs=2),
        f"loss.{argument}": {"type": "float", "low": 0.01, "high": 2.0 if targets == "plane" else 0.5},
    }
    config = sweeping.config(
        loss=loss, dataset={"use": f"sweeping:{targets}"}, metrics=[], search_space=space, micro_batch=8
    )
    policy = mapped(2) if lanes is None else vmapped(lanes)
    programs = sweeping.make_programs(config, policy)
    trials = [{f"loss.{argument}": value} for value in values]
    lane_trials = [lane_trial(programs, config, number, params) for number, params in enumerate(trials)]
    assert lane_trials[0].program_key == lane_trials[1].program_key
    from_lanes = sweeping.train_in_lanes(programs, policy, lane_trials)
    assert programs.compilations == 1
    for number, params in enumerate(trials):
        expected = sweeping.refer(config, number, params)
        sweeping.assert_same(from_lanes[number].scores, expected.scores, tolerances.TRAINED)
        sweeping.assert_same(from_lanes[number].params, expected.params, tolerances.TRAINED)


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


@pytest.mark.parametrize(
    ("said", "classes", "outputs", "means", "threshold"),
    [
        ({"outputs": "logits"}, 3, 3, "softmax", 0.0),
        ({"outputs": "logits"}, 2, 2, "softmax", 0.0),
        ({"outputs": "logits", "number_of_outputs": 1}, 2, 1, "sigmoid", 0.0),
        ({"outputs": "probabilities", "number_of_outputs": 1}, 2, 1, "probabilities", 0.5),
        ({"outputs": "scores"}, 3, 3, "scores", 0.0),
        ({"outputs": "values"}, 3, 1, "values", 0.5),
        ({"outputs": "counts"}, 3, 1, "counts", 0.5),
        ({"outputs": "log_counts"}, 3, 1, "log_counts", np.log(0.5)),
        ({"outputs": "values", "number_of_outputs": 2}, 3, 2, "values", 0.5),
    ],
)
def test_a_loss_of_ones_own_says_how_many_outputs_there_are_and_what_they_mean(
    said: dict[str, Any], classes: int, outputs: int, means: str, threshold: float
) -> None:
    use = "sweeps.training.losses:mean_squared_error"
    dataset = targets.under(use, data(classes, 1), said)
    assert outputs_needed(use, dataset, said) == outputs
    assert meaning(use, said, dataset) == means
    assert decision_threshold(use, said) == threshold
    assert build_loss(use, said) is LOSSES["mean_squared_error"]
    assert traceable_arguments(use, said) == frozenset()


def of_one_logit(outputs: Any, targets: Any) -> Any:
    return outputs[:, 0]


of_one_logit.outputs, of_one_logit.number_of_outputs = "logits", 1  # type: ignore[attr-defined]


def test_a_function_says_the_same_in_its_attributes_and_the_config_wins() -> None:
    assert outputs_needed("test_losses:of_one_logit", data(2, 1)) == 1
    assert meaning("test_losses:of_one_logit", {}, data(2, 1)) == "sigmoid"
    assert outputs_needed("test_losses:of_one_logit", data(2, 1), {"number_of_outputs": 2}) == 2


def test_scaled_targets_of_one_number_cannot_come_back_from_two_outputs() -> None:
    split = Split(np.zeros((6, 2), np.float32), np.arange(6.0))
    dataset = checked(Dataset(split, split), scale_target=True)
    with pytest.raises(DataError, match="scale_target needs an output for each of a target's 1 numbers"):
        outputs_needed("test_losses:of_one_logit", dataset, {"outputs": "values", "number_of_outputs": 2})


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


# ---- names -----------------------------------------------------------------------------------------------------------


def test_a_loss_and_a_metric_of_the_users_own_are_found_by_module_and_name() -> None:
    assert build_loss("sweeps.training.losses:mean_squared_error", {}) is LOSSES["mean_squared_error"]
    assert build_metric("sweeps.training.metrics:accuracy") is build_metric("accuracy")


def test_a_loss_or_metric_that_its_module_lacks_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ModelError, match="mean_squared_error"):
        build_loss("sweeps.training.losses:mean_square_error", {})
    with pytest.raises(ModelError, match="nowhere"):
        build_metric("nowhere:metric")
