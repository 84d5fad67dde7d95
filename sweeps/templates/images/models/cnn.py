"""A small convolutional network for images: convolutions with pooling, then dense layers."""

import itertools
from collections.abc import Sequence

import jax
from flax import nnx


class CNN(nnx.Module):
    """A 3 × 3 convolution and a 2 × 2 max-pool for each of `channels`, then a dense layer of `hidden`.

    Takes `[rows, height, width]` (grey) or `[rows, height, width, colours]`, and gives `[rows, outputs]`. Every pool
    halves height and width.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        channels: Sequence[int] = (16, 32),
        hidden: int = 64,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        height, width, *colours = input_shape
        depths = [*(colours or [1]), *channels]
        self.convolutions = nnx.List([nnx.Conv(a, b, (3, 3), rngs=rngs) for a, b in itertools.pairwise(depths)])
        shrunk = 2 ** len(channels)
        self.hidden = nnx.Linear(height // shrunk * (width // shrunk) * depths[-1], hidden, rngs=rngs)
        self.out = nnx.Linear(hidden, outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x.reshape(*x.shape[:3], -1)
        for convolution in self.convolutions:
            x = nnx.max_pool(jax.nn.relu(convolution(x)), (2, 2), strides=(2, 2))
        x = jax.nn.relu(self.hidden(x.reshape(len(x), -1)))
        return self.out(x)
