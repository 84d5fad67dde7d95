"""What of Keras is the same here, refused, or without effect: constraints, hooks, precision, and the table of docs."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import sweeping
from keras import layers
from reference import batches
from sweeping import config, host

from sweeps.config import SweepConfig
from sweeps.errors import ModelError
from sweeps.training.adapters.keras_hooks import REFUSED
from sweeps.training.models import build_model

pytestmark = pytest.mark.usefixtures("any_promotion")
ROWS, BATCH, RATE = 157, 8, 0.1
HERE = "test_keras_hooks"


def sweep(use: str, **changes: Any) -> SweepConfig:
    return config(
        **{
            "dataset": {"use": "sweeping:blobs", "rows": ROWS},
            "model": {"use": f"{HERE}:{use}"},
            "search_space": {"epochs": 2, "batch_size": BATCH, "learning_rate": RATE},
            **changes,
        }
    )


def build(use: str, **arguments: Any) -> Any:
    return build_model(f"{HERE}:{use}", arguments, (5,), 3)


# ---- constraints -----------------------------------------------------------------------------------------------------


def half_of_it(weights: Any) -> Any:
    """A constraint of one's own, which asks for the variable's name as only a Keras variable has one."""
    return keras.ops.clip(weights, -0.05, 0.05) if weights.name == "kernel" else weights


CONSTRAINTS: dict[str, Any] = {
    "max_norm": keras.constraints.MaxNorm(0.5),
    "non_negative": keras.constraints.NonNeg(),
    "unit_norm": keras.constraints.UnitNorm(),
    "min_max_norm": keras.constraints.MinMaxNorm(0.4, 0.6, rate=0.7),
    "own": half_of_it,
}


def constrained(kind: str, rate: float = 0.0) -> keras.Model:
    hidden = layers.Dense(6, activation="tanh", kernel_constraint=CONSTRAINTS[kind], bias_constraint="non_neg")
    return keras.Sequential([keras.Input((5,)), hidden, layers.Dense(3, kernel_constraint=CONSTRAINTS[kind])])


@pytest.mark.parametrize("kind", list(CONSTRAINTS))
def test_constrained_weights_after_an_epoch_are_those_of_keras_s_own_training(kind: str) -> None:
    trial = sweeping.single(sweep("constrained", model={"use": f"{HERE}:constrained", "kind": kind}))
    own = constrained(kind)
    for variable, value in zip(own.trainable_variables, host(trial.state.params).values(), strict=True):
        variable.assign(value)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    own.compile(optimizer=keras.optimizers.SGD(RATE), loss=loss)
    x, y = sweeping.blobs(ROWS).train
    for rows in batches(ROWS, BATCH, seed=0, number=0, epoch=0):
        own.train_on_batch(x[rows], y[rows])
    trained = host(trial.whole_epoch().state.params)
    for variable, value in zip(own.trainable_variables, trained.values(), strict=True):
        np.testing.assert_allclose(value, np.asarray(variable.value), rtol=1e-4, atol=1e-6)


def test_lanes_side_by_side_keep_the_constraint() -> None:
    swept = sweep("constrained", model={"use": f"{HERE}:constrained", "kind": "max_norm"})
    programs = sweeping.make_programs(swept, sweeping.vmapped(2))
    trained = sweeping.ride(programs, sweeping.vmapped(2), [sweeping.lane_trial(programs, swept, 0, {})])[0]
    norms = np.linalg.norm(trained.params["000.kernel"], axis=0)
    assert norms.max() == pytest.approx(0.5, rel=1e-5)


def raising(weights: Any) -> Any:
    return weights / float(np.abs(weights).max())


def shrinking(weights: Any) -> Any:
    return weights[:1]


CONSTRAINTS |= {"raising": raising, "shrinking": shrinking}


@pytest.mark.parametrize("kind", ["raising", "shrinking"])
def test_a_constraint_that_cannot_be_applied_in_a_program_is_refused_by_name(kind: str) -> None:
    with pytest.raises(ModelError, match=rf"the constraint {kind} of \S*kernel in model {HERE}:constrained cannot be"):
        build("constrained", kind=kind)


# ---- hooks -----------------------------------------------------------------------------------------------------------


def with_hook(hook: str, of_object: bool = False) -> keras.Model:
    """A model that has one method of `keras.Model` of its own: of its class, or of the object."""

    def own(self: Any, *arguments: Any, **named: Any) -> Any:
        raise AssertionError(f"{hook} was called")

    inherited = getattr(keras.Model, hook)
    replaced = property(lambda _: []) if isinstance(inherited, property) else own
    kind = keras.Model if of_object else type("OwnModel", (keras.Model,), {hook: replaced})
    inputs = keras.Input((5,))
    model = kind(inputs, layers.Dense(3)(inputs))
    if of_object:
        setattr(model, hook, own)
    return model


@pytest.mark.parametrize("hook", [name for name in REFUSED if name != "add_metric"])
def test_an_overridden_hook_that_is_not_called_is_refused_by_name(hook: str) -> None:
    with pytest.raises(ModelError, match=rf"model {HERE}:with_hook overrides `{hook}` of keras.Model, which is not"):
        build("with_hook", hook=hook)


@pytest.mark.parametrize("hook", ["train_step", "compute_loss"])
def test_a_hook_that_one_object_has_is_refused_too(hook: str) -> None:
    with pytest.raises(ModelError, match=rf"overrides `{hook}`"):
        build("with_hook", hook=hook, of_object=True)


class Plain(keras.Model):  # type: ignore[misc]  # Keras is untyped
    """What a subclass may have of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.out = layers.Dense(3)

    def call(self, x: Any) -> Any:
        return self.out(x)

    def get_config(self) -> dict[str, Any]:
        return {}

    def compute_output_shape(self, shape: Any) -> Any:
        return (shape[0], 3)


@pytest.mark.parametrize("use", ["Plain", "functional", "sequential"])
def test_keras_s_own_models_and_a_subclass_with_a_call_are_taken(use: str) -> None:
    assert build(use).shapes.params


def functional() -> keras.Model:
    inputs = keras.Input((5,))
    return keras.Model(inputs, layers.Dense(3)(inputs))


def sequential() -> keras.Model:
    return keras.Sequential([keras.Input((5,)), layers.Dense(3)])


# ---- precision, masks, states ----------------------------------------------------------------------------------------


def of_policy(policy: str) -> keras.Model:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return sequential()
    finally:
        keras.config.set_dtype_policy(before)


def test_mixed_float16_is_refused_because_keras_scales_its_loss() -> None:
    with pytest.raises(ModelError, match="dtype policy mixed_float16, for which Keras scales the loss"):
        build("of_policy", policy="mixed_float16")


def test_outputs_in_bfloat16_are_compared_with_targets_in_float32_as_keras_does() -> None:
    model = build("of_policy", policy="mixed_bfloat16")
    variables = model.init(jax.random.key(0))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 5)), jnp.float32)
    outputs, _ = model.apply(*variables, x, jax.random.key(0), False)
    own = model.own(variables)
    assert own(x).dtype == jnp.bfloat16
    assert outputs.dtype == jnp.float32
    np.testing.assert_array_equal(outputs, np.asarray(own(x), np.float32))


def masked() -> keras.Model:
    return keras.Sequential([keras.Input((5,)), layers.Masking(), layers.Dense(3)])


def test_a_mask_of_the_outputs_is_refused_because_keras_leaves_rows_out_by_it() -> None:
    with pytest.raises(ModelError, match=f"{HERE}:masked gives a mask along with its outputs"):
        build("masked")


def stateful() -> keras.Model:
    return keras.Sequential([keras.Input(batch_shape=(1009, 5, 1)), layers.LSTM(4, stateful=True), layers.Dense(3)])


def test_a_stateful_layer_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match="has the stateful layer lstm"):
        build_model(f"{HERE}:stateful", {}, (5, 1), 3)
