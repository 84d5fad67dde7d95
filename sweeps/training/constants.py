"""What a user's functions bring along besides their arguments: arrays that they have read from a file, such as weights.

They are constants of a trace, because nothing of the trial leads to them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from sweeps.training import optimizers, traces
from sweeps.training.adapters.model import Model, abstract_key, abstract_values
from sweeps.training.lane_placeholder import within
from sweeps.training.losses import build_loss
from sweeps.training.metrics import build_metric
from sweeps.training.models import build_anew, build_model
from sweeps.training.pytrees import to_host
from sweeps.training.schedules import build_schedule

ROWS = 3


def of_model(
    use: str, arguments: Mapping[str, Any], input_shape: tuple[int, ...], outputs: int, input_dtype: Any
) -> str:
    """Twelve hexadecimal digits of the SHA-256 of a model's constants; see `build_model` for the arguments.

    "" where it has none, and where they are others each time that the model is made, as random ones are.
    """
    shape = (input_shape, outputs, input_dtype)
    found = _checksum(_of_model(build_model(use, arguments, *shape)))
    return found if not found or found == _checksum(_of_model(build_anew(use, arguments, *shape))) else ""


def of_loss(use: str, arguments: Mapping[str, Any], outputs: int, targets: Any) -> str:
    """The same of a loss, for targets of the shape and dtype of these."""
    return _steady(lambda: _of_rows(build_loss(use, arguments), outputs, targets))


def of_metric(use: str, outputs: int, targets: Any) -> str:
    """The same of a metric."""
    return _steady(lambda: _of_rows(build_metric(use), outputs, targets))


def of_schedule(use: str, arguments: Mapping[str, Any]) -> str:
    """The same of a schedule."""
    return _steady(lambda: traces.constants(jax.make_jaxpr(build_schedule(use, arguments))(_abstract())))


def of_optimizer(use: str, arguments: Mapping[str, Any]) -> str:
    """The same of an optimizer, in one update of small parameters."""

    def update(params: Any) -> Any:
        made = optimizers.build(use, arguments, lambda: jax.random.key(0))
        return made.update(params, made.init(params), params, value=jnp.float32(1))

    params = {name: _abstract(*shape) for name, shape in optimizers.SHAPES.items()}
    return _steady(lambda: traces.constants(jax.make_jaxpr(update)(params)))


def _of_model(model: Model) -> Iterable[Any]:
    def init(key: jax.Array, values: Any) -> Any:
        return within(values, model.init)(key)

    made = jax.make_jaxpr(init)(abstract_key(), abstract_values(model.numbers))
    return [*traces.constants(made), *model.constants]


def _of_rows(function: Callable[..., Any], outputs: int, targets: Any) -> Iterable[Any]:
    made = _abstract(ROWS, outputs), _abstract(ROWS, *targets.shape[1:], dtype=targets.dtype)
    return traces.constants(jax.make_jaxpr(function)(*made))


def _abstract(*shape: int, dtype: Any = jnp.float32) -> Any:
    return jax.ShapeDtypeStruct(shape, dtype)  # type: ignore[no-untyped-call]  # JAX leaves it untyped


def _steady(constants: Callable[[], Iterable[Any]]) -> str:
    """The checksum of constants; "" where they are others each time, or cannot be had."""
    try:
        found = _checksum(constants())
        return found if not found or found == _checksum(constants()) else ""
    except Exception:  # noqa: BLE001  (what a user's own function raises is told where it is checked)
        return ""


def _checksum(constants: Iterable[Any]) -> str:
    arrays = to_host(list(constants))
    if not arrays:
        return ""
    digest = hashlib.sha256()
    for array in arrays.values():
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:12]
