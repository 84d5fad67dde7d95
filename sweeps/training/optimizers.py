"""Optimizers by their optax name, rebuilt inside the trace from a lane's values.

The rule: a numeric argument is a value of the lane wherever optax lets it be one; that is found out by tracing, never
declared. Every other argument is static and selects the program.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from sweeps.errors import ModelError
from sweeps.locate import locate


def find_optimizer(use: str) -> Callable[..., optax.GradientTransformation]:
    """The optax function that `use` names (`optax.contrib` too), or `module:name` of the user's own.

    Raises:
        ModelError: there is none of that name.
    """
    if ":" in use:
        located: Callable[..., optax.GradientTransformation] = locate(use, ModelError)
        return located
    found = getattr(optax, use, None) or getattr(optax.contrib, use, None)
    if not callable(found):
        raise ModelError(f"optax {optax.__version__} has no optimizer {use!r}")
    function: Callable[..., optax.GradientTransformation] = found
    return function


def build(
    use: str, arguments: Mapping[str, Any], key: Callable[[], jax.Array]
) -> optax.GradientTransformationExtraArgs:
    """The optimizer with its arguments, some of which may be tracers. One that draws noise gets `key()`."""
    function = find_optimizer(use)
    parameters = inspect.signature(function).parameters
    converted = {name: _as_annotated(parameters.get(name), value) for name, value in arguments.items()}
    if "key" in parameters and not {"key", "seed"} & set(arguments):
        converted["key"] = key()
    return optax.with_extra_args_support(function(**converted))


@functools.cache
def traceable(use: str, arguments: tuple[tuple[str, Any], ...]) -> frozenset[str]:
    """Which of the numeric arguments may be tracers. Tried all at once, then one by one.

    Raises:
        ModelError: the optimizer cannot be built from these arguments at all.
    """
    numeric = {name for name, value in arguments if isinstance(value, int | float) and not isinstance(value, bool)}
    if _traces(use, dict(arguments), numeric) is None:
        return frozenset(numeric)
    failure = _traces(use, dict(arguments), set())
    if failure is not None:
        given = ", ".join(f"{name}={value}" for name, value in arguments)
        raise ModelError(f"optimizer {use}({given}) cannot be used: {_first_line(failure)}") from failure
    return frozenset(name for name in numeric if _traces(use, dict(arguments), {name}) is None)


def _traces(use: str, arguments: dict[str, Any], traced: set[str]) -> Exception | None:
    """Take one update of two small parameters with `traced` arguments as tracers; the exception, if that raised one."""
    params = {"matrix": jnp.zeros((2, 3)), "vector": jnp.zeros(3)}

    def update(values: dict[str, jax.Array]) -> Any:
        optimizer = build(use, {**arguments, **values}, lambda: jax.random.key(0))
        return optimizer.update(params, optimizer.init(params), params, value=jnp.float32(1))

    try:
        jax.eval_shape(update, {name: jnp.float32(arguments[name]) for name in sorted(traced)})
    except Exception as error:  # noqa: BLE001  (whatever a third party's optimizer raises is the answer)
        return error
    return None


def _as_annotated(parameter: inspect.Parameter | None, value: Any) -> Any:
    """Lane values are float32; an argument whose default is a whole number gets them back as int32."""
    wants_int = parameter is not None and isinstance(parameter.default, int) and not isinstance(parameter.default, bool)
    return value.astype(jnp.int32) if wants_int and isinstance(value, jax.core.Tracer) else value


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
