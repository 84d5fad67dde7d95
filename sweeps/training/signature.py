"""What selects a program: the choices of a trial that change shapes or Python control flow.

The rule: the split is derived. A numeric optimizer argument that optax can trace is a value of the lane; every other
argument is part of the signature.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from sweeps.config import Component
from sweeps.config.space import Trial
from sweeps.datasets.base import Dataset
from sweeps.training import losses, metrics, optimizers
from sweeps.training.lane import LaneProgram
from sweeps.training.microbatch import Ladder
from sweeps.training.models import build_model

Arguments = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Signature:
    """Two trials of equal signature ride in lanes of one program."""

    dataset: tuple[str, Arguments]
    model: tuple[str, Arguments]
    loss: str
    metrics: tuple[str, ...]
    optimizer: tuple[str, Arguments]
    float_names: tuple[str, ...]
    whole_names: frozenset[str]  # those that the optimizer takes as whole numbers
    ladder: Ladder


def sign(trial: Trial, metric_names: tuple[str, ...], ladder: Ladder) -> tuple[Signature, tuple[float, ...]]:
    """A trial's signature, with the micro-batch sizes that its batches are taken in; its values as in `float_names`.

    Raises:
        ModelError: the optimizer cannot be built from the trial's arguments.
    """
    arguments = optimizer_arguments(trial.optimizer, trial.learning_rate)
    names = optimizers.traceable(trial.optimizer.use, arguments)
    static = tuple(sorted((name, value) for name, value in arguments.items() if name not in names))
    signature = Signature(
        dataset=frozen(trial.dataset),
        model=frozen(trial.model),
        loss=trial.loss.use,
        metrics=metric_names,
        optimizer=(trial.optimizer.use, static),
        float_names=tuple(sorted(names)),
        whole_names=names & optimizers.whole_arguments(trial.optimizer.use, arguments),
        ladder=ladder,
    )
    return signature, tuple(float(arguments[name]) for name in signature.float_names)


def optimizer_arguments(optimizer: Component, learning_rate: float | None) -> dict[str, Any]:
    """The optimizer's arguments with the learning rate among them, where there is one."""
    rate = {} if learning_rate is None else {"learning_rate": learning_rate}
    return {**optimizer.arguments, **rate}


def frozen(component: Component) -> tuple[str, Arguments]:
    return component.use, tuple(sorted(component.arguments.items()))


def lane_program(signature: Signature, dataset: Dataset, chunk_rows: int) -> LaneProgram:
    """The pure functions of a lane of this signature, on data like `dataset`.

    Raises:
        DataError: the loss does not take the targets.
        ModelError: the model, the loss or a metric cannot be found or built.
    """
    use, static = signature.optimizer

    def build_optimizer(floats: Mapping[str, Any], key: Callable[[], Any]) -> Any:
        values = {
            name: value.astype(jnp.int32) if name in signature.whole_names else value for name, value in floats.items()
        }
        return optimizers.build(use, {**dict(static), **values}, key)

    model, arguments = signature.model
    outputs = losses.outputs_needed(signature.loss, dataset)
    return LaneProgram(
        model=build_model(model, dict(arguments), dataset.input_shape, outputs, dataset.input_dtype),
        loss=losses.find_loss(signature.loss),
        metrics=tuple(metrics.find_metric(metric) for metric in signature.metrics),
        build_optimizer=build_optimizer,
        float_names=signature.float_names,
        rows=dataset.train.rows,
        chunk_rows=chunk_rows,
    )
