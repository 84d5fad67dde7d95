"""Pooling as slices is `lax.reduce_window`, and its gradient goes where XLA sends it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tolerances
from jax import lax

from sweeps.training.ops.convolution import as_products

OPERATIONS = {"max": (lax.max, -np.inf), "min": (lax.min, np.inf), "sum": (lax.add, 0.0)}


class Case(NamedTuple):
    """Pooling of `[rows, *spatial, channels]`."""

    shape: tuple[int, ...]
    window: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str | Sequence[tuple[int, int]] = "VALID"
    dilation: tuple[int, ...] = ()

    def pool(self, x: jax.Array, operation: str = "max") -> jax.Array:
        combine, start = OPERATIONS[operation]
        padding = self.padding if isinstance(self.padding, str) else [(0, 0), *self.padding, (0, 0)]
        return lax.reduce_window(
            x,
            np.asarray(start, x.dtype),
            combine,
            (1, *self.window, 1),
            (1, *self.strides, 1),
            padding,
            window_dilation=(1, *self.dilation, 1) if self.dilation else None,
        )


CASES = {
    "windows side by side": Case((3, 6, 8, 2), (2, 2), (2, 2)),
    "a row and a column are left over": Case((3, 7, 5, 2), (2, 2), (2, 2)),
    "overlapping": Case((3, 9, 9, 2), (3, 3), (2, 2)),
    "padded": Case((3, 8, 9, 2), (3, 3), (2, 2), "SAME"),
    "padded by hand": Case((3, 6, 5, 2), (2, 3), (1, 2), ((1, 0), (2, 1))),
    "strides larger than the window": Case((3, 9, 9, 2), (1, 2), (3, 4)),
    "one dimension": Case((3, 9, 2), (4,), (3,)),
    "three dimensions": Case((2, 4, 5, 4, 2), (2, 3, 2), (2, 2, 1)),
}


def gradient(pool: Any, x: np.ndarray, weights: np.ndarray) -> Any:
    options = {"xla_backend_optimization_level": 0}  # it runs once
    return jax.jit(jax.grad(lambda x: (weights * pool(x)).sum()), compiler_options=options)(x)


def drawn(shape: tuple[int, ...]) -> np.ndarray:
    """Few whole numbers, so that most windows hold several equal largest ones, and sums are exact."""
    return np.random.default_rng(0).integers(-1, 3, shape).astype(np.float32)


@pytest.mark.rotating
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_values_and_gradients_are_those_of_xla_even_where_numbers_are_equal(case: Case, operation: str) -> None:
    x = drawn(case.shape)
    rewritten = as_products(lambda x: case.pool(x, operation))
    assert "reduce_window" not in str(jax.make_jaxpr(rewritten)(x))
    expected = case.pool(jnp.asarray(x), operation)
    np.testing.assert_array_equal(jax.jit(rewritten)(x), expected)
    weights = drawn(expected.shape)
    wanted = gradient(lambda x: case.pool(x, operation), x, weights)
    np.testing.assert_array_equal(gradient(rewritten, x, weights), wanted)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_dilated_window_has_the_values_of_xla(operation: str) -> None:
    case = Case((2, 9, 9, 2), (3, 2), (1, 2), "VALID", (2, 3))
    x = drawn(case.shape)
    np.testing.assert_array_equal(as_products(lambda x: case.pool(x, operation))(x), case.pool(x, operation))


@pytest.mark.parametrize("operation", ["max", "min"])
@pytest.mark.parametrize("place", range(4))
def test_a_nan_is_the_extreme_of_its_window(operation: str, place: int) -> None:
    x = np.arange(16, dtype=np.float32)
    x[[0, 1, 4, 5][place]] = np.nan
    pooled = as_products(lambda x: Case((1, 4, 4, 1), (2, 2), (2, 2)).pool(x, operation))(x.reshape(1, 4, 4, 1))
    assert np.isnan(pooled).ravel().tolist() == [True, False, False, False]


@pytest.mark.parametrize("operation", ["max", "min"])
def test_whole_numbers_are_padded_with_what_never_wins(operation: str) -> None:
    x = np.random.default_rng(0).integers(-100, 100, (2, 5, 5, 1)).astype(np.int8)

    def pool(x: jax.Array) -> jax.Array:
        end = np.int8(-128) if operation == "max" else np.int8(127)
        return lax.reduce_window(x, end, OPERATIONS[operation][0], (1, 2, 2, 1), (1, 2, 2, 1), "SAME")

    np.testing.assert_array_equal(as_products(pool)(x), pool(x))


def test_a_large_maximum_is_left_to_xla() -> None:
    rewritten = as_products(Case((2, 14, 14, 2), (7, 7), (7, 7)).pool)
    assert "reduce_window_max" in str(jax.make_jaxpr(rewritten)(drawn((2, 14, 14, 2))))


def test_large_sums_of_windows_side_by_side_are_sums_of_tiles() -> None:
    case = Case((2, 15, 14, 3), (7, 7), (7, 7))
    x = drawn(case.shape)
    rewritten = as_products(lambda x: case.pool(x, "sum"))
    assert "reduce_window" not in str(jax.make_jaxpr(rewritten)(x))
    expected = case.pool(x, "sum")
    np.testing.assert_array_equal(rewritten(x), expected)
    weights = drawn(expected.shape)
    wanted = gradient(lambda x: case.pool(x, "sum"), x, weights)
    np.testing.assert_allclose(gradient(rewritten, x, weights), wanted, **tolerances.EXACT)


def test_large_sums_that_overlap_are_left_to_xla() -> None:
    case = Case((2, 14, 14, 3), (7, 7), (1, 1))
    rewritten = as_products(lambda x: case.pool(x, "sum"))
    assert "reduce_window_sum" in str(jax.make_jaxpr(rewritten)(drawn(case.shape)))
