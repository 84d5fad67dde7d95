"""Whether a model mixes the rows of a batch, as batch normalisation does: then a batch cannot be split, nor padded.

A model counts as keeping rows apart only where its trace proves it, which costs nothing, or where a changed row has
been tried, and changed no other row's outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, jaxprs_in_params

from sweeps.training.adapters.model import Inputs, Model
from sweeps.training.ops.layouts import ELEMENTWISE

ROWS = 1009
"""Rows of the traced batch: a prime, so that an axis whose size it divides is one of rows, and no other."""

Code: TypeAlias = Any
"""A jaxpr or an equation of one, whose methods JAX leaves untyped."""

_ELEMENTWISE = ELEMENTWISE | {
    *("random_bits", "random_fold_in", "random_split", "random_unwrap", "random_wrap"),
}
_MOVING = {"broadcast_in_dim", "expand_dims", "squeeze", "transpose"}
_HOLDING = {"checkpoint", "closed_call", "cond", "custom_jvp_call", "custom_vjp_call", "jit", "remat2", "while"}
"""Primitives that only hold functions, which are looked into."""
_ALONG = ("axes", "axis", "dimension", "dimensions")
"""How primitives call the axes that they reduce, accumulate, sort, reverse, split or join."""


def are_apart(closed: ClosedJaxpr) -> bool:
    """Whether the trace of a function proves that none of `ROWS` rows has an influence on another.

    >>> x = jnp.zeros((ROWS, 3))
    >>> [are_apart(jax.make_jaxpr(f)(x)) for f in (lambda x: x - x.mean(1)[:, None], lambda x: x - x.mean(0)[None])]
    [True, False]
    """
    return _all_apart(closed.jaxpr)


def influence_each_other(model: Model, inputs: Inputs) -> bool:
    """Whether a change of one row changes another row's outputs, tried with parameters drawn at random."""

    def others(change: float, values: Mapping[str, jax.Array]) -> jax.Array:
        """The outputs of all rows but the first, which is what `change` says."""
        params, state = jax.tree.map(_drawn, tuple(model.shapes))
        x = (2 * _uniform((3, *inputs.shape))).at[0].set(change).astype(inputs.dtype)
        return model.bound(values).apply(params, state, x, jax.random.key(0), True)[0][1:]

    most = (
        1.0 if jnp.issubdtype(inputs.dtype, jnp.integer) else 9.0
    )  # a word that any vocabulary has; more than any other number
    middle = {number.name: jnp.float32((number.low + number.high) / 2) for number in model.numbers}
    left, right = jax.jit(lambda values: (others(0.0, values), others(most, values)))(middle)
    return not bool(jnp.array_equal(left, right, equal_nan=True))


def _drawn(leaf: Any) -> jax.Array:
    """Positive numbers, so that neither a zero nor a rectifier hides an influence."""
    if not jnp.issubdtype(leaf.dtype, jnp.floating):
        return jnp.zeros(leaf.shape, leaf.dtype)
    return (0.05 + 0.45 * _uniform(leaf.shape)).astype(leaf.dtype)


def _uniform(shape: tuple[int, ...]) -> jax.Array:
    return jax.random.uniform(jax.random.key(math.prod(shape)), shape)


def _all_apart(jaxpr: Code) -> bool:
    """Whether every equation keeps rows apart; by induction, their composition does.

    An axis of rows is known by its size alone: it is a multiple of `ROWS`, a prime that no other axis has a reason to
    be. So nothing has to be followed from equation to equation, through reshapes, transposes and calls. What this
    cannot see makes the answer False, never True: a primitive that no rule knows counts as mixing.
    """
    return all(map(_is_apart, jaxpr.eqns))


def _is_apart(equation: Code) -> bool:
    if not any(map(_row_axes, equation.invars)):
        return True
    name, parameters = equation.primitive.name, equation.params
    if name in _ELEMENTWISE | _MOVING:
        return True
    if name in _HOLDING:
        return all(map(_all_apart, jaxprs_in_params(parameters)))
    if name in _RULES:
        return _RULES[name](equation)
    along = {axis for key in _ALONG if key in parameters for axis in _tuple(parameters[key])}
    return bool(along) and not any(along & _row_axes(operand) for operand in equation.invars)


def _row_axes(operand: Code) -> set[int]:
    return {axis for axis, size in enumerate(_shape(operand)) if size and size % ROWS == 0}


def _shape(operand: Code) -> Sequence[int]:
    return getattr(operand.aval, "shape", ())


def _tuple(axes: Any) -> tuple[int, ...]:
    return axes if isinstance(axes, tuple) else (axes,)


def _product(equation: Code) -> bool:
    contracted, _ = equation.params["dimension_numbers"]
    return not any(set(axes) & _row_axes(operand) for axes, operand in zip(contracted, equation.invars, strict=True))


def _convolution(equation: Code) -> bool:
    inputs, kernel = equation.invars
    batch = equation.params["dimension_numbers"].lhs_spec[0]
    is_plain = equation.params["batch_group_count"] == 1 and not _row_axes(kernel)
    return is_plain and _row_axes(inputs) <= {batch}


def _reshape(equation: Code) -> bool:
    """Rows must stay the slowest of the axes that they are joined with: as many elements must be before each."""
    before = [
        {math.prod(_shape(each)[:axis]) for axis in _row_axes(each)}
        for each in (equation.invars[0], equation.outvars[0])
    ]
    return before[0] == before[1]


def _cut(equation: Code) -> bool:
    """Of slices and padding, which keep the order of axes: every axis of rows stays whole."""
    operand, made = equation.invars[0], equation.outvars[0]
    is_whole = all(_shape(operand)[axis] == _shape(made)[axis] for axis in _row_axes(operand))
    shifts = equation.params.get("padding_config") or ()
    return is_whole and not any(any(shifts[axis]) for axis in _row_axes(operand) if shifts)


def _update(equation: Code) -> bool:
    operand, update = equation.invars[:2]
    rows = _row_axes(operand) | _row_axes(update)
    return all(_shape(operand)[axis] == _shape(update)[axis] for axis in rows)


def _gather(equation: Code) -> bool:
    """Rows of a table by an index of each row, or entries of each row."""
    operand, numbers, sizes = equation.invars[0], equation.params["dimension_numbers"], equation.params["slice_sizes"]
    whole = {axis for axis, size in enumerate(_shape(operand)) if sizes[axis] == size}
    return _row_axes(operand) <= whole | set(numbers.operand_batching_dims)


def _windows(equation: Code) -> bool:
    parameters = equation.params
    sizes, padding = parameters["window_dimensions"], parameters["padding"]
    strides, rows = parameters["window_strides"], _row_axes(equation.invars[0])
    return all(sizes[axis] == strides[axis] == 1 and not any(padding[axis]) for axis in rows)


def _scan(equation: Code) -> bool:
    scanned = equation.invars[equation.params["num_consts"] + equation.params["num_carry"] :]
    return not any(0 in _row_axes(each) for each in scanned) and all(map(_all_apart, jaxprs_in_params(equation.params)))


_RULES: dict[str, Callable[[Code], bool]] = {
    "dot_general": _product,
    "conv_general_dilated": _convolution,
    "reshape": _reshape,
    "slice": _cut,
    "dynamic_slice": _cut,
    "pad": _cut,
    "dynamic_update_slice": _update,
    "gather": _gather,
    "reduce_window_max": _windows,
    "reduce_window_min": _windows,
    "reduce_window_sum": _windows,
    "reduce_window": _windows,
    "scan": _scan,
}
