"""What a trace shows of a function: how its output is computed, and which arrays it brings along."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jax.extend.core import ClosedJaxpr, jaxprs_in_params

_PASSING = {"broadcast_in_dim", "convert_element_type", "copy", "reshape", "squeeze", "stop_gradient", "transpose"}


def ending(closed: ClosedJaxpr) -> str:
    """How the first output is computed: "softmax", "sigmoid" or "linear"; "" where it is something else.

    >>> import jax, jax.numpy as jnp
    >>> layer = lambda x: x @ jnp.ones((3, 2)) + jnp.ones((1, 2))
    >>> functions = layer, lambda x: jax.nn.softmax(layer(x)), lambda x: jax.nn.sigmoid(layer(x)), jax.nn.relu
    >>> [ending(jax.make_jaxpr(function)(jnp.zeros((5, 3)))) for function in functions]
    ['linear', 'softmax', 'sigmoid', '']
    """
    return _of(closed.jaxpr, 0)


def constants(closed: ClosedJaxpr) -> Iterator[Any]:
    """The arrays that are part of a trace, those of jitted functions within it too.

    >>> import jax, jax.numpy as jnp, numpy as np
    >>> table = np.arange(3, dtype=np.float32)
    >>> trace = jax.make_jaxpr(lambda x: x + table + jax.jit(lambda y: y * table)(x))(jnp.zeros(3))
    >>> len(list(constants(trace)))
    2
    """
    yield from closed.consts
    for equation in closed.jaxpr.eqns:
        yield from constants_within(equation)


def constants_within(equation: Any) -> Iterator[Any]:
    """The same of the functions that an equation calls."""
    for given in equation.params.values():
        for each in given if isinstance(given, tuple | list) else (given,):
            if isinstance(each, ClosedJaxpr):
                yield from constants(each)


def _of(jaxpr: Any, place: int) -> str:
    makers = {variable: equation for equation in jaxpr.eqns for variable in equation.outvars}
    variable = jaxpr.outvars[place]
    maker = _maker(makers, variable)
    if maker is None:
        return ""
    name = maker.primitive.name
    if name == "logistic":
        return "sigmoid"
    if name == "div":
        return "softmax" if _is(makers, maker.invars[0], "exp") else ""
    if name == "dot_general" or (name == "add" and any(_is(makers, each, "dot_general") for each in maker.invars)):
        return "linear"
    inside = next(iter(jaxprs_in_params(maker.params)), None)
    is_call = inside is not None and len(inside.outvars) == len(maker.outvars)
    return _of(inside, _place(makers, maker, variable)) if is_call else ""


def _maker(makers: Mapping[Any, Any], variable: Any) -> Any:
    """The equation that computes a variable, behind those that only give it another shape or type."""
    while not hasattr(variable, "val") and (maker := makers.get(variable)) is not None:
        if maker.primitive.name not in _PASSING:
            return maker
        variable = maker.invars[0]
    return None


def _is(makers: Mapping[Any, Any], variable: Any, primitive: str) -> bool:
    maker = _maker(makers, variable)
    return maker is not None and maker.primitive.name == primitive


def _place(makers: Mapping[Any, Any], maker: Any, variable: Any) -> int:
    """Which of an equation's outputs a variable comes of."""
    while makers[variable] is not maker:
        variable = makers[variable].invars[0]
    return list(maker.outvars).index(variable)
