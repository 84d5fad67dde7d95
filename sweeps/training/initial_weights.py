"""What a trial's seed has no part in: initial weights that are the same in every trial, and models that change by call.

Both are read off traces. Weights that were loaded are meant to be the same, and so are those that an initializer with
a seed of its own draws; but a module that was made when its file was imported has them without anyone meaning it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, jaxprs_in_params

from sweeps.training import row_mixing, traces
from sweeps.training.adapters.model import Inputs, Model, abstract_key, abstract_values
from sweeps.training.lane_placeholder import within
from sweeps.training.models import build_anew
from sweeps.training.pytrees import named, on_host

_DRAWING = {"random_seed", "random_bits", "random_wrap", "rng_bit_generator", "rng_uniform", "threefry2x32"}
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def unseeded(model: Model) -> list[str]:
    """The weights that do not come of a trial's key, by name: numbers that differ, of a file or of another seed.

    Weights that are all one number, such as biases of 0, are no such.
    """
    closed = _initial(model)
    from_key, fixed = {closed.jaxpr.invars[0]}, set()
    for variable, value in zip(closed.jaxpr.constvars, closed.consts, strict=True):
        if _is_varied(value):
            fixed.add(variable)
    for equation in closed.jaxpr.eqns:
        given = {each for each in equation.invars if not hasattr(each, "val")}
        if given & from_key:
            from_key.update(equation.outvars)
        elif given & fixed or _draws(equation) or any(map(_is_varied, traces.constants_within(equation))):
            fixed.update(equation.outvars)
    weights = zip(named(model.shapes.params), closed.jaxpr.outvars, strict=False)  # the state follows
    return [name for name, variable in weights if not hasattr(variable, "val") and variable in fixed]


def is_another(model: Model, use: str, arguments: Mapping[str, Any], inputs: Inputs, outputs: int) -> bool:
    """Whether making this model again gives another one: other weights for the same key, or another computation."""
    again = build_anew(use, arguments, inputs.shape, outputs, inputs.dtype)
    return any(
        _text(one) != _text(other) or not _are_same(*(list(traces.constants(each)) for each in (one, other)))
        for one, other in ((_initial(model), _initial(again)), (_applied(model, inputs), _applied(again, inputs)))
    )


def _initial(model: Model) -> ClosedJaxpr:
    def init(key: jax.Array, values: Any) -> Any:
        return within(values, model.init)(key)

    return jax.make_jaxpr(init)(abstract_key(), abstract_values(model.numbers))


def _applied(model: Model, inputs: Inputs) -> ClosedJaxpr:
    def apply(values: Any, params: Any, state: Any, x: jax.Array, key: jax.Array) -> Any:
        return model.bound(values).apply(params, state, x, key, True)

    given = abstract_values(model.numbers), *model.shapes, inputs.rows(row_mixing.ROWS), abstract_key()
    return jax.make_jaxpr(apply)(*given)


def _text(closed: ClosedJaxpr) -> str:
    return _ADDRESS.sub("", str(closed.jaxpr))


def _are_same(some: list[Any], others: list[Any]) -> bool:
    arrays = zip(some, others, strict=True) if len(some) == len(others) else [(0, 1)]
    return all(np.array_equal(_plain(one), _plain(other)) for one, other in arrays)


def _is_varied(value: Any) -> bool:
    array = _plain(value)
    return array.size > 1 and bool((array != array.flat[0]).any())


def _plain(value: Any) -> np.ndarray:
    is_key = jax.numpy.issubdtype(getattr(value, "dtype", np.float32), jax.dtypes.prng_key)
    return on_host(jax.random.key_data(value) if is_key else value)


def _draws(equation: Any) -> bool:
    inside = (each for jaxpr in jaxprs_in_params(equation.params) for each in jaxpr.eqns)
    return equation.primitive.name in _DRAWING or any(map(_draws, inside))
