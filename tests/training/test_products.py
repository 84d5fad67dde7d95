"""Convolutions as products are convolutions: XLA's own, whatever the geometry.

Inputs are small whole numbers, whose sums float32 holds exactly; so values and gradients must be equal, not close.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from sweeps.training.ops import products
from sweeps.training.ops.convolution import as_products

PLAIN = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC"), 3: ("NDHWC", "DHWIO", "NDHWC")}


class Case(NamedTuple):
    """A convolution: shapes without the order of their dimensions, and the arguments of `lax.conv_general_dilated`."""

    x: tuple[int, ...]  # rows, *spatial, channels
    kernel: tuple[int, ...]  # *window, channels / groups, outputs
    strides: tuple[int, ...] = ()
    padding: str | Sequence[tuple[int, int]] = "SAME"
    lhs_dilation: tuple[int, ...] = ()
    rhs_dilation: tuple[int, ...] = ()
    groups: int = 1
    batch_groups: int = 1
    layout: tuple[str, str, str] = ("", "", "")

    def convolve(self, x: jax.Array, kernel: jax.Array, **more: Any) -> jax.Array:
        spatial = len(self.x) - 2
        return lax.conv_general_dilated(
            x,
            kernel,
            self.strides or (1,) * spatial,
            self.padding,
            self.lhs_dilation or None,
            self.rhs_dilation or None,
            self.layout if self.layout[0] else PLAIN[spatial],
            self.groups,
            self.batch_groups,
            **more,
        )

    def operands(self, dtype: Any = np.float32) -> tuple[np.ndarray, np.ndarray]:
        """Whole numbers, their dimensions in the order of the layout."""
        spatial = len(self.x) - 2
        generator = np.random.default_rng(0)
        arrays = []
        for shape, plain, wanted in zip((self.x, self.kernel), PLAIN[spatial], self.layout, strict=False):
            array = generator.integers(-4, 5, shape).astype(dtype)
            arrays.append(array.transpose([plain.index(letter) for letter in wanted or plain]))
        return arrays[0], arrays[1]


quickly = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""For what runs once."""


def assert_equal_in_value_and_gradient(case: Case) -> None:
    x, kernel = case.operands()
    shape = jax.eval_shape(case.convolve, x, kernel).shape
    weights = np.random.default_rng(1).integers(-4, 5, shape).astype(np.float32)

    def value_and_gradients(convolve: Any) -> Any:
        def both(x: jax.Array, kernel: jax.Array) -> Any:
            value, pull_back = jax.vjp(convolve, x, kernel)
            return value, pull_back(jnp.asarray(weights))

        return jax.tree.leaves(quickly(both)(x, kernel))

    rewritten = as_products(case.convolve)
    assert "conv_general_dilated" not in str(jax.make_jaxpr(rewritten)(x, kernel))
    for found, wanted in zip(value_and_gradients(rewritten), value_and_gradients(case.convolve), strict=True):
        np.testing.assert_array_equal(found, wanted)


CASES = {
    "one dimension": Case((2, 9, 3), (3, 3, 4)),
    "two dimensions": Case((2, 6, 7, 3), (3, 3, 3, 4)),
    "three dimensions": Case((2, 4, 5, 3, 2), (2, 3, 2, 2, 3)),
    "no dimension but rows and channels of size 1": Case((1, 5, 1), (2, 1, 1)),
    "a window of one": Case((2, 5, 5, 3), (1, 1, 3, 4)),
    "an even window": Case((2, 6, 6, 2), (2, 4, 2, 3)),
    "a window as large as the image": Case((2, 5, 4, 2), (5, 4, 2, 3), padding="VALID"),
    "strides": Case((2, 7, 8, 2), (3, 3, 2, 3), (2, 3)),
    "strides larger than the window": Case((2, 9, 8, 2), (2, 1, 2, 3), (3, 2), "VALID"),
    "patches side by side": Case((2, 8, 8, 3), (4, 4, 3, 5), (4, 4), "VALID"),
    "padding on one side": Case((2, 5, 6, 2), (3, 2, 2, 3), padding=((2, 0), (0, 3))),
    "negative padding": Case((2, 7, 6, 2), (3, 2, 2, 3), padding=((-1, 0), (2, -2))),
    "a dilated window": Case((2, 9, 9, 2), (3, 2, 2, 3), rhs_dilation=(2, 3)),
    "a transposed convolution": Case((2, 4, 4, 2), (3, 3, 2, 3), padding=((1, 2), (1, 2)), lhs_dilation=(2, 2)),
    "input dilated more than the window": Case(
        (2, 3, 4, 2), (1, 2, 2, 3), padding=((0, 1), (1, 0)), lhs_dilation=(3, 2)
    ),
    "both dilated, with strides": Case((2, 5, 4, 2), (3, 2, 2, 3), (2, 3), ((2, 1), (1, 2)), (3, 2), (2, 2)),
    "groups": Case((2, 5, 5, 6), (3, 3, 2, 9), groups=3),
    "depthwise": Case((2, 5, 5, 4), (3, 3, 1, 4), groups=4),
    "depthwise, several outputs a channel": Case((2, 6, 5, 3), (2, 3, 1, 6), (2, 1), groups=3),
    "depthwise and transposed": Case((2, 4, 3), (2, 1, 3), (1,), ((1, 1),), (3,), groups=3),
    "groups of rows": Case((4, 5, 5, 3), (3, 3, 3, 4), batch_groups=2),
    "channels first": Case((2, 5, 6, 3), (3, 2, 3, 4), layout=("NCHW", "OIHW", "NCHW")),
    "any order of dimensions": Case((2, 5, 6, 3), (3, 2, 3, 4), layout=("HCNW", "WOIH", "CWNH")),
}


@pytest.mark.rotating
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_convolution_and_its_gradients_are_those_of_xla(case: Case) -> None:
    assert_equal_in_value_and_gradient(case)


@st.composite
def convolutions(draw: st.DrawFn) -> Case:
    spatial = draw(st.integers(1, 3))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.lists(st.integers(low, high), min_size=spatial, max_size=spatial)))

    groups, batch_groups = draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (3, 1), (1, 2)]))
    channels, outputs, rows = (draw(st.integers(1, 3)) for _ in range(3))
    sizes, window, lhs_dilation = each(1, 6), each(1, 3), each(1, 2)
    letters = [PLAIN[spatial][0], PLAIN[spatial][1], PLAIN[spatial][2]]
    return Case(
        (rows * batch_groups, *sizes, channels * groups),
        (*window, channels, outputs * groups * batch_groups),
        each(1, 3),
        tuple(zip(each(0, 2), each(0, 2), strict=True)),
        lhs_dilation,
        each(1, 2),
        groups,
        batch_groups,
        tuple("".join(draw(st.permutations(order))) for order in letters),
    )


@settings(max_examples=20)
@given(convolutions())
def test_any_convolution_is_that_of_xla(case: Case) -> None:
    x, kernel = case.operands()
    expected = quickly(case.convolve)(x, kernel)
    np.testing.assert_array_equal(quickly(as_products(case.convolve))(x, kernel), expected)


@pytest.mark.parametrize("name", ["two dimensions", "strides", "a transposed convolution", "groups"])
@pytest.mark.parametrize("rows", [2, 7])
def test_a_layout_that_is_cut_gives_the_same(name: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "LARGEST_LAYOUT_BYTES", 0)
    monkeypatch.setattr(products, "CUT_LAYOUT_BYTES", 5000)
    case = CASES[name]
    case = case._replace(x=(rows, *case.x[1:]))
    assert_equal_in_value_and_gradient(case)


def test_a_large_layout_is_never_in_memory_at_once() -> None:
    case = Case((32, 64, 64, 16), (5, 5, 16, 8))
    x, kernel = (jax.ShapeDtypeStruct(array.shape, array.dtype) for array in case.operands())
    whole = math.prod(case.x) * 25 * 4

    def loss(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return as_products(case.convolve)(x, kernel).sum()

    compiled = jax.jit(jax.grad(loss, (0, 1))).lower(x, kernel).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < whole / 4


@pytest.mark.rotating
@pytest.mark.parametrize("name", ["two dimensions", "a transposed convolution", "depthwise", "groups"])
@pytest.mark.parametrize(
    ("dtype", "preferred"),
    [("bfloat16", None), ("float16", None), ("bfloat16", "float32"), ("int8", "int32"), ("complex64", None)],
)
def test_a_dtype_and_a_preferred_one_are_those_of_xla(name: str, dtype: str, preferred: str | None) -> None:
    # Sums are exact in 32 bits, but not in 16: they must be rounded once, at the end.
    x, kernel = (jnp.asarray(5 * array, dtype) for array in CASES[name].operands())
    more = {"preferred_element_type": jnp.dtype(preferred)} if preferred else {}
    convolve = functools.partial(CASES[name].convolve, **more)
    expected, found = quickly(convolve)(x, kernel), quickly(as_products(convolve))(x, kernel)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_a_given_precision_is_that_of_the_product() -> None:
    case = CASES["two dimensions"]
    rewritten = as_products(lambda x, kernel: case.convolve(x, kernel, precision=lax.Precision.HIGHEST))
    assert "Precision.HIGHEST" in str(jax.make_jaxpr(rewritten)(*case.operands()))


def test_second_derivatives_exist_forward_and_backward() -> None:
    case = CASES["strides"]
    x, kernel = case.operands()

    def hessian_product(convolve: Any) -> Any:
        def loss(kernel: jax.Array) -> jax.Array:
            return jnp.square(convolve(jnp.asarray(x), kernel)).sum()

        return jax.jit(lambda kernel: jax.jvp(jax.grad(loss), (kernel,), (kernel,))[1])(kernel)

    np.testing.assert_array_equal(hessian_product(as_products(case.convolve)), hessian_product(case.convolve))
