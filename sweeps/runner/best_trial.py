"""The best trial of a sweep so far, its parameters in `best/`, and its one look at the test split.

Of equal values the trial that was proposed first is the best, whichever ended first. What `best/` holds may be behind
the log after a crash, or ahead of it. At the end of a sweep it is the best trial's, if need be by training that trial
once more.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import jax
import numpy as np

from sweeps.config import SweepConfig, metric_column, space
from sweeps.config.schema import Objective
from sweeps.datasets.dataset import Dataset
from sweeps.engine.checkpoints import ALONE, Checkpoints
from sweeps.engine.device_lanes import alone
from sweeps.engine.memory import is_out_of_memory
from sweeps.engine.orders import Orders
from sweeps.engine.programs import LaneTrial, Programs
from sweeps.engine.restore import past_of
from sweeps.log.early_stopping import kept_epoch
from sweeps.log.trials import LoggedTrial
from sweeps.results import best
from sweeps.runner.journal import Journal
from sweeps.runner.progress import BestSoFar
from sweeps.runner.resume import lacks_parameters
from sweeps.stop_request import StopRequest
from sweeps.storage.paths import RunFolder
from sweeps.storage.retry import LOGGER
from sweeps.training.lane import LaneValues
from sweeps.training.losses import meaning, outputs_needed
from sweeps.training.program_key import ProgramKey, frozen


class BestTrial:
    """`standing` is the best trial so far; None before any has completed.

    Of running trials it may have an epoch's parameters, which are the trial's if no later epoch is better.
    """

    def __init__(self, objective: Objective, standing: LoggedTrial | None) -> None:
        self._objective = objective
        self.standing = _so_far(standing)
        self._remembered: dict[int, tuple[int, Any]] = {}  # an epoch and its parameters

    def would_be(self, number: int, value: float) -> bool:
        """Whether a trial that completes with `value` is the best."""
        best_yet, sign = self.standing, self._objective.sign
        return best_yet is None or (sign * value, number) <= (sign * best_yet.value, best_yet.number)

    def remember(self, number: int, epoch: int, params: Any) -> None:
        """Keep the parameters of a running trial's epoch, in the place of those of an earlier one."""
        self._remembered[number] = epoch, params

    def remembered(self, number: int, epoch: int) -> Any:
        """The parameters of that epoch; None where they are not here."""
        known = self._remembered.get(number)
        return known[1] if known is not None and known[0] == epoch else None

    def forget(self, number: int) -> None:
        """A trial has ended."""
        self._remembered.pop(number, None)

    def replace(self, entry: LoggedTrial) -> None:
        """A trial has completed that is better."""
        self.standing = _so_far(entry)


def keeping(
    config: SweepConfig, folder: RunFolder, entry: LoggedTrial, program_key: ProgramKey, dataset: Dataset, params: Any
) -> partial[None]:
    """What writes a completed trial's parameters to `best/`."""
    loss, model = program_key.loss, frozen(space.resolve(config, dict(entry.params)).model)
    description = {
        "number": entry.number,
        "value": entry.value,
        "epoch": kept_epoch(config, entry.epochs_of(0)),
        "model": {"use": model[0], **dict(model[1])},
        "precision": config.precision,
        "input_shape": dataset.input_shape,
        "input_dtype": np.dtype(dataset.input_dtype).name,
        "dtype": dataset.train.x.dtype.name,
        "scale": dataset.scale,
        "offset": dataset.offset,
        "preprocessing": dataset.preprocessing,
        "target_scaling": dataset.target_scaling and dataset.target_scaling._asdict(),
        "outputs": outputs_needed(loss[0], dataset, dict(loss[1])),
        "meaning": meaning(loss[0], dict(loss[1]), dataset),
        "classes": dataset.classes,
        "class_names": dataset.class_names,
        "labels": dataset.labels,
        "load": 'numpy.load("parameters.npz", allow_pickle=False)',
    }
    return partial(best.keep, folder, params, description)


def finish_best(
    config: SweepConfig,
    folder: RunFolder,
    journal: Journal,
    programs: Programs,
    checkpoints: Checkpoints,
    request: StopRequest,
) -> bool:
    """At the end of a sweep: the best trial's parameters are in `best/`, and are evaluated on the test split.

    That split has had no part in the sweep until now.

    Returns: whether it is done; a request to stop leaves it to the next run, where the trial has to be trained again.
        That goes on from a checkpoint.
    """
    entry = journal.best()
    if entry is None or not entry.is_known:
        return True
    if entry.start.get("config") not in (None, journal.config):
        return True  # it may have had another model
    lane_trial = programs.lane_trial(entry.number, space.resolve(config, dict(entry.params)))
    dataset = programs.dataset(lane_trial.program_key)
    if lacks_parameters(folder, journal):
        epochs = kept_epoch(config, entry.epochs_of(0)) or entry.epochs_run
        params = trained_again(programs, lane_trial, entry, epochs, checkpoints, request)
        if params is None:
            return False
        journal.insist(keeping(config, folder, entry, lane_trial.program_key, dataset, params))
    if journal.kept != entry.number:
        journal.record("best", number=entry.number, value=entry.value)
    if dataset.test is not None and not entry.test:
        try:
            scores = _test_scores(config, folder, programs, lane_trial, dataset)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            LOGGER.warning("there is no memory to evaluate the best trial on the test split: it has no test scores")
            return True
        journal.record("test", number=entry.number, metrics=scores)
    return True


def trained_again(
    programs: Programs,
    lane_trial: LaneTrial,
    entry: LoggedTrial,
    epochs: int,
    checkpoints: Checkpoints,
    request: StopRequest,
) -> Any:
    """The parameters that a trial has after so many epochs; None where a request to stop came first.

    It is kept in a checkpoint then, and as often as any lane, so that the next run goes on from there.
    """
    past = past_of(entry, checkpoints.find(lane_trial, entry.attempt, epochs))
    lanes = alone(programs, lane_trial, past)
    for epoch in range(max(past.taken_up_at, 1), epochs + 1):
        if request.reason:
            kept = lanes.advance(Orders(snapshots_after_s=0.0)).snapshots
            checkpoints.keep_now([(entry.attempt, snapshot) for snapshot in kept])
            return None
        due = max(checkpoints.due(ALONE) - time.monotonic(), 0.0)
        kept = lanes.advance(Orders(awaited={0: epoch}, snapshots_after_s=due)).snapshots
        if kept:
            checkpoints.keep(ALONE, [(entry.attempt, snapshot) for snapshot in kept])
    return lanes.params(0)


def _test_scores(
    config: SweepConfig, folder: RunFolder, programs: Programs, lane_trial: LaneTrial, dataset: Dataset
) -> dict[str, float]:
    device: jax.Device = programs.policy.devices[0]
    program = programs.program(lane_trial.program_key, device)
    assert dataset.test is not None
    scores = program.test(
        LaneValues(lane_trial.ints, lane_trial.floats),  # type: ignore[arg-type]  # NumPy arrays travel with the call
        best.restore(folder, program.parameters()),
        *dataset.test,
    )
    columns = [metric_column(metric).removeprefix("valid_") for metric in config.metrics]
    names = ["test_loss", *(f"test_{column}" for column in columns)]
    return dict(zip(names, map(float, scores), strict=True))


def _so_far(entry: LoggedTrial | None) -> BestSoFar | None:
    return None if entry is None else BestSoFar(entry.number, entry.value, dict(entry.params))
