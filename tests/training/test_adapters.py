"""Each adapter against its own library: the same weights and batches come to the same losses, step by step."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import keras
import numpy as np
import optax
import pytest
import sweeping
import tolerances
import user_models
from flax import linen, nnx
from reference import batches
from sweeping import (
    Trained,
    assert_same,
    config,
    host,
    lane_trial,
    mapped,
    refer,
    shared_programs,
    train_in_lanes,
    vmapped,
)

from sweeps.config import SweepConfig, read_draft, to_yaml
from sweeps.datasets.loading import Datasets
from sweeps.engine.devices import Policy
from sweeps.errors import ModelError
from sweeps.training.adapters.model import Model, Variables
from sweeps.training.models import build_model, made_by_keras
from sweeps.validation.validate import examine

pytestmark = pytest.mark.usefixtures("any_promotion")
ROWS, BATCH, RATE = 157, 8, 0.1
"""Twenty iterations, the last of five rows."""
Losses = list[float]
KEYS = jax.random.split(jax.random.key(0), 2)


def sweep(use: str, **changes: Any) -> SweepConfig:
    return config(
        **{
            "dataset": {"use": "sweeping:blobs", "rows": ROWS},
            "model": {"use": f"user_models:{use}"},
            "search_space": {"epochs": 2, "batch_size": BATCH, "learning_rate": RATE},
            **changes,
        }
    )


def build(use: str, **arguments: Any) -> Model:
    return build_model(f"user_models:{use}", arguments, (5,), 3)


def in_a_lane(use: str) -> tuple[Variables, Losses]:
    """Where a lane starts from, and its loss at each of its first iterations."""
    trial = sweeping.single(sweep(use))
    start, sums = Variables(*host(trial.state.variables)), [0.0]
    for _ in range(-(-ROWS // BATCH) - 1):
        trial, _ = trial.call(1)
        sums.append(float(trial.state.loss_sum))
    _, report = trial.call(1)
    sums.append(float(report.scores[0]) * ROWS)
    sizes = [len(rows) for rows in batches(ROWS, BATCH, seed=0, number=0, epoch=0)]
    return start, [float(loss) for loss in np.diff(sums) / sizes]


def own_batches() -> list[tuple[np.ndarray, np.ndarray]]:
    x, y = sweeping.blobs(ROWS).train
    return [(x[rows], y[rows]) for rows in batches(ROWS, BATCH, seed=0, number=0, epoch=0)]


def cross_entropy(outputs: jax.Array, labels: Any) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(outputs, jnp.asarray(labels)).mean()


# ---- training steps as each library's documentation writes them ------------------------------------------------------


def keras_steps(use: str, start: Variables) -> Losses:
    model = user_models.Subclassed(3) if use == "Subclassed" else getattr(user_models, use)()
    model(keras.Input((5,)))
    trained = model.trainable_variables
    rest = [each for each in model.non_trainable_variables if each.name != "seed_generator_state"]
    values = [*start.params.values(), *start.state.values()]
    for variable, value in zip([*trained, *rest], values, strict=True):
        variable.assign(value)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.SGD(RATE), loss=loss)
    return [float(model.train_on_batch(x, y)) for x, y in own_batches()]


def nnx_steps(use: str, start: Variables) -> Losses:
    model = user_models.NnxNet(3, rngs=nnx.Rngs(0))
    for path, value in {**_leaves(start.params), **_leaves(start.state)}.items():
        part, name = path.split(".")
        getattr(getattr(model, part), name)[...] = value
    optimizer = nnx.Optimizer(model, optax.sgd(RATE), wrt=nnx.Param)

    @nnx.jit
    def step(model: nnx.Module, optimizer: nnx.Optimizer, x: jax.Array, y: jax.Array) -> jax.Array:
        loss, gradient = nnx.value_and_grad(lambda model: cross_entropy(model(x), y))(model)
        optimizer.update(model, gradient)
        return loss

    return [float(step(model, optimizer, x, y)) for x, y in own_batches()]


def linen_steps(use: str, start: Variables) -> Losses:
    model, (params, state), losses = user_models.LinenNet(3), start, []

    @jax.jit
    def step(params: Any, state: Any, x: jax.Array, y: jax.Array) -> Any:
        def loss(params: Any) -> Any:
            outputs, after = model.apply({"params": params, **state}, x, train=True, mutable=["batch_stats"])
            return cross_entropy(outputs, y), after

        (value, state_after), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        return value, jax.tree.map(lambda a, b: a - RATE * b, params, gradient), state_after

    for x, y in own_batches():
        value, params, state = step(params, state, x, y)
        losses.append(float(value))
    return losses


def equinox_steps(use: str, start: Variables) -> Losses:
    model, state = eqx.nn.make_with_state(user_models.EquinoxNet)(3, jax.random.key(0))
    for name, value in start.params.items():
        part, kind = name.split(".")
        model = eqx.tree_at(lambda model, part=part, kind=kind: getattr(getattr(model, part), kind), model, value)

    @eqx.filter_value_and_grad(has_aux=True)
    def loss(model: Any, state: Any, x: jax.Array, y: jax.Array) -> Any:
        run = jax.vmap(model, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
        outputs, state = run(x, state)
        return cross_entropy(outputs, y), state

    @eqx.filter_jit
    def step(model: Any, state: Any, x: jax.Array, y: jax.Array) -> Any:
        (value, state), gradient = loss(model, state, x, y)
        return value, eqx.apply_updates(model, jax.tree.map(lambda leaf: -RATE * leaf, gradient)), state

    losses = []
    for x, y in own_batches():
        value, model, state = step(model, state, x, y)
        losses.append(float(value))
    return losses


@pytest.mark.parametrize(
    ("use", "steps"),
    [
        ("sequential", keras_steps),
        ("functional", keras_steps),
        ("Subclassed", keras_steps),
        ("regularized", keras_steps),
        ("NnxNet", nnx_steps),
        ("LinenNet", linen_steps),
        ("EquinoxNet", equinox_steps),
    ],
)
def test_twenty_iterations_have_the_losses_of_the_library_s_own_step(
    use: str, steps: Callable[[str, Variables], Losses]
) -> None:
    start, losses = in_a_lane(use)
    assert len(losses) == 20
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    np.testing.assert_allclose(losses, steps(use, start), rtol=1e-4, atol=1e-5)


def of_few_rows(use: str) -> SweepConfig:
    """Seven iterations an epoch, the last of five rows."""
    return sweep(use, dataset={"use": "sweeping:blobs", "rows": 53})


@functools.cache
def in_the_plain_loop(use: str) -> Trained:
    """The second trial there."""
    return refer(of_few_rows(use), 1, {})


@pytest.mark.parametrize("policy", [mapped(2), vmapped(2)], ids=["mapped", "vmapped"])
@pytest.mark.parametrize("use", ["sequential", "NnxNet", "LinenNet", "EquinoxNet", "Subclassed"])
def test_a_trial_beside_another_is_the_trial_in_the_plain_loop(use: str, policy: Policy) -> None:
    swept = of_few_rows(use)
    programs = shared_programs(swept, policy)
    from_lanes = train_in_lanes(programs, policy, [lane_trial(programs, swept, number, {}) for number in (0, 1)])
    assert_same(from_lanes[1], in_the_plain_loop(use), tolerances.TRAINED)
    assert not np.array_equal(from_lanes[0].scores, from_lanes[1].scores)


# ---- randomness ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("use", ["sequential", "NnxNet", "LinenNet", "EquinoxDropout"])
def test_dropout_draws_from_the_key_while_training_only(use: str) -> None:
    model, x = build(use, rate=0.5), jnp.asarray(sweeping.blobs().train.x)
    variables = model.init(KEYS[0])
    first, again, other = (model.apply(*variables, x, key, True)[0] for key in (KEYS[0], KEYS[0], KEYS[1]))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    left, right = (model.apply(*variables, x, key, False)[0] for key in KEYS)
    np.testing.assert_array_equal(left, right)
    assert model.draws


@pytest.mark.parametrize("use", ["functional", "made_by_a_function", "LinenStateless", "equinox_mlp", "EquinoxNet"])
def test_initial_weights_are_a_function_of_the_key(use: str) -> None:
    model = build(use)
    assert_same(model.init(KEYS[0]), model.init(KEYS[0]), tolerances.EXACT)
    left, right = (jax.tree.leaves(model.init(key).params) for key in KEYS)
    assert any(not np.array_equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("use", ["functional", "LinenStateless", "equinox_mlp", "EquinoxDropout"])
def test_batches_of_a_model_without_statistics_may_be_split(use: str) -> None:
    model = build(use)
    assert not model.is_whole
    assert jax.tree.leaves(model.shapes.state) == []


def test_initial_weights_of_keras_have_the_spread_of_their_initializer() -> None:
    kernel = build("sequential", width=400).init(KEYS[0]).params["000.kernel"]
    limit = np.sqrt(6 / (5 + 400))  # Glorot's uniform distribution
    assert np.abs(kernel).max() == pytest.approx(limit, rel=0.01)
    assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.03)


def test_weights_that_were_loaded_into_a_keras_model_are_where_trials_start() -> None:
    params = [build("loaded").init(key).params for key in KEYS]
    for each in params:
        np.testing.assert_array_equal(each["000.kernel"], np.full((5, 5), 0.25))
        np.testing.assert_array_equal(each["001.bias"], np.full(5, 0.5))
    assert not np.array_equal(params[0]["002.kernel"], params[1]["002.kernel"])


def test_a_keras_model_that_a_function_returns_again_is_refused() -> None:
    build("shared", width=4)
    with pytest.raises(ModelError, match="shared returned a model that it had returned before, and trials would begin"):
        made_by_keras("user_models:shared", {"width": 4}, (5,), 3)


def test_frozen_layers_of_a_keras_model_stay_as_they_are_and_do_not_keep_batches_whole() -> None:
    model = build("frozen")
    assert len(model.shapes.params) == len(model.shapes.state) == 2
    assert not model.is_whole
    swept = sweep("frozen")
    ended = sweeping.single(swept)
    start = host(ended.state.model_state)
    assert_same(host(ended.whole_epoch().state.model_state), start, tolerances.EXACT)


# ---- regularizers ----------------------------------------------------------------------------------------------------


def test_a_penalty_of_weights_is_what_keras_adds_to_its_loss() -> None:
    model = build("regularized")
    variables = model.init(KEYS[0])
    own = model.own(variables)
    assert model.penalty is not None
    assert float(model.penalty(variables.params)) == pytest.approx(float(sum(own.losses)), rel=1e-6)
    assert build("functional").penalty is None


@pytest.mark.usefixtures("compiling_anew")
def test_a_penalty_counts_once_a_batch_however_many_parts_it_has() -> None:
    parts, whole = (sweeping.single(sweep("regularized", micro_batch=each)).call(2**30) for each in (3, 8))
    assert_same(host(parts[0].state.params), host(whole[0].state.params), tolerances.TRAINED)
    np.testing.assert_allclose(parts[1].scores, whole[1].scores, rtol=1e-5)


def test_the_loss_of_validation_has_the_penalty_in_it_as_keras_has() -> None:
    trial, report = sweeping.single(sweep("regularized")).call(2**30)
    own = build("regularized").own(Variables(*host(trial.state.variables)))
    own.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    expected = own.evaluate(*sweeping.blobs(ROWS).valid, verbose=0)
    assert float(report.scores[1]) == pytest.approx(expected, rel=1e-5)


# ---- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("use", ["of_activity", "adding_a_loss"])
def test_a_keras_model_that_adds_a_loss_of_its_activity_is_refused(use: str) -> None:
    with pytest.raises(ModelError, match=rf"user_models:{use} adds a loss of what its layers give .*add_loss"):
        build(use)


class Sowing(linen.Module):
    """As Flax's documentation adds a loss: by sowing it, here while it trains only."""

    @linen.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = linen.Dense(3)(x)
        if train:
            self.sow("losses", "activity", jnp.square(x).mean())
        return x


def test_a_module_of_flax_that_sows_a_loss_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match="module Sowing sows into `losses`"):
        build_model("test_adapters:Sowing", {}, (5,), 3)


def test_a_model_of_several_outputs_is_refused() -> None:
    with pytest.raises(ModelError, match=r"to \('rows', 3\) for this data and loss, but its output is list of 2: a"):
        build("two_heads")


@pytest.mark.parametrize(("use", "needed"), [("without_streams", "rngs"), ("equinox_without_key", "key")])
def test_a_model_that_draws_its_weights_from_a_fixed_key_is_refused(use: str, needed: str) -> None:
    with pytest.raises(ModelError, match=rf"must take `{needed}`, so that every trial draws"):
        build(use)


def test_keras_on_another_backend_is_refused_with_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    monkeypatch.setattr("sweeps.training.models._BUILT", {})
    with pytest.raises(ModelError, match=r"Keras computes with torch .* set KERAS_BACKEND=jax"):
        build("functional")


@pytest.mark.parametrize(
    ("ending", "loss", "is_refused"),
    [
        ("softmax", "softmax_cross_entropy", True),
        ("sigmoid", "softmax_cross_entropy", True),
        ("tanh", "softmax_cross_entropy", False),
        ("softmax", "mean_squared_error", False),
    ],
)
def test_a_keras_model_of_probabilities_is_refused_by_a_loss_of_logits(
    ending: str, loss: str, is_refused: bool, tmp_path: Path
) -> None:
    width = 3 if loss == "softmax_cross_entropy" else 1
    swept = sweep("ending_in", model={"use": "user_models:ending_in", "activation": ending, "width": width}, loss=loss)
    (tmp_path / "small.yaml").write_text(to_yaml(swept.model_copy(update={"metrics": ()})), encoding="utf-8")
    draft = read_draft(tmp_path / "small.yaml")
    examine(draft, Datasets())
    said = [f"{complaint}" for complaint in draft.complaints]
    assert (
        any(f"ends in a {ending}, and {loss} takes what is before it (logits)" in each for each in said) is is_refused
    )


def _leaves(tree: Any) -> dict[str, Any]:
    paths, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in paths}
