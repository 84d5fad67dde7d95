"""Models with one number that can be searched: configs name these as `number_models:name`. Imports every library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import keras
import sweeping
from flax import linen, nnx
from keras import layers

Pair = tuple[Callable[..., Any], Callable[..., Any]]

# ---- plain pairs, which say what they do with the number -------------------------------------------------------------


def _pair(given: Callable[..., Any]) -> Callable[..., Pair]:
    """A model with one hidden layer, whose inputs are `given(x, number, key, training)`."""

    def make(input_shape: tuple[int, ...], outputs: int, number: float = 0.3) -> Pair:
        init, apply = sweeping.curved(input_shape, outputs)
        return init, lambda params, x, key, training: apply(params, given(x, number, key, training))

    return make


def _with_a_switch(x: Any, number: float, key: Any, training: bool) -> Any:
    return x if number > 0.25 else -x


def _zero_is_another_thing(x: Any, number: float, key: Any, training: bool) -> Any:
    return jnp.sign(x) if number == 0 else x * (1 + number)


def _unless_a_float(x: Any, number: float, key: Any, training: bool) -> Any:
    return x * number if isinstance(number, float) else x


def _divided(x: Any, number: float, key: Any, training: bool) -> Any:
    return jnp.sin(number * x) / number if number != 0 else x


scaled = _pair(lambda x, number, key, training: x * number)
noisy = _pair(lambda x, number, key, training: x + number * jax.random.normal(key, x.shape) if training else x)
masked = _pair(lambda x, number, key, training: jnp.where(jax.random.bernoulli(key, number, x.shape), 0.0, x))
clipped = _pair(lambda x, number, key, training: jnp.clip(x, -number, number))
rectified = _pair(lambda x, number, key, training: jax.nn.leaky_relu(x, number))
whole = _pair(lambda x, number, key, training: jnp.tile(x, int(number))[:, :5])
rounded = _pair(lambda x, number, key, training: x * round(float(number), 1))
with_a_switch = _pair(_with_a_switch)
zero_is_another_thing = _pair(_zero_is_another_thing)
unless_a_float = _pair(_unless_a_float)
divided = _pair(_divided)


def kept(input_shape: tuple[int, ...], outputs: int, number: float = 0.3) -> Pair:
    """Its number is in a jitted function that outlives every trace."""
    init, apply = sweeping.curved(input_shape, outputs)
    shrunk = jax.jit(lambda x: x * number)
    return init, lambda params, x: apply(params, shrunk(x))


def computed_while_made(input_shape: tuple[int, ...], outputs: int, number: float = 0.3) -> Pair:
    init, apply = sweeping.curved(input_shape, outputs)
    rest = 1 - number
    return init, lambda params, x: apply(params, rest * x)


def spread(input_shape: tuple[int, ...], outputs: int, number: float = 0.3) -> Pair:
    """Its number is the spread of the initial weights."""
    init, apply = sweeping.curved(input_shape, outputs)
    return lambda key: jax.tree.map(lambda leaf: number * leaf, init(key)), apply


def wide(input_shape: tuple[int, ...], outputs: int, number: float = 4.0) -> Pair:
    return sweeping.curved(input_shape, outputs, width=int(number))


def two(input_shape: tuple[int, ...], outputs: int, number: float = 0.3, other: float = 0.3) -> Pair:
    """The first can be a value of a lane, and the second cannot."""
    return scaled(input_shape, outputs, number) if float(other) else scaled(input_shape, outputs, 2 * number)


# ---- of each library -------------------------------------------------------------------------------------------------


class NnxMomentum(nnx.Module):
    def __init__(self, outputs: int, number: float = 0.8, *, rngs: nnx.Rngs) -> None:
        self.norm = nnx.BatchNorm(5, momentum=number, rngs=rngs)
        self.out = nnx.Linear(5, outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.out(self.norm(x))


class NnxConvolution(nnx.Module):
    """Its convolution and pooling are rewritten as products and slices."""

    def __init__(self, outputs: int, number: float = 0.3, *, rngs: nnx.Rngs) -> None:
        self.convolution = nnx.Conv(1, 4, (3,), rngs=rngs)
        self.out = nnx.Linear(8, outputs, rngs=rngs)
        self.dropout = nnx.Dropout(number, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.max_pool(self.dropout(self.convolution(x[..., None])), (2,), strides=(2,))
        return self.out(x.reshape(len(x), -1))


class LinenScaled(linen.Module):
    outputs: int
    number: float = 0.3

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return linen.Dense(self.outputs)(x + self.number * linen.Dense(5)(x))


class EquinoxScaled(eqx.Module):
    hidden: eqx.nn.Linear
    out: eqx.nn.Linear
    number: float

    def __init__(self, outputs: int, number: float = 0.3, *, key: jax.Array) -> None:
        first, second = jax.random.split(key)
        self.hidden, self.out = eqx.nn.Linear(5, 5, key=first), eqx.nn.Linear(5, outputs, key=second)
        self.number = number

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.out(x + self.number * self.hidden(x))


def with_layer(kind: str, number: float = 0.3) -> keras.Model:
    """The number is the first argument of a layer of Keras; spatial dropout has steps of one feature."""
    is_spatial = kind == "SpatialDropout1D"
    shaped = [layers.Reshape((5, 1))] if is_spatial else []
    flat = [layers.Flatten()] if is_spatial else []
    layer = getattr(layers, kind)
    noise = layer(epsilon=number) if kind == "LayerNormalization" else layer(number)
    return keras.Sequential([keras.Input((5,)), layers.Dense(5), *shaped, noise, *flat, layers.Dense(3)])
