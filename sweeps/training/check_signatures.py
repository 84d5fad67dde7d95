"""Whether a loss and the metrics take a model's outputs and the data's targets: they are traced on two rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from sweeps.config.names import TOP
from sweeps.errors import ModelError
from sweeps.training.components import failed
from sweeps.training.losses import build_loss
from sweeps.training.metrics import OF_CLASSES, build_metric
from sweeps.training.schedules import build_schedule

ROWS = 2


def check_loss(use: str, outputs: int, targets: Any, arguments: Mapping[str, Any] | None = None) -> None:
    """Targets are an array of shape `[rows]` or `[rows, outputs]`, of which only shape and dtype count.

    Raises:
        ModelError: there is no such loss, it raises, or it does not give one number a row.
    """
    _check(f"loss {use}", build_loss(use, arguments or {}), outputs, targets, (ROWS,))


def check_metric(use: str, outputs: int, targets: Any) -> None:
    """As `check_loss`, for a metric, which gives one number over all rows.

    Raises:
        ModelError: there is no such metric, it raises, or it does not give one number.
    """
    width = math.prod(targets.shape[1:])
    if (use in OF_CLASSES or use == "auc" or TOP.fullmatch(use)) and width != 1:
        raise ModelError(f"metric {use} needs one class label a row, but a row of the targets has {width} numbers")
    _check(f"metric {use}", build_metric(use), outputs, targets, ())


def check_schedule(use: str, arguments: Mapping[str, Any]) -> None:
    """Whether a schedule of one's own takes progress and its arguments, and gives one number.

    Raises:
        ModelError: there is no such schedule, it raises, or it does not give one number.
    """
    try:
        made = jax.eval_shape(lambda: jnp.asarray(build_schedule(use, arguments)(jnp.zeros(()))))
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(failed(f"schedule {use}", error)) from error
    if made.shape != ():
        raise ModelError(f"schedule {use} must give one number, but got shape {made.shape}")


def _check(what: str, function: Callable[..., Any], outputs: int, targets: Any, shape: tuple[int, ...]) -> None:

    def trace() -> Any:
        return function(jnp.zeros((ROWS, outputs)), jnp.zeros((ROWS, *targets.shape[1:]), targets.dtype))

    try:
        made = jax.eval_shape(trace)
    except Exception as error:
        fit = f"{what} does not take outputs of shape [rows, {outputs}] with targets {_words(targets)}"
        raise ModelError(failed(fit, error).replace(" failed", "", 1)) from error
    if getattr(made, "shape", None) != shape:
        raise ModelError(f"{what} must give {'one number a row' if shape else 'one number'}, but got {_given(made)}")


def _given(made: Any) -> str:
    if not hasattr(made, "shape"):
        return f"no array but {type(made).__name__}"
    if made.shape == ():
        return "one number for all of them: leave out its mean, which the sweep takes"
    hint = ": take the mean of it" if made.shape == (ROWS,) else ""
    return f"shape {tuple('rows' if size == ROWS else size for size in made.shape)}{hint}"


def _words(targets: Any) -> str:
    return f"of shape {['rows', *targets.shape[1:]]} ({targets.dtype})".replace("'", "")
