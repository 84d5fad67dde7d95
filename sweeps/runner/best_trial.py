"""The best trial: the best trial of a sweep so far, its parameters in `best/`, and its one look at the test split.

The rule: of equal values, the trial that was proposed first is the best, whichever ended first. What `best/` holds may
be behind the log after a crash, or ahead of it; at the end of a sweep it is the best trial's, if need be by training
that trial once more.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import jax
import numpy as np

from sweeps.config import SweepConfig, metric_column, space
from sweeps.engine.lane_group import LaneGroup, alone
from sweeps.engine.programs import LaneTrial, Programs
from sweeps.log.early_stopping import kept_epoch
from sweeps.log.trials import Entry
from sweeps.results import best
from sweeps.runner.journal import Journal
from sweeps.runner.progress import BestSoFar
from sweeps.runner.resume import lacks_parameters
from sweeps.storage.paths import RunFolder
from sweeps.training.lane import LaneValues
from sweeps.training.losses import meaning, outputs_needed
from sweeps.training.program_key import frozen


class BestTrial:
    """`standing` is the best trial so far; None before any has completed."""

    def __init__(self, config: SweepConfig, folder: RunFolder, journal: Journal, programs: Programs) -> None:
        self._config, self._folder, self._journal, self._programs = config, folder, journal, programs
        self._sign = -1 if config.objective.direction == "maximize" else 1
        self.standing = _standing(journal.best())
        self._remembered: dict[int, tuple[int, Any]] = {}  # of running trials: an epoch and its parameters

    def challenge(self, lane_trial: LaneTrial, value: float, group: LaneGroup | None, at_epoch: int) -> None:
        """A trial has completed: keep it if it is the best. It still rides in `group`, or in none any more.

        What its lane holds are the parameters after `at_epoch`, which need not be those to keep.
        """
        if not self._is_best(lane_trial.number, value):
            return
        entry = self._journal.trials[lane_trial.number]
        self.standing, epoch = _standing(entry), kept_epoch(self._config, entry.epochs_of(0))
        remembered = self._remembered.get(lane_trial.number)
        params: Any = None
        if epoch == at_epoch and group is not None:
            params = group.params(group.lane_of(lane_trial.number))
        elif remembered is not None and remembered[0] == epoch:
            params = remembered[1]
        if params is not None:
            keep = self._keeping(lane_trial, params, value)
            if self._journal.retry.attempt("the best trial's parameters", keep):
                self._journal.record("best", number=lane_trial.number, value=value)

    def remember(self, number: int, epoch: int, value: float, group: LaneGroup) -> None:
        """A running trial has got to `value`: its parameters are copied if they may become the best trial's."""
        if not self._is_best(number, value):
            return
        epochs = self._journal.trials[number].epochs_of(0)
        if kept_epoch(self._config, epochs) == epoch:
            self._remembered[number] = epoch, group.params(group.lane_of(number))

    def forget(self, number: int) -> None:
        """A trial has ended."""
        self._remembered.pop(number, None)

    def test(self, device: jax.Device) -> None:
        """Evaluate the best trial on the test split, which has had no part in the sweep until now."""
        entry = self._journal.best()
        if entry is None or not entry.is_known:
            return
        if entry.start.get("config") not in (None, self._journal.config):
            return  # it may have had another model
        lane_trial = self._programs.lane_trial(entry.number, space.resolve(self._config, dict(entry.params)))
        if lacks_parameters(self._folder, self._journal):
            params = self._trained_again(lane_trial, kept_epoch(self._config, entry.epochs_of(0)) or entry.epochs_run)
            self._journal.retry.insist(self._keeping(lane_trial, params, entry.value))
        if self._journal.kept != entry.number:
            self._journal.record("best", number=entry.number, value=entry.value)
        split = self._programs.dataset(lane_trial.program_key).test
        if split is None or entry.test:
            return
        program = self._programs.program(lane_trial.program_key, device)
        scores = program.test(
            LaneValues(lane_trial.ints, lane_trial.floats),  # type: ignore[arg-type]  # NumPy arrays travel with the call
            best.restore(self._folder, program.parameters()),
            *split,
        )
        columns = [metric_column(metric).removeprefix("valid_") for metric in self._config.metrics]
        names = ["test_loss", *(f"test_{column}" for column in columns)]
        self._journal.record("test", number=entry.number, metrics=dict(zip(names, map(float, scores), strict=True)))

    def _keeping(self, lane_trial: LaneTrial, params: Any, value: float) -> partial[None]:
        """What writes a trial's parameters to `best/`."""
        program_key = lane_trial.program_key
        dataset, loss = self._programs.dataset(program_key), (program_key.loss[0], dict(program_key.loss[1]))
        entry = self._journal.trials[lane_trial.number]
        model = frozen(space.resolve(self._config, dict(entry.params)).model)
        description = {
            "number": lane_trial.number,
            "value": value,
            "epoch": kept_epoch(self._config, entry.epochs_of(0)),
            "model": {"use": model[0], **dict(model[1])},
            "precision": self._config.precision,
            "input_shape": dataset.input_shape,
            "input_dtype": np.dtype(dataset.input_dtype).name,
            "dtype": dataset.train.x.dtype.name,
            "scale": dataset.scale,
            "offset": dataset.offset,
            "preprocessing": dataset.preprocessing,
            "target_scaling": dataset.target_scaling and dataset.target_scaling._asdict(),
            "outputs": outputs_needed(loss[0], dataset),
            "meaning": meaning(*loss),
            "classes": dataset.classes,
            "class_names": dataset.class_names,
            "labels": dataset.labels,
            "load": 'numpy.load("parameters.npz", allow_pickle=False)',
        }
        return partial(best.keep, self._folder, params, description)

    def _is_best(self, number: int, value: float) -> bool:
        best_yet = self.standing
        return best_yet is None or (self._sign * value, number) <= (self._sign * best_yet.value, best_yet.number)

    def _trained_again(self, lane_trial: LaneTrial, epochs: int) -> Any:
        """The parameters that a completed trial has after so many epochs."""
        group = alone(self._programs, lane_trial)
        for _ in range(epochs):
            group.advance(threading.Event())
        return group.params(group.lane_of(lane_trial.number))


def _standing(entry: Entry | None) -> BestSoFar | None:
    return None if entry is None else BestSoFar(entry.number, entry.value, dict(entry.params))
