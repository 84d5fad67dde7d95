"""What of Keras is the same here, refused, or without effect: constraints, hooks, precision, and the table of docs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
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
from sweeps.training.adapters import compiled_keras
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
    trained = sweeping.train_in_lanes(programs, sweeping.vmapped(2), [sweeping.lane_trial(programs, swept, 0, {})])[0]
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


def stateful_of_any_batch() -> keras.Model:
    return keras.Sequential([keras.Input((5, 1)), layers.LSTM(4, stateful=True), layers.Dense(3)])


def test_what_keras_says_of_a_layer_is_said_without_its_preface() -> None:
    with pytest.raises(ModelError, match=r"model \S+ failed.*: ValueError: When using `stateful=True` in a RNN"):
        build_model(f"{HERE}:stateful_of_any_batch", {}, (5, 1), 3)


def two_inputs() -> keras.Model:
    left, right = keras.Input((2,)), keras.Input((3,))
    return keras.Model([left, right], layers.Dense(3)(layers.concatenate([left, right])))


def test_a_model_of_two_inputs_is_refused_with_what_to_do_instead() -> None:
    with pytest.raises(ModelError, match=rf"model {HERE}:two_inputs takes 2 inputs, and a sweep's model takes one"):
        build("two_inputs")


def test_several_compiled_outputs_are_refused_without_advice_that_does_not_help() -> None:
    inputs = keras.Input((5,))
    model = keras.Model(inputs, [layers.Dense(3)(inputs), layers.Dense(3)(inputs)])
    model.compile(loss=["mse", "mse"])
    with pytest.raises(ModelError, match=r"the model has 2 outputs, and a sweep's model has one$"):
        compiled_keras.loss(model)


READY = keras.Sequential([keras.Input((5,)), layers.Dense(3)])


def test_a_model_in_the_place_of_a_function_that_makes_one_is_refused() -> None:
    with pytest.raises(ModelError, match=rf"{HERE}:READY is a model \(Sequential\), and must be a function that makes"):
        build("READY")


# ---- the table in docs/models.md -------------------------------------------------------------------------------------

CLASSES: dict[str, Any] = {
    "keras.Model": keras.Model,
    "keras.layers.Layer": layers.Layer,
    "keras.Variable": keras.Variable,
    "keras.optimizers.Optimizer": keras.optimizers.Optimizer,
    "keras.losses.Loss": keras.losses.Loss,
    "keras.metrics.Metric": keras.metrics.Metric,
}
DOCS = Path(__file__).parents[2] / "docs" / "models.md"
SAME, REFUSED_HERE, WITHOUT_EFFECT = range(3)


def table() -> dict[str, list[list[str]]]:
    """By class, the names in each column."""
    rows = (
        line.split("|")[1:-1] for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("| `keras.")
    )
    return {row[0].strip(" `"): [re.findall(r"`([^`]+)`", cell) for cell in row[1:]] for row in rows}


def public(thing: Any) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_attribute_of_the_installed_keras_is_in_the_table_once(name: str) -> None:
    columns = table()[name]
    listed = [each for column in columns for each in column]
    assert sorted(public(CLASSES[name]) - set(listed)) == []
    assert sorted(listed) == sorted(set(listed))


def test_every_attribute_of_objects_of_keras_that_a_user_can_set_is_in_the_table() -> None:
    model = sequential()
    model.compile(loss="mse", optimizer="adam")
    objects = {
        "keras.Model": model,
        "keras.layers.Layer": layers.Layer(),
        "keras.optimizers.Optimizer": keras.optimizers.SGD(),
        "keras.losses.Loss": keras.losses.MeanSquaredError(),
        "keras.metrics.Metric": keras.metrics.Metric(),
    }
    of_kind = {"momentum", "nesterov", "fn"}  # of these kinds alone
    for name, each in objects.items():
        set_on_it = {attribute for attribute in vars(each) if not attribute.startswith("_")} - of_kind
        assert sorted(set_on_it - {listed for column in table()[name] for listed in column}) == [], name


def test_every_argument_of_compile_is_in_the_table() -> None:
    taken = set(inspect.signature(keras.Model.compile).parameters) - {"self"}
    assert taken == {each for column in table()["keras.Model.compile"] for each in column}


def test_the_hooks_that_are_refused_are_those_of_the_table() -> None:
    assert set(REFUSED) == set(table()["keras.Model"][REFUSED_HERE])


def test_an_activity_regularizer_of_the_outermost_model_is_without_effect_in_keras_too() -> None:
    model, x, y = sequential(), np.ones((4, 5), np.float32), np.zeros((4, 3), np.float32)
    model.compile(loss="mse", optimizer="sgd")
    plain = model.test_on_batch(x, y)
    model.activity_regularizer = keras.regularizers.L2(100.0)
    model.compile(loss="mse", optimizer="sgd")
    assert model.test_on_batch(x, y) == pytest.approx(plain)


def own(kind: Any, name: str, *arguments: Any, **named: Any) -> Any:
    """An object of a user's subclass that overrides one method."""
    return type(f"Own{kind.__name__}", (kind,), {name: getattr(kind, name)})(*arguments, **named)


SETTINGS: dict[str, Any] = {
    "clipnorm": 1.0,
    "clipvalue": 1.0,
    "global_clipnorm": 1.0,
    "use_ema": True,
    "gradient_accumulation_steps": 2,
    "loss_scale_factor": 2.0,
}


@pytest.mark.parametrize("name", table()["keras.optimizers.Optimizer"][REFUSED_HERE])
def test_what_the_table_refuses_of_an_optimizer_is_refused(name: str) -> None:
    if name in SETTINGS:
        optimizer = keras.optimizers.Adam(**{name: SETTINGS[name]})
    elif name == "exclude_from_weight_decay":
        optimizer = keras.optimizers.AdamW()
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    else:
        optimizer = own(keras.optimizers.Adam, name)
    model = sequential()
    model.compile(optimizer=optimizer)
    with pytest.raises(ModelError, match=name if name in SETTINGS else "exclude_from|OwnAdam"):
        compiled_keras.optimizer(model, needs_rate=True)


@pytest.mark.parametrize("name", table()["keras.losses.Loss"][REFUSED_HERE])
def test_what_the_table_refuses_of_a_loss_is_refused(name: str) -> None:
    settings = {"dtype": {"dtype": "bfloat16"}, "reduction": {"reduction": "sum"}}
    kind = keras.losses.MeanSquaredError
    model = sequential()
    model.compile(loss=kind(**settings[name]) if name in settings else own(kind, name))
    with pytest.raises(ModelError, match=r"computed in bfloat16|another reduction|OwnMeanSquaredError"):
        compiled_keras.loss(model)


@pytest.mark.parametrize("name", table()["keras.metrics.Metric"][REFUSED_HERE])
def test_what_the_table_refuses_of_a_metric_is_refused(name: str) -> None:
    model = sequential()
    model.compile(loss="mse", metrics=[own(keras.metrics.MeanSquaredError, name)])
    with pytest.raises(ModelError, match="OwnMeanSquaredError"):
        compiled_keras.metrics(model, 0.5)


@pytest.mark.parametrize(
    ("name", "value", "section"),
    [
        ("loss_weights", [0.5], compiled_keras.loss),
        ("weighted_metrics", ["accuracy"], lambda model: compiled_keras.metrics(model, 0.5)),
    ],
)
def test_what_the_table_refuses_of_compile_is_refused(name: str, value: Any, section: Callable[..., Any]) -> None:
    assert name in table()["keras.Model.compile"][REFUSED_HERE]
    model = sequential()
    model.compile(loss="mse", **{name: value})
    with pytest.raises(ModelError, match=f"`{name}`"):
        section(model)


class Adding(layers.Layer):  # type: ignore[misc]  # Keras is untyped
    def call(self, x: Any) -> Any:
        self.add_loss(keras.ops.sum(x))
        return x


class Measuring(layers.Layer):  # type: ignore[misc]  # Keras is untyped
    def call(self, x: Any) -> Any:
        self.add_metric(x)
        return x


def with_layer(name: str) -> keras.Model:
    of_name: dict[str, Any] = {
        "add_loss": Adding,
        "add_metric": Measuring,
        "activity_regularizer": lambda: layers.Dense(5, activity_regularizer="l2"),
    }
    return keras.Sequential([keras.Input((5,)), of_name[name](), layers.Dense(3)])


@pytest.mark.parametrize("name", [each for each in table()["keras.layers.Layer"][REFUSED_HERE] if each != "stateful"])
def test_what_the_table_refuses_of_a_layer_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match=rf"model {HERE}:with_layer|{HERE}:with_layer adds a loss"):
        build("with_layer", name=name)


def overwriting() -> keras.Model:
    model = sequential()
    model.trainable_variables[0].overwrite_with_gradient = True
    return model


def test_what_the_table_refuses_of_a_variable_is_refused() -> None:
    assert table()["keras.Variable"][REFUSED_HERE] == ["overwrite_with_gradient"]
    with pytest.raises(ModelError, match="overwrite_with_gradient"):
        build("overwriting")
