"""Optimizers by their optax name, rebuilt inside the trace from a lane's values.

The rule: a numeric argument is a value of the lane wherever optax lets it be one; that is found out by tracing, never
declared. Every other argument is static and selects the program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from sweeps.errors import ModelError
from sweeps.training import components
from sweeps.training.components import is_number
from sweeps.user_code import parameters

OPTIMIZERS: Mapping[str, Callable[..., Any]] = {
    name: function
    for module in (optax.contrib, optax)
    for name, function in vars(module).items()
    if callable(function) and not name.startswith("_")
}
"""What optax has under a name. Some of it makes no optimizer, which shows when it is tried."""


def constructor(use: str) -> Callable[..., optax.GradientTransformation]:
    """What makes the optimizer called `use`: a function of optax or `optax.contrib`, or the user's own.

    Raises:
        ModelError: there is none of that name.
    """
    return components.find(use, OPTIMIZERS, f"optax {optax.__version__}")


def build(
    use: str, arguments: Mapping[str, Any], key: Callable[[], jax.Array]
) -> optax.GradientTransformationExtraArgs:
    """The optimizer with its arguments, some of which may be tracers. One that draws noise gets `key()`."""
    function = constructor(use)
    given = dict(arguments)
    if "key" in parameters(function) and not {"key", "seed"} & set(given):
        given["key"] = key()
    return optax.with_extra_args_support(function(**given))


def whole_arguments(use: str, arguments: Mapping[str, Any]) -> frozenset[str]:
    """The arguments that stay whole numbers as tracers: both the value and the optimizer's own default are whole."""
    taken = parameters(constructor(use))
    return frozenset(
        name
        for name, value in arguments.items()
        if name in taken and _is_whole(value) and _is_whole(taken[name].default)
    )


def traceable(use: str, arguments: Mapping[str, Any]) -> frozenset[str]:
    """Which of the numeric arguments may be tracers, whatever their values. Tried all at once, then one by one.

    Raises:
        ModelError: the optimizer cannot be built from these arguments at all.
    """
    kinds = {name: type(value) for name, value in arguments.items() if is_number(value)}
    static = {name: value for name, value in arguments.items() if name not in kinds}
    known = (use, frozenset(kinds.items()), frozenset(static.items()))
    if known not in _TRACEABLE:
        _TRACEABLE[known] = _find_traceable(use, arguments, set(kinds))
    return _TRACEABLE[known]


_TRACEABLE: dict[Any, frozenset[str]] = {}


def _find_traceable(use: str, arguments: Mapping[str, Any], numeric: set[str]) -> frozenset[str]:
    if _failure(use, arguments, numeric) is None:
        return frozenset(numeric)
    failure = _failure(use, arguments, set())
    if failure is not None:
        given = ", ".join(f"{name}={value}" for name, value in arguments.items())
        raise ModelError(f"optimizer {use}({given}) cannot be used: {_first_line(failure)}") from failure
    return frozenset(name for name in numeric if _failure(use, arguments, {name}) is None)


def _failure(use: str, arguments: Mapping[str, Any], traced: set[str]) -> Exception | None:
    """What goes wrong in one update of two small parameters with `traced` arguments as tracers; None if nothing."""

    def update(values: dict[str, jax.Array], params: dict[str, jax.Array], loss: jax.Array) -> Any:
        optimizer = build(use, {**arguments, **values}, lambda: jax.random.key(0))
        return optimizer.update(params, optimizer.init(params), params, value=loss)

    try:
        whole = whole_arguments(use, arguments)
        values = {name: _abstract(dtype=jnp.int32 if name in whole else jnp.float32) for name in sorted(traced)}
        jax.eval_shape(update, values, {"matrix": _abstract(2, 3), "vector": _abstract(3)}, _abstract())
    except Exception as error:  # noqa: BLE001  (whatever a third party's optimizer raises is the answer)
        return error
    return None


def _abstract(*shape: int, dtype: Any = jnp.float32) -> Any:
    return jax.ShapeDtypeStruct(shape, dtype)  # type: ignore[no-untyped-call]  # JAX leaves it untyped


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
