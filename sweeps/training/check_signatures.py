"""Whether a loss and the metrics take a model's outputs and the data's targets: they are traced on two rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sweeps.config.names import TOP
from sweeps.errors import ModelError
from sweeps.training.components import close, failed
from sweeps.training.losses import build_loss
from sweeps.training.metrics import OF_CLASSES, build_metric
from sweeps.training.schedules import build_schedule

ROWS = 2


def check_loss(use: str, outputs: int, targets: Any, arguments: Mapping[str, Any] | None = None) -> None:
    """Targets are an array of shape `[rows]` or `[rows, outputs]`, of which only shape and dtype count.

    Raises:
        ModelError: there is no such loss, it raises, or it does not give one number a row, of this row alone.
    """
    loss = build_loss(use, arguments or {})
    _check(f"loss {use}", loss, outputs, targets, is_a_row=True)
    if ":" in use and _mixes_rows(loss, outputs, targets):
        advice = "Outputs are [rows, outputs]: take `outputs[:, 0]` where targets are [rows]"
        raise ModelError(f"loss {use} must give a row's loss by this row alone, but it changes with others. {advice}")


def _mixes_rows(loss: Callable[..., Any], outputs: int, targets: Any) -> bool:
    """Whether the loss of a row changes with the targets and outputs of others, as where shapes are broadcast."""
    shape = (ROWS + 1, *targets.shape[1:])
    made = jnp.linspace(0.1, 0.9, (ROWS + 1) * outputs).reshape(ROWS + 1, outputs)
    given = jnp.zeros(shape, targets.dtype)
    try:
        one = loss(made, given)
        # Others larger, and smaller: where rows are sorted, only one of them changes a row.
        changed = [loss(made.at[1:].add(change), given.at[1:].set(1)) for change in (0.5, -0.5)]
    except Exception:  # noqa: BLE001  (of numbers that a user's own function does not take)
        return False
    finite = [other[0] for other in changed if jnp.isfinite(one[0]) and jnp.isfinite(other[0])]
    return not all(close(one[0], other) for other in finite)


def check_metric(use: str, outputs: int, targets: Any) -> None:
    """As `check_loss`, for a metric, which gives one number over all rows.

    Raises:
        ModelError: there is no such metric, it raises, or it does not give one number.
    """
    width = math.prod(targets.shape[1:])
    if (use in OF_CLASSES or use == "auc" or TOP.fullmatch(use)) and width != 1:
        raise ModelError(f"metric {use} needs one class label a row, but a row of the targets has {width} numbers")
    if use in OF_CLASSES or use == "auc":
        _check_labels(use, outputs, np.asarray(targets))
    _check(f"metric {use}", build_metric(use), outputs, targets, is_a_row=False)


def _check_labels(use: str, outputs: int, targets: np.ndarray) -> None:
    low, high = targets.min(), targets.max()
    instead = "For numbers there are mean_absolute_error, mean_squared_error and r2"
    if (targets != np.floor(targets)).any():
        raise ModelError(f"metric {use} needs class labels (whole numbers), but the targets are fractional. {instead}")
    if outputs == 1 and (low < 0 or high > 1):
        told = f"metric {use} of one output needs targets of 0 and 1, but they are {low:g} to {high:g}"
        raise ModelError(f"{told}. {instead}")


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


def _check(what: str, function: Callable[..., Any], outputs: int, targets: Any, *, is_a_row: bool) -> None:
    rows = ROWS if outputs != ROWS else ROWS + 1  # else a row would pass for an output

    def trace() -> Any:
        return function(jnp.zeros((rows, outputs)), jnp.zeros((rows, *targets.shape[1:]), targets.dtype))

    try:
        made = jax.eval_shape(trace)
    except Exception as error:
        fit = f"{what} does not take outputs of shape [rows, {outputs}] with targets {_words(targets)}"
        raise ModelError(failed(fit, error).replace(" failed", "", 1)) from error
    if getattr(made, "shape", None) != ((rows,) if is_a_row else ()):
        wanted = "one number a row" if is_a_row else "one number"
        raise ModelError(f"{what} must give {wanted}, but got {_given(made, rows)}")
    if is_a_row and not jnp.issubdtype(made.dtype, jnp.floating):
        raise ModelError(f"{what} must give floats, to be learnt by, but gives {made.dtype}")


def _given(made: Any, rows: int) -> str:
    if not hasattr(made, "shape"):
        return f"no array but {type(made).__name__}"
    if made.shape == ():
        return "one number for all of them: leave out its mean, which the sweep takes"
    hint = ": take the mean of it" if made.shape == (rows,) else ""
    return f"shape {tuple('rows' if size == rows else size for size in made.shape)}{hint}"


def _words(targets: Any) -> str:
    return f"of shape {['rows', *targets.shape[1:]]} ({targets.dtype})".replace("'", "")
