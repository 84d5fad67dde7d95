"""Which numbers of a config can be tracers. The rule: found out by tracing, never declared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp


def is_number(value: Any) -> bool:
    """Whether an argument may ride in a lane, if what takes it lets it: true and false are no numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def traceable(call: Callable[[Mapping[str, Any]], Any], arguments: Mapping[str, Any]) -> frozenset[str]:
    """The numeric arguments with which, as float32 tracers one at a time, `call(arguments)` can be traced."""
    return frozenset(name for name, value in arguments.items() if is_number(value) and _takes(call, arguments, name))


def _takes(call: Callable[[Mapping[str, Any]], Any], arguments: Mapping[str, Any], name: str) -> bool:
    try:
        number = jax.ShapeDtypeStruct((), jnp.float32)  # type: ignore[no-untyped-call]  # JAX leaves it untyped
        jax.eval_shape(lambda value: call({**arguments, name: value}), number)
    except Exception:  # noqa: BLE001  (whatever a user's own function raises is the answer)
        return False
    return True
