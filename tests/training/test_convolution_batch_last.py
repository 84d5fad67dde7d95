"""Convolutions with the rows last are XLA's, whatever the geometry, and what follows them stays in that order."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tolerances
from jax import lax
from sweeping import assert_same
from test_products import CASES, Case, assert_equal_in_value_and_gradient, quickly

from sweeps.training.models import build_model
from sweeps.training.ops import batch_last, layouts, pooling, products
from sweeps.training.ops.convolution import as_products

NAMES = [name for name, case in CASES.items() if len(case.x) == 4]
LEFT = ["transposed", "both dilated", "input dilated", "groups", "depthwise"]
"""Parts of the names of those that are products of windows on any device."""


def of_rows(name: str, rows: int) -> Case:
    case = CASES[name]
    return case._replace(x=(rows, *case.x[1:]))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which way each convolution was computed."""
    ways: list[str] = []
    for module in (batch_last, products):
        name, function = module.__name__.rsplit(".", 1)[1], module.convolution

        def counting(*arguments: Any, name: str = name, function: Any = function) -> Any:
            ways.append(name)
            return function(*arguments)

        monkeypatch.setattr(module, "convolution", counting)
    return ways


@pytest.mark.rotating
@pytest.mark.parametrize("name", NAMES)
def test_a_convolution_of_images_and_its_gradients_are_those_of_xla(name: str, counted: list[str]) -> None:
    assert_equal_in_value_and_gradient(of_rows(name, 8))
    assert set(counted) == {"products" if any(part in name for part in LEFT) else "batch_last"}


@pytest.mark.parametrize("name", ["strides", "a dilated window", "channels first"])
def test_a_convolution_in_tiles_of_rows_gives_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_last, "WINDOW_BYTES", 1)
    monkeypatch.setattr(batch_last, "FEWEST_ROWS", 1)
    assert_equal_in_value_and_gradient(of_rows(name, 24))


@pytest.mark.parametrize(
    ("case", "dtype"),
    [
        (of_rows("two dimensions", 7), "float32"),
        (of_rows("two dimensions", 8), "bfloat16"),
        (CASES["one dimension"]._replace(x=(8, 9, 3)), "float32"),
    ],
    ids=["rows that fill no vector", "bfloat16", "one dimension"],
)
def test_other_convolutions_are_products_of_windows(case: Case, dtype: str, counted: list[str]) -> None:
    jax.make_jaxpr(as_products(case.convolve))(*(jnp.asarray(each, dtype) for each in case.operands()))
    assert counted == ["products"]


def test_a_convolution_for_another_backend_is_a_product_of_windows(
    counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    case = of_rows("two dimensions", 8)
    jax.make_jaxpr(as_products(case.convolve))(*case.operands())
    assert counted == ["products"]


def test_second_derivatives_exist_with_the_rows_last() -> None:
    case = of_rows("strides", 8)
    x, kernel = case.operands()

    def of(convolve: Any, outer: Any) -> Any:
        def loss(kernel: jax.Array) -> jax.Array:
            return jnp.square(convolve(jnp.asarray(x), kernel)).sum()

        return quickly(lambda kernel: outer(jax.grad(loss), kernel))(kernel)

    def forward(slope: Any, kernel: jax.Array) -> Any:
        return jax.jvp(slope, (kernel,), (kernel,))[1]

    def backward(slope: Any, kernel: jax.Array) -> Any:
        return jax.grad(lambda kernel: (slope(kernel) * kernel).sum())(kernel)

    for outer in (forward, backward):
        np.testing.assert_array_equal(of(as_products(case.convolve), outer), of(case.convolve, outer))


def test_a_kernel_for_each_lane_is_a_convolution_of_each_lane() -> None:
    case = of_rows("two dimensions", 8)
    x, kernel = case.operands()
    kernels = jnp.stack([kernel, -2 * kernel])

    def slopes(convolve: Any) -> Any:
        return quickly(jax.vmap(jax.grad(lambda kernel: jnp.square(convolve(x, kernel)).sum())))(kernels)

    np.testing.assert_array_equal(slopes(as_products(case.convolve)), slopes(case.convolve))


def test_no_gradient_of_the_pixels_is_computed_where_nobody_wants_it() -> None:
    case = of_rows("two dimensions", 8)
    x, kernel = map(jnp.asarray, case.operands())

    def products_in(wanted: Any) -> int:
        slope = jax.grad(lambda x, kernel: jnp.square(as_products(case.convolve)(x, kernel)).sum(), wanted)
        return str(jax.make_jaxpr(slope)(x, kernel)).count("dot_general")

    assert products_in(1) == products_in((0, 1)) - 1


# ---- what follows a convolution --------------------------------------------------------------------------------------

IMAGES = np.random.default_rng(0).integers(-3, 4, (8, 6, 6, 2)).astype(np.float32)
KERNEL = np.random.default_rng(1).integers(-3, 4, (3, 3, 2, 4)).astype(np.float32)


def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def pooled(x: jax.Array, way: str = "max", window: tuple[int, ...] = (1, 2, 2, 1)) -> jax.Array:
    combine, start = {"max": (lax.max, -np.inf), "min": (lax.min, np.inf), "sum": (lax.add, 0.0)}[way]
    return lax.reduce_window(x, np.float32(start), combine, window, window, "VALID")


def normed(x: jax.Array, bias: jax.Array) -> jax.Array:
    return (x - x.mean((0, 1, 2), keepdims=True)) * lax.rsqrt(x.var((0, 1, 2), keepdims=True) + 1) + bias


FOLLOWING = {
    "bias, relu, max-pool": lambda y, bias: pooled(jax.nn.relu(y + bias)),
    "min-pool that leaves a row over": lambda y, bias: pooled(y * bias, "min", (1, 4, 4, 1)),
    "sum-pool": lambda y, bias: pooled(jnp.tanh(y / 8) + bias, "sum"),
    "batch norm": lambda y, bias: jax.nn.silu(normed(y, bias)),
    "global means": lambda y, bias: y.mean((1, 2)) + bias[0, 0],
    "a skip connection": lambda y, bias: jax.nn.relu(y + bias) + y,
    "a skip connection from before": lambda y, bias: jax.nn.relu(y) + jnp.tile(IMAGES, (1, 1, 1, 2)),
    "dropout": lambda y, bias: jnp.where(jax.random.bernoulli(jax.random.key(0), 0.5, y.shape), y, bias),
    "a dense layer": lambda y, bias: jax.nn.gelu(y).reshape(8, -1) @ jnp.ones((144, 3)),
    "a dense layer after a relu of rows": lambda y, bias: jax.nn.relu(y.reshape(8, -1)) @ jnp.ones((144, 3)),
    "numbers reshaped otherwise": lambda y, bias: y.reshape(16, -1) + bias.sum(),
    "another order": lambda y, bias: jnp.swapaxes(y, 1, 2)[:, ::2] + bias,
    "sorted": lambda y, bias: jnp.sort(y, axis=1) * bias,
}


@pytest.mark.rotating
@pytest.mark.parametrize("following", FOLLOWING.values(), ids=FOLLOWING.keys())
def test_what_follows_a_convolution_is_the_same(following: Any) -> None:
    def value_and_gradient(rewrite: Any) -> Any:
        def function(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
            return following(convolve(x, kernel), bias)

        def loss(*arguments: Any) -> Any:
            y = rewrite(function)(*arguments)
            return (y * jnp.linspace(0, 1, y.size).reshape(y.shape)).sum(), y

        arguments = (jnp.asarray(IMAGES), jnp.asarray(KERNEL), jnp.arange(1.0, 5.0).reshape(1, 1, 1, 4))
        return quickly(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))(*arguments)

    assert_same(value_and_gradient(as_products), value_and_gradient(lambda function: function), tolerances.GRADIENT)


def test_a_pool_gives_the_gradient_to_the_first_of_equal_numbers_and_to_a_nan() -> None:
    x = np.array([[[1, 1, 0, 5], [1, 0, np.nan, np.nan], [0, 0, 2, 3], [0, 0, 3, 3]]], np.float32).reshape(1, 4, 4, 1)
    parameters = {
        "window_dimensions": (1, 2, 2, 1),
        "window_strides": (1, 2, 2, 1),
        "padding": ((0, 0),) * 4,
        "base_dilation": (1,) * 4,
        "window_dilation": (1,) * 4,
    }
    slope = jax.grad(lambda x: pooling.tiled_max(x, parameters).sum())(x)[0, ..., 0]
    np.testing.assert_array_equal(slope, [[1, 0, 0, 0], [0, 0, 1, 0], [1, 0, 0, 1], [0, 0, 0, 0]])
    np.testing.assert_array_equal(pooling.tiled_max(x, parameters).ravel(), [1, np.nan, 0, 3])


def test_from_the_first_convolution_to_the_dense_layer_no_image_is_transposed() -> None:
    model = build_model("models.cnn:CNN", {"channels": [8, 16], "hidden": 64}, (28, 28), 10)
    key, x = jax.random.key(0), jnp.zeros((16, 28, 28))
    params = model.shapes.params

    def slope(params: Any) -> Any:
        return jax.grad(lambda params: jnp.square(model.apply(params, {}, x, key, True)[0]).sum())(params)

    made = re.findall(r"\[([\d,]+)\] = transpose\[", str(jax.make_jaxpr(slope)(params)))
    largest = max(np.prod([int(size) for size in shape.split(",")]) for shape in made)
    assert largest <= max(x.size, 784 * 64)  # the pixels once, or a kernel


def test_an_array_is_kept_in_each_order_that_was_asked_for() -> None:
    array = np.arange(24).reshape(2, 3, 4)
    value = layouts.Value(array.transpose(2, 0, 1), (2, 0, 1))
    assert not value.is_plain
    np.testing.assert_array_equal(value.plain(), array)
    np.testing.assert_array_equal(value.ordered((1, 2, 0)), array.transpose(1, 2, 0))
    assert value.plain() is value.plain()
