"""A small transformer encoder: rows of tokens or of feature vectors, read at once by layers of self-attention."""

import jax
import jax.numpy as jnp
from flax import nnx


class Block(nnx.Module):
    """Self-attention, then two dense layers; each adds to its input, which is normalised first."""

    def __init__(self, width: int, heads: int, dropout: float, *, rngs: nnx.Rngs) -> None:
        self.first_norm = nnx.LayerNorm(width, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(heads, width, decode=False, rngs=rngs)
        self.second_norm = nnx.LayerNorm(width, rngs=rngs)
        self.widen = nnx.Linear(width, 4 * width, rngs=rngs)
        self.narrow = nnx.Linear(4 * width, width, rngs=rngs)
        self.dropout = nnx.Dropout(dropout, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.dropout(self.attention(self.first_norm(x)))
        return x + self.dropout(self.narrow(jax.nn.gelu(self.widen(self.second_norm(x)))))


class Transformer(nnx.Module):
    """`depth` blocks of `heads` heads, whose outputs are averaged over the steps, then a dense layer.

    Takes whole numbers `[rows, steps]` below `vocabulary`, or numbers `[rows, steps]` or `[rows, steps, features]`, and
    gives `[rows, outputs]`. Every step has a learnt vector of its place.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        width: int = 32,
        depth: int = 2,
        heads: int = 4,
        dropout: float = 0.0,
        vocabulary: int = 0,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        steps, *features = input_shape
        if vocabulary:
            self.embed: nnx.Module = nnx.Embed(vocabulary, width, rngs=rngs)
        else:
            self.embed = nnx.Linear(features[0] if features else 1, width, rngs=rngs)
        self.places = nnx.Param(0.02 * jax.random.normal(rngs.params(), (1, steps, width)))
        self.blocks = nnx.List([Block(width, heads, dropout, rngs=rngs) for _ in range(depth)])
        self.norm = nnx.LayerNorm(width, rngs=rngs)
        self.out = nnx.Linear(width, outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        if jnp.issubdtype(x.dtype, jnp.floating):
            x = x.reshape(*x.shape[:2], -1)
        x = self.embed(x) + self.places[...]
        for block in self.blocks:
            x = block(x)
        return self.out(self.norm(x).mean(axis=1))
