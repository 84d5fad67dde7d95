"""Convolutions and pooling of any traceable function, rewritten so that they are fast inside a lane.

The result is the function's own to rounding, and a function without either is left as it is. On a CPU, XLA has fast
convolutions in a program's outermost computation only (jax issue 12868), and lanes train in a loop; under `vmap` a
kernel for each lane makes a grouped convolution. A matrix product has neither weakness.

On a CPU a convolution of images leaves its result with the rows of the batch last (`batch_last.py`). What follows and
computes each number by itself, or pools, or sums, goes on in that order, up to the first equation that cannot.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, jaxpr_as_fun, jaxprs_in_params, primitives

from sweeps.training.ops import batch_last, layouts, pooling, products
from sweeps.training.ops.layouts import Value

Code: TypeAlias = Any
"""A jaxpr or an equation of one, whose methods JAX leaves untyped."""


class _Pooling(NamedTuple):
    """`function(x, parameters)` computes what a primitive does, where `takes(parameters)`; so may `tiled` on a CPU."""

    function: Callable[[jax.Array, Mapping[str, Any]], jax.Array]
    takes: Callable[[Mapping[str, Any]], bool]
    tiled: Callable[[jax.Array, Mapping[str, Any]], jax.Array] | None = None


_POOLING = {
    primitives.reduce_window_max_p: _Pooling(pooling.pooled_max, pooling.can_slice, pooling.tiled_max),
    primitives.reduce_window_min_p: _Pooling(pooling.pooled_min, pooling.can_slice, pooling.tiled_min),
    primitives.reduce_window_sum_p: _Pooling(pooling.pooled_sum, pooling.can_sum),
}


def as_products(function: Callable[..., Any], static_argnums: Sequence[int] = ()) -> Callable[..., Any]:
    """`function` with slices and matrix products in the place of its convolutions and its pooling.

    Arguments and results are trees of arrays; arguments at `static_argnums` are hashable, and not traced. Convolutions
    inside `jit`, `scan`, `while_loop`, `cond` and `checkpoint` are found too. A derivative rule of the function's own
    (`custom_jvp`, `custom_vjp`) stays as it is, with the convolutions in it.

    >>> import jax.numpy as jnp
    >>> def blur(x):
    ...     return lax.conv(x, jnp.ones((1, 1, 3)) / 3, (1,), "SAME")
    >>> print(*(equation.primitive for equation in jax.make_jaxpr(blur)(jnp.ones((1, 1, 4))).eqns[-1:]))
    conv_general_dilated
    >>> as_products(blur)(jnp.array([[[3.0, 0.0, 0.0, 6.0]]])).tolist()
    [[[1.0, 1.0, 2.0, 2.0]]]
    """

    @functools.wraps(function)
    def rewritten(*arguments: Any) -> Any:
        # A new function each time: of one that it knows, JAX recalls the last trace, with tracers that it closed over.
        trace = jax.make_jaxpr(functools.partial(function), static_argnums=static_argnums, return_shape=True)
        closed, shape = trace(*arguments)
        traced = [argument for index, argument in enumerate(arguments) if index not in static_argnums]
        outputs = _rewritten(closed)(*jax.tree.leaves(traced))
        return jax.tree.unflatten(jax.tree.structure(shape), outputs)

    return rewritten


def has_products(closed: ClosedJaxpr) -> bool:
    """Whether there is anything in a traced function that `as_products` would replace."""
    return _holds(closed.jaxpr)


def _rewritten(closed: Code) -> Callable[..., list[Any]]:
    """What a jaxpr computes, as a function of flat arguments that is made to be traced."""
    if not _holds(closed.jaxpr):
        return jaxpr_as_fun(closed)  # type: ignore[no-any-return]

    def evaluated(*arguments: Any) -> list[Any]:
        return [value.plain() for value in _values(closed, list(map(Value, arguments)))]

    return evaluated


def _values(closed: Code, arguments: Sequence[Value]) -> list[Value]:
    jaxpr = closed.jaxpr
    known = dict(zip(jaxpr.constvars, map(Value, closed.consts), strict=True))
    known |= dict(zip(jaxpr.invars, arguments, strict=True))

    def read(variable: Code) -> Value:
        return Value(variable.val) if isinstance(variable, Literal) else known[variable]

    for equation in jaxpr.eqns:
        known |= dict(zip(equation.outvars, _computed(jaxpr, equation, list(map(read, equation.invars))), strict=True))
    return list(map(read, jaxpr.outvars))


def _computed(jaxpr: Code, equation: Code, operands: Sequence[Value]) -> list[Value]:
    """The results of one equation of a jaxpr."""
    name, parameters = equation.primitive.name, equation.params
    if _is_rewritten(equation):
        is_pooling = equation.primitive in _POOLING
        return [_pooled(equation, operands[0]) if is_pooling else _convolved(operands[0], operands[1], parameters)]
    moved = [operand.home for operand in operands if not operand.is_plain]
    if name == "broadcast_in_dim" and not equation.invars[0].aval.shape and len(operands) == 1:
        return [layouts.Spread(operands[0], parameters["shape"])]
    if name == "reshape" and moved and layouts.is_flat(equation, operands[0]):
        return [layouts.Flat(operands[0])]
    if name == "dot_general" and isinstance(operands[0], layouts.Flat) and layouts.is_plain_product(equation):
        return [operands[0].times(operands[1].plain(), parameters)]
    if name == "jit" and (moved or _holds(parameters["jaxpr"].jaxpr)):
        return _values(parameters["jaxpr"], operands)
    if moved and layouts.can_move(equation):
        return [layouts.moved(equation, operands, moved[0])]
    if moved and name == "custom_jvp_call" and layouts.keeps_dimensions(equation):
        return [_with_own_derivative(jaxpr, equation, operands, moved[0])]
    return list(map(Value, _alone(jaxpr, equation)(*(operand.plain() for operand in operands))))


def _alone(jaxpr: Code, equation: Code) -> Callable[..., list[Any]]:
    """One equation of a jaxpr as a function of its operands; what stands inside of it is rewritten."""
    inner = equation.replace(params={key: _rewrite_parameter(value) for key, value in equation.params.items()})
    places = [place for place, each in enumerate(inner.invars) if not isinstance(each, Literal)]
    variables = [inner.invars[place] for place in places]
    function = jaxpr_as_fun(
        ClosedJaxpr(jaxpr.replace(constvars=[], invars=variables, outvars=inner.outvars, eqns=[inner]), ())
    )
    return lambda *operands: function(*(operands[place] for place in places))


def _with_own_derivative(jaxpr: Code, equation: Code, operands: Sequence[Value], order: batch_last.Order) -> Value:
    """The result of a function that says its derivative (`jax.nn.relu`), in `order`, and so is the derivative."""
    as_it_is = _alone(jaxpr, equation)

    def ordered(closed: Code, arguments: Sequence[Any]) -> list[Any]:
        values = [Value(each, order if each.ndim else ()) for each in arguments]
        return [value.ordered(order) for value in _values(closed, values)]

    @jax.custom_jvp
    def function(*arguments: Any) -> Any:
        return ordered(equation.params["call_jaxpr"], arguments)[0]

    @function.defjvp
    def _(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        shapes = [each.aval for each in equation.invars]
        closed = jax.make_jaxpr(lambda *both: jax.jvp(lambda *x: as_it_is(*x)[0], *both))(shapes, shapes)
        result, slope = ordered(closed, [*primals, *tangents])
        return result, slope

    return Value(function(*layouts.all_in(order, operands)), order)


def _convolved(x: Value, kernel: Value, parameters: Mapping[str, Any]) -> Value:
    if not batch_last.suits(x.plain(), kernel.plain(), parameters):
        return Value(products.convolution(x.plain(), kernel.plain(), parameters))
    lhs, _, out = parameters["dimension_numbers"]
    y = batch_last.convolution(x.ordered(batch_last.order_of(lhs)), kernel.plain(), parameters)
    return Value(y, batch_last.order_of(out))


def _pooled(equation: Code, x: Value) -> Value:
    """Pooled in the order that it has."""
    parameters = {name: tuple(values[axis] for axis in x.home) for name, values in equation.params.items()}
    way = _POOLING[equation.primitive]
    can_tile = pooling.lie_side_by_side(parameters) and jnp.issubdtype(x.dtype, jnp.inexact)
    pooled = way.tiled if way.tiled and can_tile and not x.is_plain else way.function
    return Value(pooled(x.ordered(x.home), parameters), x.home)


def _rewrite_parameter(value: Any) -> Any:
    if isinstance(value, ClosedJaxpr) and _holds(value.jaxpr):
        return jax.make_jaxpr(jax.jit(_rewritten(value)))(*value.in_avals)
    if isinstance(value, Jaxpr) and _holds(value):
        return _rewrite_parameter(ClosedJaxpr(value, ())).jaxpr
    if isinstance(value, tuple) and any(isinstance(each, ClosedJaxpr | Jaxpr) for each in value):
        return tuple(map(_rewrite_parameter, value))
    return value


def _holds(jaxpr: Code) -> bool:
    return any(
        _is_rewritten(equation) or any(map(_holds, jaxprs_in_params(equation.params))) for equation in jaxpr.eqns
    )


def _is_rewritten(equation: Code) -> bool:
    if any(each.aval.size == 0 for each in (*equation.invars, *equation.outvars) if hasattr(each.aval, "size")):
        return False
    if equation.primitive is lax.conv_general_dilated_p:
        return True
    return equation.primitive in _POOLING and _POOLING[equation.primitive].takes(equation.params)
