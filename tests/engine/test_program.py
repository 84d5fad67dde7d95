"""The compiled program: which rows make an update, how many updates make an epoch, and what is compiled when."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
import sweeping
import tolerances
from counts import IS_LONG
from hypothesis import given, settings
from hypothesis import strategies as st
from sweeping import counting_compilations, fixed, lane_trial, mapped, regression, restart, single, vmapped

from sweeps.engine.program import Program
from sweeps.errors import DataError
from sweeps.training.lane import EVALUATION_ROWS
from sweeps.training.microbatch import MicroBatches

pytestmark = pytest.mark.usefixtures("compiled_as_shipped")
Shape = tuple[int, list[int], int | str]


def watched(rows: int, batch_size: int, learning_rate: float = 0.0, **changes: Any) -> sweeping.Single:
    """Least squares on a plane under the optimizer that counts and keeps gradients."""
    choices = sorted({*BATCH_SIZES[rows], batch_size})
    rates = {"type": "float", "low": 0.0, "high": 1.0}
    config = regression(
        dataset={"use": "sweeping:plane", "rows": rows},
        optimizer={"use": "sweeping:watching"},
        search_space=fixed(batch_size={"type": "categorical", "choices": choices}, learning_rate=rates),
        **changes,
    )
    return single(config, params={"batch_size": batch_size, "learning_rate": learning_rate})


BATCH_SIZES = {53: (1, 8, 20, 53), 1_050: (100,), 2_000: (500,), 100_000: (100,)}


# ---- how many updates ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "batch_size", "iterations"), [(2_000, 500, 4), (1_050, 100, 11), (100_000, 100, 1_000)]
)
def test_an_epoch_makes_one_optimizer_update_for_each_batch(rows: int, batch_size: int, iterations: int) -> None:
    trial = watched(rows, batch_size).whole_epoch()
    assert int(trial.state.optimizer_state.updates) == iterations
    assert int(trial.whole_epoch().state.optimizer_state.updates) == 2 * iterations


def test_the_last_update_of_1050_examples_at_batch_100_is_the_mean_over_50_of_them() -> None:
    trial = watched(1_050, 100).whole_epoch()
    rows = reference.batches(1_050, 100, seed=0, number=0, epoch=0)[-1]
    train = sweeping.plane(1_050).train
    assert len(rows) == 50
    expected = -2 / 50 * train.x[rows].T.astype(np.float64) @ train.y[rows]
    np.testing.assert_allclose(trial.state.optimizer_state.gradient["kernel"][:, 0], expected, **tolerances.FORMULA)


def test_vmapped_lanes_of_several_batch_sizes_make_each_their_own_number_of_updates() -> None:
    config = regression(
        dataset={"use": "sweeping:plane", "rows": 105},
        optimizer={"use": "sweeping:watching"},
        search_space=fixed(batch_size={"type": "categorical", "choices": [1, 10, 100, 105]}),
    )
    programs, sizes = sweeping.make_programs(config, vmapped(4)), [10, 1, 105, 100]
    trials_in_lanes = [lane_trial(programs, config, number, {"batch_size": size}) for number, size in enumerate(sizes)]
    program = programs.program(trials_in_lanes[0].program_key, sweeping.CPU)
    program.compile()
    values = sweeping.lane_values(trials_in_lanes)
    state, report = program.epoch(program.init(values), values, program.feed.open()(0), 2**30)
    assert np.asarray(state.optimizer_state.updates).tolist() == [11, 105, 1, 2]
    assert np.asarray(report.finished).all()


# ---- which rows, with which weights ----------------------------------------------------------------------------------


def test_a_batch_of_all_examples_is_gradient_descent() -> None:
    trial, train = watched(53, 53, 0.1), sweeping.plane(53).train
    x, y = np.c_[train.x, np.ones(53)].astype(np.float64), train.y.astype(np.float64)
    weights = np.zeros(5)
    for _ in range(3):
        trial = trial.whole_epoch()
        weights -= 0.1 * 2 / 53 * x.T @ (x @ weights - y)
        np.testing.assert_allclose(_weights(trial), weights, **tolerances.TRAINED)


def test_a_batch_of_one_example_is_stochastic_gradient_descent() -> None:
    trial, train = watched(53, 1, 0.01), sweeping.plane(53).train
    x, y = np.c_[train.x, np.ones(53)].astype(np.float64), train.y.astype(np.float64)
    weights = np.zeros(5)
    for epoch in range(2):
        trial = trial.whole_epoch()
        for (row,) in reference.batches(53, 1, seed=0, number=0, epoch=epoch):
            weights -= 0.01 * 2 * (x[row] @ weights - y[row]) * x[row]
        np.testing.assert_allclose(_weights(trial), weights, **tolerances.TRAINED)


def _weights(trial: sweeping.Single) -> np.ndarray:
    return np.r_[np.asarray(trial.state.params["kernel"])[:, 0], np.asarray(trial.state.params["bias"])]


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """Training rows, batch sizes that they allow, and a micro-batch size or none."""
    examples = draw(st.integers(1, 60))
    batch_sizes = draw(st.lists(st.integers(1, examples), min_size=4, max_size=4))
    return examples, batch_sizes, draw(st.integers(1, 70) | st.just("auto"))


@pytest.mark.slow
@given(shapes())
@settings(max_examples=30 if IS_LONG else 8)
def test_the_parts_of_a_batch_sum_to_the_gradient_of_its_mean_loss(shape: Shape) -> None:
    check_gradients(*shape)


def check_gradients(examples: int, batch_sizes: list[int], micro_batch: int | str) -> None:
    """Every update of an epoch, at each batch size, against the mean of its own rows' gradients."""
    config = sweeping.config(
        dataset={"use": "sweeping:blobs", "rows": examples},
        optimizer={"use": "sweeping:watching"},
        search_space=fixed(
            learning_rate=0.0, batch_size={"type": "categorical", "choices": sorted({*batch_sizes, examples})}
        ),
        micro_batch=micro_batch,
    )
    programs = sweeping.make_programs(config, mapped(1))
    for number, batch_size in enumerate(batch_sizes):
        trial = restart(programs, lane_trial(programs, config, number, {"batch_size": batch_size}))
        gradients = gradients_of_rows(trial.state.params, examples)
        for rows in reference.batches(examples, batch_size, seed=0, number=number, epoch=0):
            trial, _ = trial.call(1)  # one update
            expected = jax.tree.map(lambda leaf, rows=rows: leaf[rows].astype(np.float64).mean(axis=0), gradients)
            sweeping.assert_same(trial.state.optimizer_state.gradient, expected, tolerances.GRADIENT)
        assert int(trial.state.epoch) == 1


@jax.jit
def _gradients_of_rows(params: Any, x: jax.Array, y: jax.Array) -> Any:
    _, apply = sweeping.curved((5,), 3)

    def loss(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        return -jax.nn.log_softmax(apply(params, x[None])[0])[y]

    return jax.vmap(jax.grad(loss), in_axes=(None, 0, 0))(params, x, y)


def gradients_of_rows(params: Any, examples: int) -> Any:
    """The gradient of each row's own loss, `[examples, …]`; always computed for 60 rows, to be compiled once."""
    train = sweeping.blobs(examples).train
    x, y = np.zeros((60, 5), np.float32), np.zeros(60, np.int32)
    x[:examples], y[:examples] = train
    return jax.tree.map(np.asarray, _gradients_of_rows(jax.tree.map(np.asarray, params), x, y))


@pytest.mark.parametrize("micro_batch", [7, "auto"])
def test_the_gradient_is_jax_grad_of_the_plain_mean(micro_batch: int | str) -> None:
    trial, train = watched(53, 20, micro_batch=micro_batch), sweeping.plane(53).train
    _, apply = sweeping.flat((4,), 1)
    for rows in reference.batches(53, 20, seed=0, number=0, epoch=0):

        def mean(params: Any, rows: np.ndarray = rows) -> jax.Array:
            return jnp.square(apply(params, jnp.asarray(train.x[rows]))[:, 0] - train.y[rows]).mean()

        expected = jax.grad(mean)(trial.state.params)
        trial, _ = trial.call(1)
        sweeping.assert_same(trial.state.optimizer_state.gradient, expected, tolerances.GRADIENT)


@pytest.mark.parametrize("micro_batch", [3, 8])
def test_rows_outside_a_batch_do_not_touch_it_even_where_they_are_nan_or_infinite(micro_batch: int) -> None:
    batches = reference.batches(24, 5, seed=0, number=0, epoch=0)
    bad = tuple(int(batches[update][0]) for update in (1, 3))  # the first row past a clean batch, where padding begins
    config = regression(
        dataset={"use": "sweeping:poisoned", "bad": bad},
        model={"use": "sweeping:logarithm"},
        optimizer={"use": "sweeping:watching"},
        search_space=fixed(learning_rate=0.0, batch_size=5),
        micro_batch=micro_batch,
    )
    train, trial = sweeping.poisoned(bad=bad).train, single(config)
    for update, rows in enumerate(batches):
        trial, _ = trial.call(1)
        gradient = np.asarray(trial.state.optimizer_state.gradient["kernel"])[:, 0]
        if update in (1, 3):
            assert not np.isfinite(gradient).all()
        else:
            expected = -2 / len(rows) * np.log(train.x[rows].astype(np.float64)).T @ train.y[rows]
            np.testing.assert_allclose(gradient, expected, **tolerances.GRADIENT)


def test_rows_of_a_vmapped_neighbour_do_not_touch_a_lane_even_where_they_are_nan_or_infinite() -> None:
    config = regression(
        dataset={"use": "sweeping:poisoned", "bad": [0]},
        model={"use": "sweeping:logarithm"},
        optimizer={"use": "sweeping:watching"},
        search_space=fixed(learning_rate=0.0, batch_size={"type": "categorical", "choices": [1, 2, 24]}),
        micro_batch=4,
    )
    programs = sweeping.make_programs(config, vmapped(2))
    trials_in_lanes = [
        lane_trial(programs, config, number, {"batch_size": size}) for number, size in enumerate([1, 24])
    ]
    program = programs.program(trials_in_lanes[0].program_key, sweeping.CPU)
    program.compile()
    values = sweeping.lane_values(trials_in_lanes)
    state, _ = program.epoch(program.init(values), values, program.feed.open()(0), 2**30)
    first, whole = np.asarray(state.optimizer_state.gradient["kernel"])[:, :, 0]
    (last,) = reference.batches(24, 1, seed=0, number=0, epoch=0)[-1]
    train = sweeping.poisoned(bad=(0,)).train
    assert last != 0
    assert not np.isfinite(whole).all()
    np.testing.assert_allclose(first, -2 * np.log(train.x[last]) * train.y[last], **tolerances.GRADIENT)


def test_the_train_loss_is_the_mean_over_all_examples_and_not_over_batches() -> None:
    # With a zero rate every example meets the same parameters, so the short batch must not weigh more.
    _, report = watched(53, 20).call(2**30)
    np.testing.assert_allclose(report.scores[0], np.square(sweeping.plane(53).train.y).mean(), **tolerances.FORMULA)


@pytest.mark.parametrize("valid_rows", [1, EVALUATION_ROWS + 1])
def test_validation_counts_every_row_once_whatever_their_number(valid_rows: int) -> None:
    dataset = {"use": "sweeping:plane", "valid_rows": valid_rows}
    trial, report = single(regression(dataset=dataset, search_space=fixed(learning_rate=0.1))).call(2**30)
    valid, params = sweeping.plane(53, valid_rows).valid, jax.tree.map(np.asarray, trial.state.params)
    expected = np.square((valid.x @ params["kernel"] + params["bias"])[:, 0] - valid.y).mean()
    np.testing.assert_allclose(report.scores[1], expected, **tolerances.FORMULA)


def test_whole_numbers_reach_a_model_as_they_are() -> None:
    config = sweeping.config(
        dataset={"use": "sweeping:tokens"}, model={"use": "sweeping:embedding"}, search_space=fixed(epochs=5)
    )
    _, report = single(config).call(2**30)
    assert np.isfinite(report.scores).all()


def test_yes_or_no_targets_that_are_neither_are_refused() -> None:
    with pytest.raises(DataError, match="0 and 1"):
        single(regression(loss="binary_cross_entropy", search_space=fixed()))


# ---- calls and compilations ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 3, 7])
def test_an_epoch_in_many_calls_is_bitwise_the_epoch_in_one(limit: int) -> None:
    config = sweeping.config(micro_batch=4, search_space=fixed(batch_size=7))
    programs = sweeping.shared_programs(config, mapped(1))
    trial_in_lane = lane_trial(programs, config, 3, {})
    whole, expected = restart(programs, trial_in_lane).call(2**30)
    trial, calls, finished = restart(programs, trial_in_lane), 0, False
    while not finished:
        trial, report = trial.call(limit)
        calls, finished = calls + 1, bool(report.finished)
    assert calls > 1
    sweeping.assert_same(trial.state, whole.state, tolerances.EXACT)
    sweeping.assert_same(report.scores, expected.scores, tolerances.EXACT)


def test_other_values_of_a_lane_compile_nothing() -> None:
    config = sweeping.config(optimizer={"use": "sgd"}, search_space=_numeric_space())
    programs = sweeping.make_programs(config, mapped(1))
    with counting_compilations() as compiled:
        for number, batch_size in enumerate([8, 20, 53]):
            params = {"batch_size": batch_size, "learning_rate": 0.1 / (1 + number), "optimizer.momentum": 0.1 * number}
            restart(programs, lane_trial(programs, config, number, params)).whole_epoch()
    assert len(compiled) == 1


def test_a_second_call_of_compile_compiles_nothing() -> None:
    program = watched(53, 8).program
    with counting_compilations() as compiled:
        program.compile()
    assert compiled == []


def test_a_learning_rate_of_another_type_or_size_shares_the_program() -> None:
    config = sweeping.config(search_space=_numeric_space())
    programs = sweeping.make_programs(config, mapped(1))
    tried = [{"batch_size": 8, "learning_rate": rate, "optimizer.momentum": 0.5} for rate in (1e-30, 0.5, 1.0, 1e9)]
    assert len({lane_trial(programs, config, number, params).program_key for number, params in enumerate(tried)}) == 1


def test_a_vmapped_program_takes_one_micro_batch_size() -> None:
    made = watched(53, 8).program
    with pytest.raises(ValueError, match="one micro-batch size"):
        Program(made.lane, made.feed, MicroBatches((4, 8), splits=False), 2, sweeping.CPU)


def _numeric_space() -> dict[str, Any]:
    return fixed(
        batch_size={"type": "categorical", "choices": [8, 20, 53]},
        learning_rate={"type": "float", "low": 1e-30, "high": 1e9, "log": True},
        **{"optimizer.momentum": {"type": "float", "low": 0.0, "high": 0.99}},
    )
