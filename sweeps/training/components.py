"""What losses, metrics, schedules and optimizers have in common: each is named by `use` and takes arguments."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sweeps import user_code
from sweeps.errors import ModelError
from sweeps.training.pytrees import on_host
from sweeps.user_code import locate, reason

QUICKLY = {"xla_backend_optimization_level": 0}
"""For what is computed once: it compiles sooner."""
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


def computed(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function gives that is compiled for this one call."""
    options = QUICKLY if jax.default_backend() == "cpu" else None
    with jax.default_matmul_precision("highest"):
        # Traced twice: code that keeps a tracer of the first trace, as a cache does, fails in the second.
        jax.eval_shape(functools.partial(function), *arguments)
        return jax.jit(function, compiler_options=options)(*arguments)


def close(left: Any, right: Any) -> bool:
    """Whether two trees have the same numbers, to rounding."""
    pairs = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    return all(_are_close(*(np.asarray(on_host(leaf), np.float32) for leaf in pair)) for pair in pairs)


def _are_close(left: np.ndarray, right: np.ndarray) -> bool:
    largest = np.abs(np.nan_to_num(right, posinf=0, neginf=0)).max(initial=0)
    return np.allclose(left, right, rtol=1e-3, atol=1e-5 * (1 + largest), equal_nan=True)
