"""A metric that takes its time, and none of the processor's, so that a sweep lasts as long as a test needs it to.

Configs name it `crash.pace:waited`; PACE_SECONDS in the environment says how long it takes in each epoch. In a job that
Slurm has begun again it takes no time: what was to happen to the sweep has happened.
"""

from __future__ import annotations

import os
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def waited(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """The mean size of the outputs."""

    def wait(value: Any) -> np.ndarray:
        time.sleep(0.0 if "SLURM_RESTART_COUNT" in os.environ else float(os.environ.get("PACE_SECONDS", "0")))
        return np.asarray(value, np.float32)

    mean: jax.Array = jax.pure_callback(wait, jax.ShapeDtypeStruct((), jnp.float32), jnp.abs(outputs).mean())
    return mean


SWEEP = """\
name: paced
dataset: {use: linear_regression, rows: 200, features: 3}
model: {use: "models.linear:Linear"}
loss: mean_squared_error
metrics: ["crash.pace:waited"]
optimizer: {use: sgd}
search_space:
  epochs: {type: int, low: 2, high: 9}
  batch_size: 20
  learning_rate: {type: float, low: 0.001, high: 0.05, log: true}
objective: {metric: valid_loss, direction: minimize}
sampler: {use: random}
budget: {trials: 20}
lanes: 1
"""
"""About 120 epochs, one after the other."""
