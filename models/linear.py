"""A linear model: linear regression, or logistic regression under a cross-entropy."""

import math

import jax
from flax import nnx


class Linear(nnx.Module):
    """One dense layer on the flattened input: `[rows, *input_shape]` to `[rows, outputs]`."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int, *, rngs: nnx.Rngs) -> None:
        self.dense = nnx.Linear(math.prod(input_shape), outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.dense(x.reshape(len(x), -1))
