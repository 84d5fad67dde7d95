"""A recurrent network for sequences: an LSTM, whose last output goes through a dense layer."""

import jax
from flax import nnx


class LSTM(nnx.Module):
    """An LSTM of `hidden` units read to its end: `[rows, steps]` or `[rows, steps, features]` to `[rows, outputs]`."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int, hidden: int = 32, *, rngs: nnx.Rngs) -> None:
        features = input_shape[1] if len(input_shape) == 2 else 1
        self.recurrence = nnx.RNN(nnx.LSTMCell(features, hidden, rngs=rngs))
        self.out = nnx.Linear(hidden, outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x.reshape(*x.shape[:2], -1)
        return self.out(self.recurrence(x)[:, -1])
