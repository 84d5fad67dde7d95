"""What users of each library write, unchanged: configs name these as `user_models:name`. Imports every library."""

from __future__ import annotations

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import keras
import numpy as np
from flax import linen, nnx
from keras import layers

# ---- Keras -----------------------------------------------------------------------------------------------------------


def sequential(width: int = 7, rate: float = 0.0) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(width, activation="relu"),
            layers.BatchNormalization(momentum=0.8),
            layers.Dropout(rate),
            layers.Dense(3),
        ]
    )


def functional() -> keras.Model:
    inputs = keras.Input((5,))
    hidden = layers.Dense(5, activation="tanh")(inputs)
    return keras.Model(inputs, layers.Dense(3)(layers.concatenate([inputs, hidden])))


class Subclassed(keras.Model):
    def __init__(self, outputs: int, width: int = 6) -> None:
        super().__init__()
        self.hidden = layers.Dense(width, activation="gelu")
        self.norm = layers.LayerNormalization()
        self.out = layers.Dense(outputs)

    def call(self, x: Any, training: bool = False) -> Any:
        return self.out(self.norm(self.hidden(x)))


def loaded() -> keras.Model:
    model = functional()
    model.layers[1].set_weights([jnp.full((5, 5), 0.25), jnp.full((5,), 0.5)])
    return model


@functools.cache
def shared(width: int = 7) -> keras.Model:
    return sequential(width)


def frozen() -> keras.Model:
    model = functional()
    model.layers[1].trainable = False
    return model


def ending_in(activation: str, width: int) -> keras.Model:
    return keras.Sequential([keras.Input((5,)), layers.Dense(width, activation=activation)])


def regularized() -> keras.Model:
    hidden = layers.Dense(6, activation="tanh", kernel_regularizer="l2", bias_regularizer=keras.regularizers.L1(0.05))
    outputs = layers.Dense(3, kernel_regularizer=keras.regularizers.L1L2(0.01, 0.02))
    return keras.Sequential([keras.Input((5,)), hidden, outputs])


def of_activity() -> keras.Model:
    outputs = layers.Dense(3, kernel_regularizer="l2", activity_regularizer="l1")
    return keras.Sequential([keras.Input((5,)), outputs])


def adding_a_loss() -> keras.Model:
    return keras.Sequential([keras.Input((5,)), layers.ActivityRegularization(0.1), layers.Dense(3)])


def two_heads() -> keras.Model:
    inputs = keras.Input((5,))
    return keras.Model(inputs, [layers.Dense(3)(inputs), layers.Dense(3)(inputs)])


# ---- Flax ------------------------------------------------------------------------------------------------------------


class NnxNet(nnx.Module):
    def __init__(self, outputs: int, rate: float = 0.0, *, rngs: nnx.Rngs) -> None:
        self.hidden = nnx.Linear(5, 7, rngs=rngs)
        self.norm = nnx.BatchNorm(7, momentum=0.8, rngs=rngs)
        self.dropout = nnx.Dropout(rate, rngs=rngs)
        self.out = nnx.Linear(7, outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.out(self.dropout(nnx.relu(self.norm(self.hidden(x)))))


def made_by_a_function(outputs: int, rngs: nnx.Rngs) -> nnx.Module:
    return NnxNet(outputs, rngs=rngs)


def without_streams(outputs: int) -> nnx.Module:
    return NnxNet(outputs, rngs=nnx.Rngs(0))


class LinenNet(linen.Module):
    outputs: int
    rate: float = 0.0

    @linen.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = linen.Dense(7)(x)
        x = linen.relu(linen.BatchNorm(use_running_average=not train, momentum=0.8)(x))
        return linen.Dense(self.outputs)(linen.Dropout(self.rate, deterministic=not train)(x))


class LinenStateless(linen.Module):
    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        self.sow("intermediates", "inputs", x)
        return linen.Dense(3)(linen.tanh(linen.Dense(4)(x)))


# ---- Equinox ---------------------------------------------------------------------------------------------------------


class EquinoxNet(eqx.Module):
    hidden: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    out: eqx.nn.Linear
    activation: Any

    def __init__(self, outputs: int, key: jax.Array) -> None:
        first, second = jax.random.split(key)
        self.hidden = eqx.nn.Linear(5, 7, key=first)
        self.norm = eqx.nn.BatchNorm(7, axis_name="batch", mode="batch", momentum=0.8)
        self.out = eqx.nn.Linear(7, outputs, key=second)
        self.activation = lambda x: jax.nn.relu(x) + 0.0  # another function in every module

    def __call__(self, x: jax.Array, state: eqx.nn.State) -> tuple[jax.Array, eqx.nn.State]:
        x, state = self.norm(self.hidden(x), state)
        return self.out(self.activation(x)), state


class EquinoxDropout(eqx.Module):
    layers: list[Any]

    def __init__(self, outputs: int, rate: float = 0.5, *, key: jax.Array) -> None:
        first, second = jax.random.split(key)
        self.layers = [eqx.nn.Linear(5, 7, key=first), eqx.nn.Dropout(rate), eqx.nn.Linear(7, outputs, key=second)]

    def __call__(self, x: jax.Array, key: jax.Array | None = None) -> jax.Array:
        x = self.layers[1](jax.nn.relu(self.layers[0](x)), key=key)
        return self.layers[2](x)


def equinox_mlp(input_shape: tuple[int, ...], outputs: int, key: jax.Array) -> eqx.Module:
    return eqx.nn.MLP(input_shape[0], outputs, width_size=6, depth=2, key=key)


def equinox_without_key() -> eqx.Module:
    return eqx.nn.MLP(5, 3, 4, 1, key=jax.random.key(0))


# ---- of a Keras reader's first notebook ------------------------------------------------------------------------------


def sigmoids() -> keras.Model:
    """784-32-10-1: 25,120 + 330 + 11 = 25,461 parameters."""
    widths = (32, 10, 1)
    return keras.Sequential([keras.Input((784,)), *(layers.Dense(width, activation="sigmoid") for width in widths)])


def pictures() -> Any:
    """A hundred rows of 784 numbers, and whether their first is positive."""
    x = np.random.default_rng(0).standard_normal((100, 784)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(np.float32)
