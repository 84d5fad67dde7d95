"""A multi-layer perceptron: dense layers with an activation between them."""

import itertools
import math
from collections.abc import Sequence

import jax
from flax import nnx


class MLP(nnx.Module):
    """Dense layers of widths `hidden` on the flattened input: `[rows, *input_shape]` to `[rows, outputs]`.

    `activation` is the name of a function in `jax.nn`, such as relu, gelu, tanh or sigmoid. While it trains, the part
    `dropout` of each hidden layer's outputs is dropped.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        hidden: Sequence[int] = (128,),
        activation: str = "relu",
        dropout: float = 0.0,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        widths = [math.prod(input_shape), *hidden]
        self.hidden = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in itertools.pairwise(widths)])
        self.out = nnx.Linear(widths[-1], outputs, rngs=rngs)
        self.activation = getattr(jax.nn, activation)
        self.dropout = nnx.Dropout(dropout, rngs=rngs) if dropout else None

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x.reshape(len(x), -1)
        for layer in self.hidden:
            x = self.activation(layer(x))
            x = self.dropout(x) if self.dropout else x
        return self.out(x)
