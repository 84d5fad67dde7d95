"""An array of a traced function in several orders of its dimensions, and what can be computed in any of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax

from sweeps.training.ops.batch_last import Order

ELEMENTWISE = frozenset(
    {
        *("abs", "acos", "acosh", "add", "add_any", "and", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil"),
        *("clamp", "convert_element_type", "copy", "cos", "cosh", "digamma", "div", "eq", "erf", "erf_inv", "erfc"),
        *("exp", "exp2", "expm1", "floor", "ge", "gt", "integer_pow", "is_finite", "le", "lgamma", "log", "log1p"),
        *("logistic", "lt", "max", "min", "mul", "ne", "neg", "nextafter", "not", "or", "pow", "reduce_precision"),
        *("rem", "round", "rsqrt", "select_n", "shift_left", "shift_right_arithmetic", "shift_right_logical", "sign"),
        *("sin", "sinh", "sqrt", "square", "stop_gradient", "sub", "tan", "tanh", "xor"),
    }
)
"""Names of primitives that compute each number from those at its place."""
_REDUCING = frozenset({"reduce_max", "reduce_min", "reduce_sum"})


class Value:
    """An array, in the order of the function that is traced and in others, made when they are asked for."""

    def __init__(self, array: Any, order: Order | None = None) -> None:
        self.home = tuple(range(np.ndim(array))) if order is None else order
        self._arrays = {self.home: array}

    @property
    def dtype(self) -> Any:
        """Of its numbers."""
        return self.ordered(self.home).dtype

    @property
    def is_plain(self) -> bool:
        """Whether it came to be in the function's own order."""
        return self.home == tuple(range(len(self.home)))

    def plain(self) -> Any:
        """The array as the function has it."""
        return self.ordered(tuple(range(len(self.home))))

    def ordered(self, order: Order) -> Any:
        """The array with its dimensions in this order."""
        if order not in self._arrays:
            self._arrays[order] = self._arrays[self.home].transpose([self.home.index(each) for each in order])
        return self._arrays[order]


class Spread(Value):
    """A scalar at every place of an array, which is made in the order that is asked for."""

    def __init__(self, scalar: Value, shape: Sequence[int]) -> None:
        self.home = tuple(range(len(shape)))
        self._scalar, self._shape = scalar.plain(), shape
        self._arrays = {}

    def ordered(self, order: Order) -> Any:
        """The array with its dimensions in this order."""
        if order not in self._arrays:
            self._arrays[order] = lax.broadcast(self._scalar, [self._shape[axis] for axis in order])
        return self._arrays[order]


class Flat(Value):
    """`[rows, numbers]` of an image whose rows are last: what a dense layer multiplies without a transposition."""

    def __init__(self, image: Value) -> None:
        self.home = (0, 1)
        self._image = image
        self._arrays = {}

    def ordered(self, order: Order) -> Any:
        """The array with its dimensions in this order."""
        if (0, 1) not in self._arrays:
            image = self._image.plain()
            self._arrays[0, 1] = image.reshape(len(image), -1)
        return super().ordered(order)

    def times(self, kernel: jax.Array, parameters: Mapping[str, Any]) -> Value:
        """The product with a `kernel` of `[numbers, outputs]`, whose numbers are put into the order of the image."""
        order = self._image.home
        x = self._image.ordered(order)
        sizes = [x.shape[order.index(axis)] for axis in range(1, x.ndim)]
        kernel = kernel.reshape(*sizes, -1).transpose(*(axis - 1 for axis in order[:-1]), x.ndim - 1)
        numbers = x.size // x.shape[-1]
        both = kernel.reshape(numbers, -1), x.reshape(numbers, -1)
        y = lax.dot_general(*both, **{**parameters, "dimension_numbers": (((0,), (0,)), ((), ()))})
        return Value(y.T)


def is_flat(equation: Any, x: Value) -> bool:
    """Whether a reshape makes a row of each image of `x`, whose rows are last."""
    rows, *image = equation.invars[0].aval.shape
    is_row = equation.outvars[0].aval.shape == (rows, math.prod(image)) and equation.params["dimensions"] is None
    return is_row and x.home[-1] == 0


def is_plain_product(equation: Any) -> bool:
    """Whether `dot_general` multiplies two matrices that are not transposed."""
    ranks = [operand.aval.ndim for operand in equation.invars]
    numbers = jax.tree.leaves(equation.params["dimension_numbers"])
    return ranks == [2, 2] and numbers == [1, 0]


def all_in(order: Order, operands: Sequence[Value]) -> list[Any]:
    """Arrays with their dimensions in `order`, and scalars as they are."""
    return [operand.ordered(order) if operand.home else operand.plain() for operand in operands]


def keeps_dimensions(equation: Any) -> bool:
    """Whether operands and the one result have the same dimensions, but for scalars among the operands."""
    (result, *more), operands = equation.outvars, equation.invars
    return not more and {operand.aval.shape for operand in operands} - {()} == {result.aval.shape}


def can_move(equation: Any) -> bool:
    """Whether `moved` can compute an equation."""
    if equation.primitive.name in _REDUCING:
        return True
    ranks = {len(operand.aval.shape) for operand in equation.invars}
    return equation.primitive.name in ELEMENTWISE and len(ranks - {0}) == 1


def moved(equation: Any, operands: Sequence[Value], order: Order) -> Value:
    """The result of an equation that `can_move`, computed from operands whose dimensions are in `order`."""
    given = all_in(order, operands)
    if equation.primitive.name in ELEMENTWISE:
        return Value(equation.primitive.bind(*given, **equation.params), order)
    axes = tuple(order.index(axis) for axis in equation.params["axes"])
    left = [axis for axis in order if axis not in equation.params["axes"]]
    reduced = equation.primitive.bind(*given, **{**equation.params, "axes": axes})
    return Value(reduced, tuple(sorted(left).index(axis) for axis in left))
