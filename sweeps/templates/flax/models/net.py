"""A network in Flax."""

import jax
from flax import nnx


class Net(nnx.Module):
    """Two hidden layers of `width`: `[rows, features]` to `[rows, outputs]`."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int, width: int = 32, *, rngs: nnx.Rngs) -> None:
        self.first = nnx.Linear(input_shape[0], width, rngs=rngs)
        self.second = nnx.Linear(width, width, rngs=rngs)
        self.out = nnx.Linear(width, outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.out(jax.nn.relu(self.second(jax.nn.relu(self.first(x)))))
