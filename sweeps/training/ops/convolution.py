"""Convolutions and pooling of any traceable function, rewritten so that they are fast inside a lane.

The result is the function's own to rounding, and a function without either is left as it is. On a CPU, XLA has fast
convolutions in a program's outermost computation only (jax issue 12868), and lanes train in a loop; under `vmap` a
kernel for each lane makes a grouped convolution. A matrix product has neither weakness.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, jaxpr_as_fun, jaxprs_in_params, primitives

from sweeps.training.ops import pooling, products

Code: TypeAlias = Any
"""A jaxpr or an equation of one, whose methods JAX leaves untyped."""


class _Rewriting(NamedTuple):
    """`function(*operands, parameters=…)` computes what a primitive does, where `takes(parameters)`."""

    function: Callable[..., jax.Array]
    takes: Callable[[Mapping[str, Any]], bool]


_REWRITTEN = {
    lax.conv_general_dilated_p: _Rewriting(products.convolution, lambda _: True),
    primitives.reduce_window_max_p: _Rewriting(pooling.pooled_max, pooling.can_slice),
    primitives.reduce_window_min_p: _Rewriting(pooling.pooled_min, pooling.can_slice),
    primitives.reduce_window_sum_p: _Rewriting(pooling.pooled_sum, pooling.can_sum),
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
        outputs = jaxpr_as_fun(_rewrite_closed(closed))(*jax.tree.leaves(traced))
        return jax.tree.unflatten(jax.tree.structure(shape), outputs)

    return rewritten


def has_products(closed: ClosedJaxpr) -> bool:
    """Whether there is anything in a traced function that `as_products` would replace."""
    return _holds(closed.jaxpr)


def _rewrite(jaxpr: Code) -> Code:
    """The same jaxpr, or one that differs in the equations that are, or hold, a convolution or pooling."""
    if not _holds(jaxpr):
        return jaxpr
    return jaxpr.replace(eqns=[_rewrite_equation(equation) for equation in jaxpr.eqns])


def _rewrite_equation(equation: Code) -> Code:
    if not _is_rewritten(equation):
        return equation.replace(params={name: _rewrite_parameter(value) for name, value in equation.params.items()})
    function = functools.partial(_REWRITTEN[equation.primitive].function, parameters=equation.params)
    # A function under `jit` is one equation, which takes the place of the one that there was.
    (call,) = jax.make_jaxpr(jax.jit(function))(*(operand.aval for operand in equation.invars)).eqns
    return equation.replace(primitive=call.primitive, params=call.params)


def _rewrite_parameter(value: Any) -> Any:
    if isinstance(value, Jaxpr):
        return _rewrite(value)
    if isinstance(value, ClosedJaxpr):
        return _rewrite_closed(value)
    if isinstance(value, tuple) and any(isinstance(each, ClosedJaxpr | Jaxpr) for each in value):
        return tuple(map(_rewrite_parameter, value))
    return value


def _rewrite_closed(closed: Code) -> Code:
    return closed.replace(jaxpr=_rewrite(closed.jaxpr))


def _holds(jaxpr: Code) -> bool:
    return any(
        _is_rewritten(equation) or any(map(_holds, jaxprs_in_params(equation.params))) for equation in jaxpr.eqns
    )


def _is_rewritten(equation: Code) -> bool:
    rewriting = _REWRITTEN.get(equation.primitive)
    if rewriting is None or any(each.aval.size == 0 for each in (*equation.invars, *equation.outvars)):
        return False
    return rewriting.takes(equation.params)
