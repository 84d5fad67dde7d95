"""Metrics: `metric(outputs, targets)` over a whole split at once, so that they are exact whatever the batch.

Outputs are `[rows, outputs]`; class targets int32 `[rows]`, others float32 `[rows]` or `[rows, outputs]`. The result
is a scalar. A metric of the user's own has the same signature.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp

from sweeps.errors import ModelError
from sweeps.locate import locate

Metric: TypeAlias = Callable[[jax.Array, jax.Array], jax.Array]


def accuracy(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """The fraction of rows whose highest output is the target's; with one output, whose sign says the class."""
    predicted = outputs[:, 0] > 0 if outputs.shape[-1] == 1 else outputs.argmax(axis=-1)
    return (predicted.astype(jnp.int32) == targets.reshape(len(outputs)).astype(jnp.int32)).mean(dtype=jnp.float32)


def mean_absolute_error(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """The absolute difference, averaged over rows and outputs."""
    return jnp.abs(outputs - targets.reshape(outputs.shape).astype(outputs.dtype)).mean()


METRICS: dict[str, Metric] = {"accuracy": accuracy, "mean_absolute_error": mean_absolute_error}


def find_metric(use: str) -> Metric:
    """The metric that `use` names, built in or `module:name`."""
    if use in METRICS:
        return METRICS[use]
    metric: Metric = locate(use, ModelError)
    return metric
