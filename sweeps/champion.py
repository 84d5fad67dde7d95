"""The champion: the best trial of a sweep so far, its parameters in `best/`, and its one look at the test split.

The rule: of equal values, the trial that was proposed first is the best, whichever ended first.
"""

from __future__ import annotations

import jax

from sweeps import best
from sweeps.config import SweepConfig, metric_column, space
from sweeps.journal import Journal
from sweeps.ledger import Entry
from sweeps.population import Population
from sweeps.programs import Programs
from sweeps.progress import Standing
from sweeps.run_folder import RunFolder


class Champion:
    """`standing` is the best trial so far; None before any has completed."""

    def __init__(self, config: SweepConfig, folder: RunFolder, journal: Journal, programs: Programs) -> None:
        self._config, self._folder, self._journal, self._programs = config, folder, journal, programs
        self._sign = -1 if config.objective.direction == "maximize" else 1
        self.standing = _standing(journal.best())

    def challenge(self, population: Population, lane: int, value: float) -> None:
        """The trial in a lane has completed: keep it if it is the best."""
        occupant = population.lanes[lane]
        assert occupant is not None
        best_yet = self.standing
        if best_yet and (self._sign * best_yet.value, best_yet.number) < (self._sign * value, occupant.number):
            return
        self.standing = _standing(self._journal.trials[occupant.number])
        signature = occupant.signature
        dataset = self._programs.dataset(signature)
        description = {
            "number": occupant.number,
            "value": value,
            "model": {"use": signature.model[0], **dict(signature.model[1])},
            "input_shape": dataset.input_shape,
            "scale": dataset.scale,
            "shift": dataset.shift,
            "load": 'numpy.load("parameters.npz", allow_pickle=False)',
        }
        best.keep(self._folder, population.params(lane), description)
        self._journal.record("best", number=occupant.number, value=value)

    def test(self, device: jax.Device) -> None:
        """Evaluate the best trial on the test split, which has had no part in the sweep until now."""
        entry = self._journal.best()
        if entry is None or entry.test or self._journal.kept != entry.number:
            return
        if entry.start.get("config") not in (None, self._journal.config):
            return  # it was trained under another config, which may have had another model
        occupant = self._programs.occupant(entry.number, space.resolve(self._config, dict(entry.params)))
        split = self._programs.dataset(occupant.signature).test
        if split is None:
            return
        program = self._programs.program(occupant.signature, device)
        scores = program.test(best.restore(self._folder, program.parameters()), *split)
        columns = [metric_column(metric).removeprefix("valid_") for metric in self._config.metrics]
        names = ["test_loss", *(f"test_{column}" for column in columns)]
        self._journal.record("test", number=entry.number, metrics=dict(zip(names, map(float, scores), strict=True)))


def _standing(entry: Entry | None) -> Standing | None:
    return None if entry is None else Standing(entry.number, entry.value, dict(entry.params))
