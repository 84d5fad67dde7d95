"""Model adapters: Flax NNX modules and plain pairs become the same two pure functions."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tolerances
from flax import nnx
from sweeping import assert_same

from sweeps.errors import ModelError
from sweeps.training.adapters.model import Model
from sweeps.training.models import build_model, faults

X = np.linspace(-1, 1, 24, dtype=np.float32).reshape(4, 6)
KEYS = jax.random.split(jax.random.key(0), 2)


def build(name: str, outputs: int = 3, input_shape: tuple[int, ...] = (6,), **arguments: Any) -> Model:
    return build_model(name if ":" in name else f"test_models:{name}", arguments, input_shape, outputs)


def outputs_of(model: Model, params: Any, key: jax.Array = KEYS[0], training: bool = True) -> np.ndarray:
    return np.asarray(model.apply(params, {}, jnp.asarray(X), key, training)[0])


# ---- what users write ------------------------------------------------------------------------------------------------


class Fixed(nnx.Module):
    """A module that knows its own sizes."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.dense = nnx.Linear(6, 3, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.dense(x)


class Dropping(nnx.Module):
    def __init__(self, outputs: int, rate: float = 0.5, *, rngs: nnx.Rngs) -> None:
        self.dropout = nnx.Dropout(rate, rngs=rngs)
        self.dense = nnx.Linear(6, outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.dense(self.dropout(x))


class Normed(nnx.Module):
    def __init__(self, outputs: int, *, rngs: nnx.Rngs) -> None:
        self.norm = nnx.BatchNorm(6, rngs=rngs)
        self.dense = nnx.Linear(6, outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.dense(self.norm(x))


class LayerNormed(nnx.Module):
    def __init__(self, outputs: int, *, rngs: nnx.Rngs) -> None:
        self.norm = nnx.LayerNorm(6, rngs=rngs)
        self.dense = nnx.Linear(6, outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.dense(self.norm(x))


class BrokenForward(nnx.Module):
    def __init__(self, outputs: int, *, rngs: nnx.Rngs) -> None:
        self.dense = nnx.Linear(6, outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        raise ZeroDivisionError("BROKEN FORWARD")


class BrokenConstructor(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs) -> None:
        raise KeyError("BROKEN CONSTRUCTOR")


def two(outputs: int) -> Any:
    return lambda key: jax.random.normal(key, (6, outputs)), lambda params, x: x @ params


def four(input_shape: tuple[int, ...], outputs: int) -> Any:
    def apply(params: jax.Array, x: jax.Array, key: jax.Array, training: bool) -> jax.Array:
        return x @ params + (jax.random.normal(key, (len(x), outputs)) if training else 0.0)

    return lambda key: jnp.ones((*input_shape, outputs)), apply


def not_a_pair() -> Any:
    return {"init": None}


def typed(outputs: int, dtype: str) -> Any:
    """Maps zeros, in another type."""
    return lambda key: jnp.zeros((6, outputs)), lambda params, x: (x @ params).astype(dtype)


# ---- Flax NNX --------------------------------------------------------------------------------------------------------


def test_a_module_gets_the_input_shape_and_outputs_that_its_constructor_names() -> None:
    model = build("models.mlp:MLP", outputs=5, input_shape=(2, 3), hidden=(4,))
    params = model.init(KEYS[0]).params
    assert params["hidden"][0]["kernel"].shape == (6, 4)
    assert params["out"]["kernel"].shape == (4, 5)
    assert model.apply(params, {}, jnp.zeros((7, 2, 3)), KEYS[0], True)[0].shape == (7, 5)


def test_a_module_that_names_neither_is_built_without_them() -> None:
    model = build("Fixed")
    assert outputs_of(model, model.init(KEYS[0]).params).shape == (4, 3)


@pytest.mark.parametrize("name", ["Fixed", "LayerNormed", "Dropping"])
def test_an_adapted_module_in_evaluation_is_the_module_itself(name: str) -> None:
    model = build(name)
    params = model.init(KEYS[1]).params
    module = globals()[name](rngs=nnx.Rngs(KEYS[1])) if name == "Fixed" else globals()[name](3, rngs=nnx.Rngs(KEYS[1]))
    module.eval()
    np.testing.assert_allclose(outputs_of(model, params, training=False), module(jnp.asarray(X)), rtol=1e-6)


def test_parameters_are_a_nested_dict_of_arrays_and_nothing_else() -> None:
    params = build("Dropping").init(KEYS[0]).params
    assert {path: leaf.shape for path, leaf in _paths(params)} == {"dense.bias": (3,), "dense.kernel": (6, 3)}


def test_equal_keys_give_equal_parameters_and_others_give_others() -> None:
    model = build("Fixed")
    assert_same(model.init(KEYS[0]).params, model.init(KEYS[0]).params, {"rtol": 0, "atol": 0})
    assert not np.array_equal(
        model.init(KEYS[0]).params["dense"]["kernel"], model.init(KEYS[1]).params["dense"]["kernel"]
    )


def test_dropout_drops_in_training_and_not_in_evaluation() -> None:
    model = build("Dropping", rate=0.99)
    params = model.init(KEYS[0]).params
    dense = X @ np.asarray(params["dense"]["kernel"])
    np.testing.assert_allclose(outputs_of(model, params, training=False), dense, rtol=1e-5, atol=1e-6)
    assert not np.allclose(outputs_of(model, params, training=True), dense)


def test_dropout_is_a_function_of_its_key() -> None:
    model = build("Dropping")
    params = model.init(KEYS[0]).params
    first, again, other = (outputs_of(model, params, key) for key in (KEYS[0], KEYS[0], KEYS[1]))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_only_models_that_draw_say_so() -> None:
    assert build("Dropping").draws
    assert build("four").draws
    assert not build("Fixed").draws
    assert not build("two").draws


def test_batch_statistics_are_a_state_and_keep_batches_whole() -> None:
    model = build("Normed")
    assert {path: leaf.shape for path, leaf in _paths(model.shapes.state)} == {"norm.mean": (6,), "norm.var": (6,)}
    assert model.is_whole
    assert not build("Fixed").is_whole


# ---- plain pairs -----------------------------------------------------------------------------------------------------


def test_a_pair_whose_apply_takes_two_arguments_needs_neither_key_nor_training() -> None:
    model = build("two")
    params = model.init(KEYS[0]).params
    np.testing.assert_allclose(outputs_of(model, params), X @ np.asarray(params), rtol=1e-5, atol=1e-6)


def test_a_pair_whose_apply_takes_four_arguments_gets_the_key_and_whether_it_trains() -> None:
    model = build("four")
    params = model.init(KEYS[0]).params
    plain = np.broadcast_to(X.sum(axis=1, keepdims=True), (4, 3))
    np.testing.assert_allclose(outputs_of(model, params, training=False), plain, rtol=1e-5, atol=1e-6)
    noise = np.asarray(jax.random.normal(KEYS[1], (4, 3)))
    np.testing.assert_allclose(outputs_of(model, params, KEYS[1]), plain + noise, rtol=1e-5, atol=1e-6)


def test_a_function_that_returns_no_pair_is_refused_with_what_it_returned() -> None:
    with pytest.raises(ModelError, match=r"\(init, apply\), but not_a_pair returned dict"):
        build("not_a_pair")


# ---- mistakes --------------------------------------------------------------------------------------------------------


def test_a_wrong_output_shape_names_both_shapes() -> None:
    wanted, got = re.escape("('rows', 6) to ('rows', 4)"), re.escape("('rows', 3)")
    with pytest.raises(ModelError, match=f"{wanted}.*{got}"):
        build("Fixed", outputs=4)


@pytest.mark.parametrize("dtype", ["int32", "complex64", "bool"])
def test_outputs_that_cannot_be_trained_by_are_refused(dtype: str) -> None:
    with pytest.raises(ModelError, match=rf"outputs of model test_models:typed must be floats.* but are {dtype}"):
        build("typed", dtype=dtype, outputs=3)


@pytest.mark.parametrize(("name", "error"), [("BrokenForward", "ZeroDivisionError"), ("BrokenConstructor", "KeyError")])
def test_an_error_inside_a_model_names_its_file_and_line(name: str, error: str) -> None:
    message = re.sub("(?<!^)(?=[A-Z])", " ", name).upper()
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    (line,) = [number for number, text in enumerate(lines, 1) if f'("{message}")' in text]
    with pytest.raises(ModelError, match=f"{re.escape(__file__)}:{line}: {error}"):
        build(name)


def test_an_unknown_argument_of_a_model_is_a_fault_with_the_nearest_name() -> None:
    (fault,) = faults("models.mlp:MLP", {"hiden": (4,)})
    assert fault.name == "hiden"
    assert "hidden" in fault.advice


def test_what_comes_from_the_data_is_not_an_argument_of_the_config() -> None:
    assert [fault.name for fault in faults("models.mlp:MLP", {"outputs": 3})] == ["outputs"]
    assert faults("models.mlp:MLP", {"hidden": (4,), "activation": "tanh"}) == []


def test_a_model_without_a_module_is_refused_with_an_example() -> None:
    with pytest.raises(ModelError, match=r"module:name.*'mlp'"):
        build_model("mlp", {}, (6,), 3)


def test_the_models_of_the_project_have_the_parameters_that_their_shapes_ask_for() -> None:
    mlp = build("models.mlp:MLP", outputs=10, input_shape=(28, 28), hidden=(128, 64))
    sizes = [math.prod(leaf.shape) for leaf in jax.tree.leaves(jax.eval_shape(mlp.init, KEYS[0]))]
    assert sum(sizes) == 784 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10


@pytest.mark.parametrize(("input_shape", "colours"), [((28, 28), 1), ((28, 28, 1), 1), ((15, 12, 3), 3)])
def test_a_cnn_takes_grey_and_coloured_images_and_halves_them_once_a_convolution(
    input_shape: tuple[int, ...], colours: int
) -> None:
    model = build("models.cnn:CNN", input_shape=input_shape, channels=(4, 6), hidden=5)
    pixels = (input_shape[0] // 4) * (input_shape[1] // 4)
    convolutions = 9 * colours * 4 + 4 + 9 * 4 * 6 + 6
    assert model.parameter_count == convolutions + pixels * 6 * 5 + 5 + 5 * 3 + 3


@pytest.mark.parametrize("input_shape", [(6,), (6, 1)])
def test_an_lstm_is_the_recurrence_of_its_formula(input_shape: tuple[int, ...]) -> None:
    model = build("models.lstm:LSTM", input_shape=input_shape, hidden=4)
    params = model.init(KEYS[0]).params
    cell = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["recurrence"]["cell"])

    def gate(name: str, x: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        inputs = cell["if_" if name == "f" else f"i{name}"]["kernel"]
        return x @ inputs + hidden @ cell[f"h{name}"]["kernel"] + cell[f"h{name}"]["bias"]

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    hidden = memory = np.zeros((len(X), 4))
    for step in range(6):
        x = X[:, step : step + 1].astype(np.float64)
        kept, added = sigmoid(gate("f", x, hidden)), sigmoid(gate("i", x, hidden)) * np.tanh(gate("g", x, hidden))
        shown = sigmoid(gate("o", x, hidden))
        memory = kept * memory + added
        hidden = shown * np.tanh(memory)
    expected = hidden @ np.asarray(params["out"]["kernel"]) + np.asarray(params["out"]["bias"])
    found = model.apply(params, {}, jnp.asarray(X).reshape(-1, *input_shape), KEYS[0], True)[0]
    np.testing.assert_allclose(found, expected, **tolerances.FORMULA)


@pytest.mark.parametrize(
    ("input_shape", "vocabulary", "embedding"), [((6,), 0, 1 * 8 + 8), ((6, 3), 0, 3 * 8 + 8), ((6,), 10, 10 * 8)]
)
def test_a_transformer_takes_numbers_features_and_words(
    input_shape: tuple[int, ...], vocabulary: int, embedding: int
) -> None:
    arguments = {"width": 8, "depth": 2, "heads": 2, "vocabulary": vocabulary}
    dtype = jnp.int32 if vocabulary else jnp.float32
    model = build_model("models.transformer:Transformer", arguments, input_shape, 3, dtype)
    block = 2 * (8 + 8) + 4 * (8 * 8 + 8) + (8 * 32 + 32) + (32 * 8 + 8)
    assert model.parameter_count == embedding + 6 * 8 + 2 * block + 2 * 8 + 8 * 3 + 3
    outputs, _ = model.apply(*model.init(KEYS[0]), jnp.ones((4, *input_shape), dtype), KEYS[0], True)
    assert outputs.shape == (4, 3)


def _paths(params: Any) -> list[tuple[str, Any]]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    return [(".".join(str(key.key) for key in path), leaf) for path, leaf in leaves]
