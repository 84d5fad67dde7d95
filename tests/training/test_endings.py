"""Outputs that are no probabilities are refused under a loss of probabilities, and the other way round."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from flax import nnx

from sweeps.config import Draft, as_draft
from sweeps.datasets.loading import Datasets
from sweeps.validation.validate import examine

pytestmark = pytest.mark.usefixtures("any_promotion")


def compiled(outputs: int, activation: str | None, loss: str, width: int | None = None) -> keras.Model:
    layers = [keras.Input((3,)), keras.layers.Dense(width or outputs, activation=activation)]
    model = keras.Sequential(layers)
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss=loss)
    return model


class OfFlax(nnx.Module):
    def __init__(self, outputs: int, ending: str = "", *, rngs: nnx.Rngs) -> None:
        self.layer, self.ending = nnx.Linear(3, outputs, rngs=rngs), ending

    def __call__(self, x: jax.Array) -> jax.Array:
        ending: Callable[[jax.Array], jax.Array] = getattr(jax.nn, self.ending) if self.ending else lambda each: each
        return ending(self.layer(x))


def log_loss(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    return -jnp.log(jnp.take_along_axis(outputs, targets[:, None], axis=1)[:, 0])


def complaints(folder: Path, model: dict[str, Any], loss: Any = None) -> list[str]:
    np.savez(folder / "t.npz", x=np.random.default_rng(0).normal(size=(60, 3)), y=np.arange(60) % 2)
    draft: Draft = as_draft(
        {
            "name": "endings",
            "dataset": {"use": "npz", "path": str(folder / "t.npz")},
            "model": model,
            **({} if loss is None else {"loss": loss}),
            "search_space": {"epochs": 1, "batch_size": 8, "learning_rate": 0.1},
            "objective": {"metric": "valid_loss", "direction": "minimize"},
            "budget": {"trials": 1},
        }
    )
    examine(draft, Datasets())
    return list(map(str, draft.complaints))


OF_CHANCES = {"use": "softmax_cross_entropy", "from_logits": False}
OF_ONE_CHANCE = {"use": "binary_cross_entropy", "from_logits": False}
OWN = {"use": "test_endings:log_loss", "outputs": "probabilities"}
SPARSE, BINARY = "sparse_categorical_crossentropy", "binary_crossentropy"
LINEAR = "ends in a linear layer, and {} takes probabilities, which are from 0 to 1. End it in a {}, or give the loss "


@pytest.mark.parametrize(
    ("activation", "loss", "width", "said"),
    [
        (None, SPARSE, 2, LINEAR.format("softmax_cross_entropy", "softmax") + "`from_logits: true`"),
        (None, BINARY, 1, LINEAR.format("binary_cross_entropy", "sigmoid") + "`from_logits: true`"),
        ("softmax", SPARSE, 2, ""),
        ("sigmoid", BINARY, 1, ""),
        ("relu", SPARSE, 2, ""),
    ],
)
def test_a_compiled_model_must_give_what_its_loss_takes(
    activation: str | None, loss: str, width: int, said: str, tmp_path: Path
) -> None:
    use = "test_endings:compiled"
    told = complaints(tmp_path, {"use": use, "activation": activation, "loss": loss, "width": width})
    assert len(told) == bool(said)
    assert all(f"model: {use} {said}" in each for each in told)
    if "from_logits" in said:  # and what the advice says works
        model = {"use": use, "activation": activation, "loss": loss, "width": width}
        ours = "softmax_cross_entropy" if loss == SPARSE else "binary_cross_entropy"
        assert complaints(tmp_path, model, {"use": ours, "from_logits": True}) == []


@pytest.mark.parametrize(
    ("ending", "loss", "said"),
    [
        ("", OF_CHANCES, "ends in a linear layer, and softmax_cross_entropy takes probabilities"),
        ("softmax", OF_CHANCES, ""),
        ("softmax", "softmax_cross_entropy", "ends in a softmax, and softmax_cross_entropy takes what is before it"),
        ("sigmoid", "softmax_cross_entropy", "ends in a sigmoid, and softmax_cross_entropy takes what is before it"),
        ("tanh", "softmax_cross_entropy", ""),
        ("", "softmax_cross_entropy", ""),
        ("softmax", OF_ONE_CHANCE, "ends in a softmax of one output, which is always 1. A sigmoid is for one output"),
        ("sigmoid", OF_ONE_CHANCE, ""),
        ("", OWN, "give the loss `outputs: logits` if it takes those"),
        ("softmax", OWN, ""),
    ],
)
def test_a_model_of_any_library_must_give_what_the_loss_takes(
    ending: str, loss: Any, said: str, tmp_path: Path
) -> None:
    told = complaints(tmp_path, {"use": "test_endings:OfFlax", "ending": ending}, loss)
    assert len(told) == bool(said)
    assert all(said in each for each in told)
