"""What selects a program: the choices of a trial that change shapes or Python control flow.

A numeric argument of the optimizer, the loss, the schedule or the model that can be
traced is a value of the lane; every other argument is part of the program key.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import jax.numpy as jnp
import optax

from sweeps.config import Component
from sweeps.config.space import Trial
from sweeps.datasets.dataset import Dataset
from sweeps.errors import ModelError
from sweeps.training import losses, metrics, optimizers, schedules
from sweeps.training.lane import LaneProgram
from sweeps.training.lane_placeholder import LanePlaceholder
from sweeps.training.microbatch import MicroBatches
from sweeps.training.models import build_model

Arguments = tuple[tuple[str, Any], ...]
EPOCHS = "schedule.epochs"
"""A lane's number of epochs, which only a schedule needs on the device."""
CONSTANT = Component(use="constant")
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class ProgramKey:
    """The static choices of a trial. Two trials of equal program key train in lanes of one program."""

    dataset: tuple[str, Arguments]
    model: tuple[str, Arguments]  # numbers of a lane are `LanePlaceholder`s
    loss: tuple[str, Arguments]
    metrics: tuple[str, ...]
    optimizer: tuple[str, Arguments]
    schedule: tuple[str, Arguments]
    float_names: tuple[str, ...]  # an argument of the optimizer by its own name, others as `model.dropout`
    whole_names: frozenset[str]  # those that the optimizer takes as whole numbers
    micro_batches: MicroBatches


def sign(
    trial: Trial,
    metric_names: tuple[str, ...],
    micro_batches: MicroBatches,
    of_model: Mapping[str, LanePlaceholder] = NOTHING,
    of_optimizer: Mapping[str, LanePlaceholder] = NOTHING,
) -> tuple[ProgramKey, tuple[float, ...]]:
    """What of a trial selects its program, and what are values of its lane.

    Args:
        trial: Its choices, with every default filled in.
        metric_names: Those of the config.
        micro_batches: The sizes that its batches are taken in.
        of_model: The arguments of the model that are values of a lane.
        of_optimizer: Those of the optimizer that are, though no tracer may stand for them.

    Returns:
        The program key, and the values in the order of its `float_names`.

    Raises:
        ModelError: the optimizer cannot be built from the trial's arguments, or takes no schedule.
    """
    arguments = optimizers.with_rate(trial.optimizer.arguments, trial.learning_rate)
    traced = optimizers.traceable(trial.optimizer.use, arguments)
    loss, of_loss = _split("loss", trial.loss, losses.traceable_arguments)
    schedule, of_schedule = _split("schedule", trial.schedule, schedules.traceable_arguments)
    if trial.schedule != CONSTANT:
        if "learning_rate" not in traced:
            why = "compares its own, or makes a Python number of it" if "learning_rate" in arguments else "has none"
            raise ModelError(f"a schedule needs a learning rate that is a number, but {trial.optimizer.use} {why}")
        of_schedule[EPOCHS] = trial.epochs
    of_images = {f"augmentation.{name}": value for name, value in trial.augmentation.items()}
    numbers = {number.name: trial.model.arguments[name] for name, number in of_model.items()}
    names = traced | of_optimizer.keys()
    values = {name: arguments[name] for name in names} | of_loss | of_schedule | of_images | numbers
    program_key = ProgramKey(
        dataset=frozen(trial.dataset),
        model=(trial.model.use, tuple(sorted({**trial.model.arguments, **of_model}.items()))),
        loss=loss,
        metrics=metric_names,
        optimizer=_without(traced, trial.optimizer.use, {**arguments, **of_optimizer}),
        schedule=schedule,
        float_names=tuple(sorted(values)),
        whole_names=traced & optimizers.whole_arguments(trial.optimizer.use, arguments),
        micro_batches=micro_batches,
    )
    return program_key, tuple(float(values[name]) for name in program_key.float_names)


def _split(
    section: str, component: Component, traceable: Callable[[str, Mapping[str, Any]], frozenset[str]]
) -> tuple[tuple[str, Arguments], dict[str, Any]]:
    """What of a component selects the program, and the values of a lane, by dotted name."""
    arguments = component.arguments
    names = traceable(component.use, arguments)
    return _without(names, component.use, arguments), {f"{section}.{name}": arguments[name] for name in names}


def _without(names: frozenset[str], use: str, arguments: Mapping[str, Any]) -> tuple[str, Arguments]:
    return use, tuple(sorted((name, value) for name, value in arguments.items() if name not in names))


def frozen(component: Component) -> tuple[str, Arguments]:
    """A component as a value that can be a key."""
    return component.use, tuple(sorted(component.arguments.items()))


def lane_program(program_key: ProgramKey, dataset: Dataset, chunk_rows: int) -> LaneProgram:
    """The pure functions of a lane of this program key, on data like `dataset`.

    Raises:
        DataError: the loss does not take the targets.
        ModelError: the model, the loss or a metric cannot be found or built.
    """
    model, arguments = program_key.model
    loss, of_loss = program_key.loss
    outputs = losses.outputs_needed(loss, dataset, dict(of_loss))
    threshold = losses.decision_threshold(loss, dict(of_loss))

    def build_loss(floats: Mapping[str, Any]) -> losses.Loss:
        return losses.build_loss(loss, {**dict(of_loss), **_of("loss", floats)})

    return LaneProgram(
        model=build_model(model, dict(arguments), dataset.input_shape, outputs, dataset.input_dtype),
        build_loss=build_loss,
        metrics=tuple(metrics.build_metric(metric, threshold) for metric in program_key.metrics),
        build_optimizer=functools.partial(_build_optimizer, program_key),
        float_names=program_key.float_names,
        rows=dataset.train.rows,
        chunk_rows=chunk_rows,
    )


def _build_optimizer(
    program_key: ProgramKey, floats: Mapping[str, Any], epochs: Any, key: Callable[[], Any]
) -> optax.GradientTransformationExtraArgs:
    """The optimizer at a point of its schedule."""
    use, static = program_key.optimizer
    values = {
        name: value.astype(jnp.int32) if name in program_key.whole_names else value
        for name, value in floats.items()
        if "." not in name
    }
    if EPOCHS in floats:
        schedule, of_schedule = program_key.schedule
        given = {**dict(of_schedule), **_of("schedule", floats)}
        total = given.pop("epochs")
        values["learning_rate"] = values["learning_rate"] * schedules.build_schedule(schedule, given)(epochs / total)
    placed = {name: values.pop(name) for name, value in static if isinstance(value, LanePlaceholder)}
    return optimizers.build(use, {**dict(static), **values}, key, placed)


def _of(section: str, floats: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a section, by the names of its arguments."""
    return {name.partition(".")[2]: value for name, value in floats.items() if name.startswith(f"{section}.")}
