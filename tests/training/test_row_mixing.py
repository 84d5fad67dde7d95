"""Whether a model mixes rows: proved where it can be, tried where it cannot, and never taken for granted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from jax import lax

from sweeps.training import row_mixing
from sweeps.training.models import build_model
from sweeps.training.row_mixing import ROWS, are_apart

APART: dict[str, Callable[[jax.Array], jax.Array]] = {
    "elementwise": lambda x: jnp.tanh(x) * 2 + jax.nn.gelu(x),
    "layer norm": lambda x: (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True),
    "softmax": jax.nn.softmax,
    "flattened": lambda x: x.reshape(len(x), -1) @ jnp.ones((12, 2)),
    "folded over time and back": lambda x: (x.reshape(-1, 3) @ jnp.ones((3, 2))).reshape(len(x), 4, 2),
    "attention": lambda x: jnp.einsum("rts,rsf->rtf", jax.nn.softmax(jnp.einsum("rtf,rsf->rts", x, x)), x),
    "last step": lambda x: x[:, -1],
    "reversed features": lambda x: x[..., ::-1],
    "padded features": lambda x: jnp.pad(x, ((0, 0), (1, 1), (0, 0))),
    "scanned over time": lambda x: lax.scan(lambda c, s: (c + s, c), x[:, 0], x.transpose(1, 0, 2))[0],
    "convolution": lambda x: lax.conv(x, jnp.ones((5, 4, 2)), (1,), "SAME"),
    "pooling": lambda x: nnx.max_pool(x, (2,), (2,)),
    "looked up": lambda x: jnp.eye(7)[x.astype(jnp.int32) % 7],
    "dropout of each row": lambda x: jnp.where(jax.random.bernoulli(jax.random.key(0), 0.5, x.shape), x, 0.0),
    "vmapped": jax.vmap(lambda row: jnp.sort(row, axis=0).cumsum(axis=1)),
    "picked per row": lambda x: jnp.take_along_axis(x, x.argmax(axis=1, keepdims=True), axis=1),
}
MIXED: dict[str, Callable[[jax.Array], jax.Array]] = {
    "batch norm": lambda x: x - x.mean(axis=0, keepdims=True),
    "reversed rows": lambda x: x[::-1],
    "shifted rows": lambda x: jnp.roll(x, 1, axis=0),
    "summed up": lambda x: jnp.cumsum(x, axis=0),
    "compared with the first": lambda x: x - x[:1],
    "sorted": lambda x: jnp.sort(x, axis=0),
    "attention over rows": lambda x: jnp.einsum("rs,stf->rtf", jnp.einsum("rtf,stf->rs", x, x), x),
    "scanned over rows": lambda x: lax.scan(lambda c, row: (c + row, c), x[0], x)[1],
    "batch norm over rows and time": lambda x: x - x.reshape(-1, 3).mean(axis=0)[None, None],
    "windows over rows": lambda x: lax.reduce_window(x, 0.0, lax.add, (3, 1, 1), (1, 1, 1), "SAME"),
    "rows as channels": lambda x: lax.conv(x.transpose(1, 0, 2), jnp.ones((ROWS, ROWS, 1)), (1,), "SAME"),
    "woven into another axis": lambda x: x.transpose(1, 0, 2).reshape(len(x), 4, 3),
    "in a branch": lambda x: lax.cond(True, lambda x: x - x.mean(axis=0, keepdims=True), lambda x: x, x),
    "in a derivative rule": jax.checkpoint(lambda x: x / jnp.abs(x).max()),
}


@pytest.mark.parametrize("name", APART)
def test_rows_that_are_apart_are_proved_to_be(name: str) -> None:
    assert are_apart(jax.make_jaxpr(APART[name])(jnp.zeros((ROWS, 4, 3))))


@pytest.mark.parametrize("name", MIXED)
def test_rows_that_are_mixed_are_never_proved_to_be_apart(name: str) -> None:
    assert not are_apart(jax.make_jaxpr(MIXED[name])(jnp.zeros((ROWS, 4, 3))))


def mixing(input_shape: tuple[int, ...], outputs: int, how: str = "batch norm") -> Any:
    def apply(params: Any, x: jax.Array) -> jax.Array:
        x = {**APART, **MIXED}[how](x) if how != "fourier" else jnp.fft.fft(x, axis=1).real
        return x.reshape(len(x), -1)[:, :5] @ params

    return lambda key: jnp.zeros((5, outputs)), apply


@pytest.mark.parametrize(
    ("how", "is_whole"), [("fourier", False), *((name, True) for name in MIXED if name != "rows as channels")]
)
def test_what_cannot_be_proved_is_tried(how: str, is_whole: bool) -> None:
    """A Fourier transform of each row has no rule, and keeps rows apart."""
    assert build_model("test_row_mixing:mixing", {"how": how}, (4, 3), 2).is_whole is is_whole


@pytest.mark.parametrize(
    ("use", "shape"),
    [
        ("models.mlp:MLP", (28, 28)),
        ("models.cnn:CNN", (28, 28)),
        ("models.lstm:LSTM", (6,)),
        ("models.linear:Linear", (3,)),
        ("models.transformer:Transformer", (6, 3)),
    ],
)
def test_nothing_is_compiled_to_find_that_the_project_s_models_keep_rows_apart(
    use: str, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_mixing, "influence_each_other", lambda *_: pytest.fail("it was tried"))
    monkeypatch.setattr("sweeps.training.models._BUILT", {})
    assert not build_model(use, {}, shape, 10).is_whole


def test_whole_numbers_are_tried_too() -> None:
    assert build_model("test_row_mixing:mixing_tokens", {}, (4,), 2, jnp.int32).is_whole


def mixing_tokens(input_shape: tuple[int, ...], outputs: int) -> Any:
    def apply(params: Any, x: jax.Array) -> jax.Array:
        vectors = params[x].mean(axis=1)
        return vectors - vectors.mean(axis=0, keepdims=True)

    return lambda key: jnp.zeros((10, outputs)), apply
