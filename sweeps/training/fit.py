"""Whether a loss and the metrics take a model's outputs and the data's targets: they are traced on two rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from sweeps.errors import ModelError
from sweeps.locate import failed
from sweeps.training.losses import find_loss
from sweeps.training.metrics import find_metric

ROWS = 2


def check_loss(use: str, outputs: int, targets: Any) -> None:
    """Targets are an array of shape `[rows]` or `[rows, outputs]`, of which only shape and dtype count.

    Raises:
        ModelError: there is no such loss, it raises, or it does not give one number a row.
    """
    _check(f"loss {use}", find_loss(use), outputs, targets, (ROWS,))


def check_metric(use: str, outputs: int, targets: Any) -> None:
    """As `check_loss`, for a metric, which gives one number over all rows.

    Raises:
        ModelError: there is no such metric, it raises, or it does not give one number.
    """
    _check(f"metric {use}", find_metric(use), outputs, targets, ())


def _check(what: str, function: Callable[..., Any], outputs: int, targets: Any, shape: tuple[int, ...]) -> None:

    def trace() -> Any:
        return function(jnp.zeros((ROWS, outputs)), jnp.zeros((ROWS, *targets.shape[1:]), targets.dtype))

    try:
        made = jax.eval_shape(trace)
    except Exception as error:
        fit = f"{what} does not take outputs of shape [rows, {outputs}] with targets {_words(targets)}"
        raise ModelError(failed(fit, error).replace(" failed", "", 1)) from error
    if getattr(made, "shape", None) != shape:
        wanted = "one number a row" if shape else "one number"
        got = f"shape {('rows', *made.shape[1:])}" if getattr(made, "shape", ()) else type(made).__name__
        raise ModelError(f"{what} must give {wanted}, but got {got}")


def _words(targets: Any) -> str:
    return f"of shape {['rows', *targets.shape[1:]]} ({targets.dtype})".replace("'", "")
