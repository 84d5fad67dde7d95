"""Every trial draws its weights from its own seed; a model that does not is refused, or a line says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from flax import nnx

from sweeps.config import Draft, as_draft
from sweeps.datasets.loading import Datasets
from sweeps.training.models import build_model
from sweeps.validation.doubts import doubts
from sweeps.validation.validate import examine

pytestmark = pytest.mark.usefixtures("any_promotion")
Pair = tuple[Callable[..., Any], Callable[..., Any]]
CALLS = [0]


class Net(nnx.Module):
    def __init__(self, outputs: int, *, rngs: nnx.Rngs) -> None:
        self.layer = nnx.Linear(3, outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.layer(x)


OF_FLAX = Net(2, rngs=nnx.Rngs(0))
OF_EQUINOX = eqx.nn.Linear(3, 2, key=jax.random.key(0))


def flax_of_import(rngs: nnx.Rngs) -> Net:
    del rngs
    return OF_FLAX


def equinox_of_import(key: jax.Array) -> eqx.nn.Linear:
    del key
    return OF_EQUINOX


def equinox_of_import_and_a_state(key: jax.Array) -> tuple[Any, Any]:
    return equinox_of_import(key), eqx.nn.State({})


def flax_cloned(rngs: nnx.Rngs) -> Net:
    del rngs
    cloned: Net = nnx.clone(OF_FLAX)
    return cloned


def flax_of_another_seed(outputs: int, rngs: nnx.Rngs) -> Net:
    del rngs
    return Net(outputs, rngs=nnx.Rngs(7))


def pair(weights: Callable[[jax.Array], Any], factor: float = 1.0) -> Pair:
    return (lambda key: {"w": weights(key), "b": jnp.zeros(2)}), (lambda params, x: factor * x @ params["w"])


def drawn() -> Pair:
    return pair(lambda key: jax.random.normal(key, (3, 2)))


def of_a_file() -> Pair:
    loaded = np.arange(6, dtype=np.float32).reshape(3, 2)
    return pair(lambda _: jnp.asarray(loaded))


def of_zeros() -> Pair:
    return pair(lambda _: jnp.zeros((3, 2)))


def counting() -> Pair:
    CALLS[0] += 1
    return pair(lambda key: jax.random.normal(key, (3, 2)), float(CALLS[0]))


def widening() -> Pair:
    CALLS[0] += 1
    width = CALLS[0]
    return pair(lambda key: jax.random.normal(key, (3, width, 2))[:, 0])


def drawing() -> Pair:
    noise = np.random.default_rng().normal(size=(3, 2)).astype(np.float32)
    return pair(lambda key: jax.random.normal(key, (3, 2)) + noise)


def keras_with_a_seed(outputs: int) -> keras.Model:
    layer = keras.layers.Dense(outputs, kernel_initializer=keras.initializers.GlorotUniform(seed=1))
    return keras.Sequential([keras.Input((3,)), layer])


def draft_of(model: str, folder: Path, loss: Any = "softmax_cross_entropy") -> tuple[Draft, Any]:
    np.savez(folder / "t.npz", x=np.random.default_rng(0).normal(size=(60, 3)), y=np.arange(60) % 2)
    draft = as_draft(
        {
            "name": "seeds",
            "dataset": {"use": "npz", "path": str(folder / "t.npz")},
            "model": {"use": f"test_initial_weights:{model}"},
            "loss": loss,
            "search_space": {"epochs": 1, "batch_size": 8, "learning_rate": 0.1},
            "objective": {"metric": "valid_loss", "direction": "minimize"},
            "budget": {"trials": 1},
        }
    )
    return draft, examine(draft, Datasets())


@pytest.mark.parametrize(
    ("model", "source"),
    [("flax_of_import", "rngs"), ("equinox_of_import", "key"), ("equinox_of_import_and_a_state", "key")],
)
def test_a_module_that_was_made_when_its_file_was_imported_is_refused(model: str, source: str, tmp_path: Path) -> None:
    draft, _ = draft_of(model, tmp_path)
    (said,) = map(str, draft.complaints)
    assert said == (
        f"<config>: model: {model} returned a model that it had returned before, and trials would begin with the same "
        f"weights. Make it within the function, with its `{source}`"
    )


@pytest.mark.parametrize(
    ("model", "weights"),
    [("flax_cloned", "layer.kernel"), ("flax_of_another_seed", "layer.kernel"), ("of_a_file", "w"),
     ("keras_with_a_seed", "000.kernel")],
)  # fmt: skip
def test_weights_that_no_seed_of_a_trial_has_a_part_in_are_told(model: str, weights: str, tmp_path: Path) -> None:
    draft, dataset = draft_of(model, tmp_path)
    (said,) = doubts(draft, dataset)
    assert said.startswith(
        f"test_initial_weights:{model} begins every trial with the same {weights}, whatever its seed"
    )
    built = build_model(f"test_initial_weights:{model}", {}, (3,), 2)
    one, other = (built.init(jax.random.key(seed)).params for seed in (0, 1))
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize("model", ["Net", "drawn", "of_zeros"])
def test_nothing_is_said_of_weights_that_are_drawn_or_all_0(model: str, tmp_path: Path) -> None:
    assert doubts(*draft_of(model, tmp_path)) == []


@pytest.mark.parametrize("model", ["counting", "widening", "drawing"])
def test_a_model_that_is_another_whenever_it_is_made_is_told(model: str, tmp_path: Path) -> None:
    said = doubts(*draft_of(model, tmp_path))
    told = f"test_initial_weights:{model} makes another model when it is called again with the same arguments"
    assert [each.partition(":")[0] + ":" + each.split(":")[1] for each in said] == [told]
