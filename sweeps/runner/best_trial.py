"""The champion: the best trial of a sweep so far, its parameters in `best/`, and its one look at the test split.

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
from sweeps.engine.lane_group import Population, alone
from sweeps.engine.programs import Occupant, Programs
from sweeps.log.early_stopping import kept_epoch
from sweeps.log.trials import Entry
from sweeps.results import best
from sweeps.runner.journal import Journal
from sweeps.runner.progress import Standing
from sweeps.runner.resume import lacks_parameters
from sweeps.storage.paths import RunFolder
from sweeps.training.lane import LaneValues
from sweeps.training.losses import meaning, outputs_needed
from sweeps.training.program_key import frozen


class Champion:
    """`standing` is the best trial so far; None before any has completed."""

    def __init__(self, config: SweepConfig, folder: RunFolder, journal: Journal, programs: Programs) -> None:
        self._config, self._folder, self._journal, self._programs = config, folder, journal, programs
        self._sign = -1 if config.objective.direction == "maximize" else 1
        self.standing = _standing(journal.best())
        self._remembered: dict[int, tuple[int, Any]] = {}  # of running trials: an epoch and its parameters

    def challenge(self, occupant: Occupant, value: float, population: Population | None, at_epoch: int) -> None:
        """A trial has completed: keep it if it is the best. It still rides in `population`, or in none any more.

        What its lane holds are the parameters after `at_epoch`, which need not be those to keep.
        """
        if not self._is_best(occupant.number, value):
            return
        entry = self._journal.trials[occupant.number]
        self.standing, epoch = _standing(entry), kept_epoch(self._config, entry.epochs_of(0))
        remembered = self._remembered.get(occupant.number)
        params: Any = None
        if epoch == at_epoch and population is not None:
            params = population.params(population.lane_of(occupant.number))
        elif remembered is not None and remembered[0] == epoch:
            params = remembered[1]
        if params is not None:
            keep = self._keeping(occupant, params, value)
            if self._journal.patience.attempt("the best trial's parameters", keep):
                self._journal.record("best", number=occupant.number, value=value)

    def remember(self, number: int, epoch: int, value: float, population: Population) -> None:
        """A running trial has got to `value`: its parameters are copied if they may become the best trial's."""
        if not self._is_best(number, value):
            return
        epochs = self._journal.trials[number].epochs_of(0)
        if kept_epoch(self._config, epochs) == epoch:
            self._remembered[number] = epoch, population.params(population.lane_of(number))

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
        occupant = self._programs.occupant(entry.number, space.resolve(self._config, dict(entry.params)))
        if lacks_parameters(self._folder, self._journal):
            params = self._trained_again(occupant, kept_epoch(self._config, entry.epochs_of(0)) or entry.epochs_run)
            self._journal.patience.insist(self._keeping(occupant, params, entry.value))
        if self._journal.kept != entry.number:
            self._journal.record("best", number=entry.number, value=entry.value)
        split = self._programs.dataset(occupant.signature).test
        if split is None or entry.test:
            return
        program = self._programs.program(occupant.signature, device)
        scores = program.test(
            LaneValues(occupant.ints, occupant.floats),  # type: ignore[arg-type]  # NumPy arrays travel with the call
            best.restore(self._folder, program.parameters()),
            *split,
        )
        columns = [metric_column(metric).removeprefix("valid_") for metric in self._config.metrics]
        names = ["test_loss", *(f"test_{column}" for column in columns)]
        self._journal.record("test", number=entry.number, metrics=dict(zip(names, map(float, scores), strict=True)))

    def _keeping(self, occupant: Occupant, params: Any, value: float) -> partial[None]:
        """What writes a trial's parameters to `best/`."""
        signature = occupant.signature
        dataset, loss = self._programs.dataset(signature), (signature.loss[0], dict(signature.loss[1]))
        entry = self._journal.trials[occupant.number]
        model = frozen(space.resolve(self._config, dict(entry.params)).model)
        description = {
            "number": occupant.number,
            "value": value,
            "epoch": kept_epoch(self._config, entry.epochs_of(0)),
            "model": {"use": model[0], **dict(model[1])},
            "precision": self._config.precision,
            "input_shape": dataset.input_shape,
            "input_dtype": np.dtype(dataset.input_dtype).name,
            "dtype": dataset.train.x.dtype.name,
            "scale": dataset.scale,
            "shift": dataset.shift,
            "preprocessing": dataset.preprocessing,
            "target_scaling": dataset.target_scaling and dataset.target_scaling._asdict(),
            "outputs": outputs_needed(loss[0], dataset),
            "meaning": meaning(*loss),
            "classes": dataset.classes,
            "class_names": dataset.class_names,
            "load": 'numpy.load("parameters.npz", allow_pickle=False)',
        }
        return partial(best.keep, self._folder, params, description)

    def _is_best(self, number: int, value: float) -> bool:
        best_yet = self.standing
        return best_yet is None or (self._sign * value, number) <= (self._sign * best_yet.value, best_yet.number)

    def _trained_again(self, occupant: Occupant, epochs: int) -> Any:
        """The parameters that a completed trial has after so many epochs."""
        population = alone(self._programs, occupant)
        for _ in range(epochs):
            population.advance(threading.Event())
        return population.params(population.lane_of(occupant.number))


def _standing(entry: Entry | None) -> Standing | None:
    return None if entry is None else Standing(entry.number, entry.value, dict(entry.params))
