"""What losses, metrics, schedules and optimizers have in common: each is named by `use` and takes arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from sweeps import user_code
from sweeps.errors import ModelError
from sweeps.user_code import locate, reason

NOT_TRACED = (
    jax.errors.TracerArrayConversionError,
    jax.errors.ConcretizationTypeError,  # as of `float`, and of a condition
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)
"""What JAX raises of code that needs a number which only a running program has."""
COMPILED = (
    "it is compiled, so it must be written with jax.numpy: NumPy, scikit-learn, `if`, `float` and `int` need numbers "
    "that are known before"
)


def find(use: str, known: Mapping[str, Callable[..., Any]], lack: str = "sweeps has no") -> Callable[..., Any]:
    """The function that `use` names: one of those `known`, or the user's own as `module:name`.

    Raises:
        ModelError: there is none of that name; `lack` begins the message.
    """
    if use in known:
        return known[use]
    if ":" not in use:
        raise ModelError(f"{lack} {use!r}")
    located: Callable[..., Any] = locate(use, ModelError)
    return located


def failed(what: str, failure: BaseException) -> str:
    """As `user_code.failed`, in words of our own where code needs a number that only a running program has."""
    said = user_code.failed(what, failure)
    if not isinstance(failure, NOT_TRACED):
        return said
    return f"{said.removesuffix(reason(failure))}{COMPILED}"


def is_number(value: Any) -> bool:
    """Whether a value can differ from lane to lane, if what takes it lets it: true and false are no numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def traceable(call: Callable[[Mapping[str, Any]], Any], arguments: Mapping[str, Any]) -> frozenset[str]:
    """The numeric arguments with which `call(arguments)` can be traced, each tried as a float32 tracer by itself."""
    return frozenset(name for name, value in arguments.items() if is_number(value) and _takes(call, arguments, name))


def _takes(call: Callable[[Mapping[str, Any]], Any], arguments: Mapping[str, Any], name: str) -> bool:
    try:
        number = jax.ShapeDtypeStruct((), jnp.float32)  # type: ignore[no-untyped-call]  # JAX leaves it untyped
        jax.eval_shape(lambda value: call({**arguments, name: value}), number)
    except Exception:  # noqa: BLE001  (a user's own function may raise anything)
        return False
    return True
