"""Small models, a metric and an optimizer, as configs name them: `sweeping:curved`.

The models are pairs of plain functions, which compile fast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from sweeps.training.row_mixing import ROWS


def flat(input_shape: tuple[int, ...], outputs: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A linear model that starts at zero, so that its first gradient has a short closed form."""

    def init(key: jax.Array) -> Any:
        return {"bias": jnp.zeros(outputs), "kernel": jnp.zeros((*input_shape, outputs))}

    return init, lambda params, x: x @ params["kernel"] + params["bias"][None]


def filed(input_shape: tuple[int, ...], outputs: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A linear model whose one parameter is called `file`."""
    return lambda key: {"file": jnp.zeros((*input_shape, outputs))}, lambda params, x: x @ params["file"]


def curved(input_shape: tuple[int, ...], outputs: int, width: int = 6) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """One hidden layer under tanh."""

    def init(key: jax.Array) -> Any:
        first, second = jax.random.split(key)
        return {
            "hidden": 0.5 * jax.random.normal(first, (*input_shape, width)),
            "out": 0.5 * jax.random.normal(second, (width, outputs)),
        }

    return init, lambda params, x: jnp.tanh(x @ params["hidden"]) @ params["out"]


def embedding(input_shape: tuple[int, ...], outputs: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The mean of its words' vectors: looks whole numbers up."""
    return lambda key: jax.random.normal(key, (10, outputs)), lambda params, x: params[x].mean(axis=1)


def logarithm(input_shape: tuple[int, ...], outputs: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Linear in the logarithms of its inputs."""
    init, apply = flat(input_shape, outputs)
    return init, lambda params, x: apply(params, jnp.log(x))


def forgetful(
    input_shape: tuple[int, ...], outputs: int, rate: float = 0.3
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`curved`, with inputs dropped at random while it trains."""
    init, apply = curved(input_shape, outputs)

    def dropping(params: Any, x: jax.Array, key: jax.Array, training: bool) -> jax.Array:
        kept = jax.random.bernoulli(key, 1 - rate, x.shape)
        return apply(params, jnp.where(kept, x / (1 - rate), 0.0) if training else x)

    return init, dropping


def certainty(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """A metric of a user's own."""
    return jnp.abs(outputs).mean()


class UnfinishedError(Exception):
    """What the model below raises."""


def moody(
    input_shape: tuple[int, ...], outputs: int, activation: str = "tanh"
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Can be built and evaluated with every activation, but not trained with `unfinished`."""
    init, _ = curved(input_shape, outputs)

    def apply(params: Any, x: jax.Array, key: jax.Array, training: bool) -> jax.Array:
        if activation == "unfinished" and training and len(x) != ROWS:
            raise UnfinishedError("this activation is not written yet")
        return jnp.tanh(x @ params["hidden"]) @ params["out"]

    return init, apply


# ---- an optimizer that can be looked into ----------------------------------------------------------------------------


class Seen(NamedTuple):
    """How many updates there were, and the gradient of the last one."""

    updates: jax.Array
    gradient: Any


def watching(learning_rate: Any) -> optax.GradientTransformation:
    """Gradient descent that counts its updates and keeps its last gradient; a zero rate leaves parameters alone."""

    def init(params: Any) -> Seen:
        return Seen(jnp.zeros((), jnp.int32), jax.tree.map(jnp.zeros_like, params))

    def update(gradient: Any, state: Seen, params: Any = None) -> tuple[Any, Seen]:
        change = jax.tree.map(lambda leaf: jnp.where(learning_rate == 0, 0.0, -learning_rate * leaf), gradient)
        return change, Seen(state.updates + 1, gradient)

    return optax.GradientTransformation(init, update)
