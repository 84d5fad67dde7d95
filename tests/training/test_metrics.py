"""Metrics against their definitions, row by row in plain Python and float64."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sweeping
import tolerances
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.config import names
from sweeps.errors import ModelError
from sweeps.training import check_signatures
from sweeps.training.losses import LOSSES, decision_threshold
from sweeps.training.metrics import METRICS, build_metric
from sweeps.training.schedules import SCHEDULES

ROWS = 60
GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(0, 3, (ROWS, 4)).astype(np.float32)
VALUES = GENERATOR.normal(0, 3, (ROWS, 4)).astype(np.float32)
LABELS = GENERATOR.integers(0, 4, ROWS).astype(np.int32)
BITS = GENERATOR.integers(0, 2, ROWS).astype(np.int32)


def metric(name: str, outputs: Any, targets: Any, threshold: float = 0.0) -> float:
    measured = build_metric(name, threshold)(jnp.asarray(outputs), jnp.asarray(targets))
    assert measured.shape == ()
    assert measured.dtype == jnp.float32
    return float(measured)


def test_the_names_of_a_config_are_those_that_can_be_found() -> None:
    assert set(names.METRICS) == set(METRICS)
    assert set(names.LOSSES) == set(LOSSES)
    assert set(names.SCHEDULES) == set(SCHEDULES)


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


@pytest.mark.parametrize(("loss", "threshold"), [("mean_squared_error", 0.5), ("huber", 0.5), ("own:loss", 0.0)])
def test_a_single_output_is_class_one_above_what_its_loss_draws_it_to(loss: str, threshold: float) -> None:
    assert decision_threshold(loss, {}) == threshold
    assert decision_threshold("binary_cross_entropy", {}) == 0
    assert decision_threshold("binary_cross_entropy", {"from_logits": False}) == 0.5
    outputs = np.array([[0.4], [0.6], [-1.0], [1.4]], np.float32)
    assert metric("accuracy", outputs, np.array([0, 1, 0, 1]), 0.5) == 1


# ---- precision, recall, F1 -------------------------------------------------------------------------------------------


def tally(predicted: list[int], actual: list[int], of: int) -> tuple[float, float, float]:
    """Precision, recall and F1 of one class, by counting."""
    pairs = list(zip(predicted, actual, strict=True))
    hits = sum(a == b == of for a, b in pairs)
    said, there = predicted.count(of), actual.count(of)
    return (hits / said if said else 0, hits / there if there else 0, 2 * hits / (said + there) if said + there else 0)


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize(("name", "place"), [("precision", 0), ("recall", 1), ("f1", 2)])
def test_precision_recall_and_f1_of_two_classes_are_of_class_one(name: str, place: int, width: int) -> None:
    outputs = LOGITS[:, :width]
    predicted = outputs[:, 0] > 0 if width == 1 else outputs[:, 1] > outputs[:, 0]
    expected = tally(predicted.astype(int).tolist(), BITS.tolist(), 1)[place]
    np.testing.assert_allclose(metric(name, outputs, BITS), expected, **tolerances.FORMULA)


@pytest.mark.parametrize(("name", "place"), [("precision_macro", 0), ("recall_macro", 1), ("f1_macro", 2)])
@pytest.mark.parametrize("absent", [(), (3,), (1, 3)])
def test_macro_averages_are_over_the_classes_that_occur(name: str, place: int, absent: tuple[int, ...]) -> None:
    outputs, labels = LOGITS.copy(), LABELS.copy()
    outputs[:, list(absent)] = -100
    labels[np.isin(labels, absent)] = 0
    predicted, actual = outputs.argmax(axis=1).tolist(), labels.tolist()
    expected = np.mean([tally(predicted, actual, each)[place] for each in sorted({*predicted, *actual})])
    np.testing.assert_allclose(metric(name, outputs, labels), expected, **tolerances.FORMULA)


@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_what_is_never_predicted_and_never_there_scores_zero(name: str) -> None:
    assert metric(name, np.full((5, 1), -1, np.float32), np.zeros(5, np.int32)) == 0


@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_metrics_of_class_one_refuse_more_classes_and_name_the_macro_average(name: str) -> None:
    with pytest.raises(ModelError, match=f"use {name}_macro"):
        check_signatures.check_metric(name, 4, LABELS)


# ---- order -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("among", [1, 2, 3])
def test_top_k_is_how_often_the_label_is_among_the_k_highest(among: int) -> None:
    highest = np.argsort(-LOGITS, axis=1, kind="stable")[:, :among]
    expected = (highest == LABELS[:, None]).any(axis=1).mean()
    np.testing.assert_allclose(metric(f"top_{among}", LOGITS, LABELS), expected, **tolerances.FORMULA)


def test_of_equal_outputs_the_first_is_the_higher_so_top_1_is_the_accuracy() -> None:
    coarse = np.round(LOGITS / 3)
    assert metric("top_1", coarse, LABELS) == metric("accuracy", coarse, LABELS)
    assert metric("top_2", np.zeros((2, 3), np.float32), np.array([1, 2])) == 0.5


def test_no_label_is_among_the_highest_of_nan() -> None:
    assert metric("top_1", np.full((4, 3), np.nan, np.float32), np.array([1, 2, 1, 2])) == 0


def test_top_k_of_all_classes_is_refused() -> None:
    with pytest.raises(ModelError, match="top_4 needs more than 4 classes"):
        check_signatures.check_metric("top_4", 4, LABELS)


def area(scores: np.ndarray, is_positive: np.ndarray) -> float:
    """Every pair of a positive and a negative counts: 1 if it is in order, a half if it is a tie."""
    pairs = itertools.product(scores[is_positive].tolist(), scores[~is_positive].tolist())
    return float(np.mean([1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs]))


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("step", [0.0, 1.0, 4.0])
def test_auc_is_the_fraction_of_pairs_in_order(width: int, step: float) -> None:
    outputs = np.round(LOGITS[:, :width] / step) * step if step else LOGITS[:, :width]
    scores = outputs[:, 0] if width == 1 else outputs[:, 1] - outputs[:, 0]
    np.testing.assert_allclose(metric("auc", outputs, BITS), area(scores, BITS == 1), **tolerances.FORMULA)


def test_auc_of_classes_is_the_mean_of_each_against_the_rest_by_probability() -> None:
    exponentials = np.exp(LOGITS.astype(np.float64))
    chances = exponentials / exponentials.sum(axis=1, keepdims=True)
    expected = np.mean([area(chances[:, each], each == LABELS) for each in range(4)])
    np.testing.assert_allclose(metric("auc", LOGITS, LABELS), expected, **tolerances.FORMULA)


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
@settings(max_examples=50)
def test_auc_counts_ties_as_halves_whatever_the_rows(rows: list[tuple[int, bool]]) -> None:
    scores, is_positive = np.array([a for a, _ in rows], np.float32), np.array([b for _, b in rows])
    found = metric("auc", scores[:, None], is_positive.astype(np.int32))
    if is_positive.all() or not is_positive.any():
        assert np.isnan(found)
    else:
        np.testing.assert_allclose(found, area(scores, is_positive), **tolerances.FORMULA)


def test_auc_of_a_hundred_thousand_rows_is_as_exact_as_of_a_few() -> None:
    rows = 100_000
    is_positive = np.arange(rows) % 2
    scores = np.random.default_rng(1).permutation(rows).astype(np.float32) + 20_000 * is_positive.astype(np.float32)
    ranks = np.empty(rows)
    order = np.argsort(scores, kind="stable")
    values, first, counts = np.unique(scores[order], return_index=True, return_counts=True)
    ranks[order] = np.repeat(first + (counts + 1) / 2, counts)
    half = rows // 2
    expected = (ranks[is_positive == 1].sum() - half * (half + 1) / 2) / half**2
    assert len(values) < rows  # there are ties
    np.testing.assert_allclose(metric("auc", scores[:, None], is_positive), expected, rtol=1e-6)


# ---- values ----------------------------------------------------------------------------------------------------------


def test_r2_is_one_minus_the_unexplained_part_of_the_variance_averaged_over_outputs() -> None:
    outputs, targets = (VALUES + LOGITS / 4).astype(np.float64), VALUES.astype(np.float64)
    left, total = ((targets - outputs) ** 2).sum(axis=0), ((targets - targets.mean(axis=0)) ** 2).sum(axis=0)
    found = metric("r2", outputs.astype(np.float32), VALUES)
    np.testing.assert_allclose(found, (1 - left / total).mean(), **tolerances.FORMULA)


def test_r2_of_targets_far_from_zero_is_not_lost_in_their_mean() -> None:
    targets = (1000 + VALUES[:, 0]).astype(np.float32)
    outputs = targets + LOGITS[:, 0] / 4
    errors, spread = (outputs.astype(np.float64) - targets), targets.astype(np.float64) - targets.mean(dtype=np.float64)
    expected = 1 - (errors**2).sum() / (spread**2).sum()
    np.testing.assert_allclose(metric("r2", outputs[:, None], targets), expected, rtol=1e-4)


@pytest.mark.parametrize(("offset", "expected"), [(0.0, 1.0), (1.0, 0.0)])
def test_r2_of_targets_that_do_not_vary_says_whether_they_are_met(offset: float, expected: float) -> None:
    targets = np.full(5, 2, np.float32)
    assert metric("r2", targets[:, None] + np.float32(offset), targets) == expected


def test_mean_squared_error_as_a_metric_averages_over_rows_and_outputs() -> None:
    expected = ((LOGITS.astype(np.float64) - VALUES) ** 2).mean()
    np.testing.assert_allclose(metric("mean_squared_error", LOGITS, VALUES), expected, **tolerances.FORMULA)


# ---- in lanes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", [None, 3])
def test_every_metric_of_classes_is_the_same_in_lanes(lanes: int | None) -> None:
    metrics = ["accuracy", "top_2", "precision_macro", "recall_macro", "f1_macro", "auc"]
    config = sweeping.config(metrics=metrics, search_space=sweeping.fixed(epochs=2), micro_batch=8)
    policy = sweeping.mapped(2) if lanes is None else sweeping.vmapped(lanes)
    programs = sweeping.make_programs(config, policy)
    lane_trials = [sweeping.lane_trial(programs, config, number, {}) for number in range(3)]
    from_lanes = sweeping.train_in_lanes(programs, policy, lane_trials)
    for number in range(3):
        sweeping.assert_same(from_lanes[number].scores, sweeping.refer(config, number, {}).scores, tolerances.TRAINED)


def test_metrics_of_lanes_side_by_side_are_those_of_each() -> None:
    outputs = jnp.stack([jnp.asarray(LOGITS), jnp.asarray(-LOGITS)])
    for name in ("auc", "f1_macro", "top_2"):
        side_by_side = jax.jit(jax.vmap(build_metric(name), in_axes=(0, None)))(outputs, jnp.asarray(LABELS))
        alone = [metric(name, each, LABELS) for each in outputs]
        np.testing.assert_allclose(side_by_side, alone, **tolerances.FORMULA)


# ---- functions that cannot be used -----------------------------------------------------------------------------------


def in_numpy(outputs: jax.Array, targets: jax.Array) -> Any:
    return np.mean(np.asarray(outputs).argmax(axis=1) == np.asarray(targets))


def with_a_condition(outputs: jax.Array, targets: jax.Array) -> Any:
    return outputs.mean() if outputs.max() > 0 else targets.mean()


def by_row(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    return outputs[:, 0]


def mean_of_squares(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    return jnp.square(outputs[:, 0] - targets).mean()


def nothing(outputs: jax.Array, targets: jax.Array) -> None:
    return None


@pytest.mark.parametrize("name", ["in_numpy", "with_a_condition"])
def test_a_metric_that_needs_numbers_before_a_run_is_told_to_use_jax_numpy(name: str) -> None:
    with pytest.raises(ModelError, match=rf"metric test_metrics:{name} .*must be written with jax.numpy") as refused:
        check_signatures.check_metric(f"test_metrics:{name}", 4, LABELS)
    assert "Tracer" not in str(refused.value)
    assert "test_metrics.py:" in str(refused.value)  # where


def test_a_loss_of_one_s_own_that_needs_numbers_before_a_run_is_told_to_use_jax_numpy() -> None:
    with pytest.raises(ModelError, match=r"loss test_metrics:in_numpy .*must be written with jax.numpy"):
        check_signatures.check_loss("test_metrics:in_numpy", 4, LABELS)


def test_a_loss_that_takes_the_mean_itself_is_told_to_leave_it_out() -> None:
    with pytest.raises(ModelError, match="must give one number a row, but got one number for all of them: leave"):
        check_signatures.check_loss("test_metrics:mean_of_squares", 1, np.zeros(4, np.float32))


def test_a_metric_that_gives_a_number_a_row_or_none_is_told_so() -> None:
    with pytest.raises(ModelError, match=r"must give one number, but got shape \('rows',\): take the mean of it"):
        check_signatures.check_metric("test_metrics:by_row", 4, LABELS)
    with pytest.raises(ModelError, match="must give one number, but got no array but NoneType"):
        check_signatures.check_metric("test_metrics:nothing", 4, LABELS)


@pytest.mark.parametrize("name", ["accuracy", "auc", "f1_macro", "top_2", "precision"])
def test_a_metric_of_classes_is_refused_where_a_row_has_several_labels(name: str) -> None:
    with pytest.raises(ModelError, match=f"metric {name} needs one class label a row, but a row of the targets has 3"):
        check_signatures.check_metric(name, 3, np.zeros((4, 3), np.float32))


@pytest.mark.parametrize("name", ["accuracy", "f1", "auc"])
def test_a_metric_of_classes_is_refused_for_numbers(name: str) -> None:
    prices = np.float32([149_000, 380_000.5, 1_400_000])
    with pytest.raises(
        ModelError, match=rf"metric {name} needs class labels \(whole numbers\), but .* there are mean_absolute"
    ):
        check_signatures.check_metric(name, 1, prices)
    with pytest.raises(
        ModelError, match=rf"metric {name} of one output needs targets of 0 and 1, but they are 149000 to"
    ):
        check_signatures.check_metric(name, 1, np.floor(prices))
    check_signatures.check_metric(name, 1, np.float32([0, 1, 1]))
