"""Results: what a run left, for analysis in Python. The rule: everything comes from the log, so it is always fresh.

>>> import sweeps                                      # doctest: +SKIP
>>> results = sweeps.load("results/mnist")             # doctest: +SKIP
>>> results.trials.sort_values("value").tail()         # doctest: +SKIP
>>> results.best.params                                # doctest: +SKIP
{'epochs': 8, 'batch_size': 64, 'learning_rate': 0.0012}
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sweeps.errors import ResultsError
from sweeps.ledger import Ledger
from sweeps.log import Damage, read_log
from sweeps.results_folder import check_folder, read_config, reason

if TYPE_CHECKING:
    import pandas as pd

    from sweeps.tables import Tables


@dataclass(frozen=True)
class Best:
    """The completed trial with the best value.

    `params` holds the searched parameters that were active, `metrics` the losses and metrics of the last epoch, `test`
    those of the test split ({} until it has been evaluated, at the end of the sweep).
    """

    number: int
    value: float
    params: dict[str, Any]
    metrics: dict[str, float]
    test: dict[str, float]
    folder: Path = field(repr=False)
    kept: int | None = field(repr=False)
    """The number of the trial whose parameters `folder` holds; None before the first."""

    @cached_property
    def parameters(self) -> dict[str, np.ndarray]:
        """The trained parameters by name, read from `best/parameters.npz` when first asked for.

        Raises: ResultsError where they are not there, are another trial's, or cannot be read.
        """
        path = self.folder / "parameters.npz"
        if self.kept != self.number:
            holds = "nothing yet" if self.kept is None else f"those of trial {self.kept}"
            raise ResultsError(f"{path} must hold the parameters of trial {self.number}, but it holds {holds}")
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ResultsError(f"{path} cannot be read: {reason(error)}") from error


@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """One sweep's results as its log had them when they were loaded; `load` again for fresh ones.

    `damaged` lists the lines of the log that were skipped, `metric` and `direction` are the objective's, `config_text`
    is the resolved config as YAML.
    """

    path: Path
    best: Best | None
    damaged: Sequence[Damage]
    metric: str
    direction: str
    config_text: str
    ledger: Ledger
    """What the log says of every trial."""

    @cached_property
    def trials(self) -> pd.DataFrame:
        """A row per trial: the very table that a run leaves as `trials.parquet`, made when first asked for."""
        table: pd.DataFrame = self._tables.trials.to_pandas()
        return table

    @cached_property
    def history(self) -> pd.DataFrame:
        """A row per trial, repeat and epoch: the very table that a run leaves as `history.parquet`."""
        table: pd.DataFrame = self._tables.history.to_pandas()
        return table

    @cached_property
    def _tables(self) -> Tables:
        from sweeps.tables import tabulate  # noqa: PLC0415  (pyarrow and then pandas, for those who want tables)

        return tabulate(self.ledger, self.metric, self.direction)

    def __repr__(self) -> str:
        trials = self.ledger.trials.values()
        completed = sum(trial.state == "COMPLETE" for trial in trials)
        best = f", best {self.metric} {self.best.value:.6g} in trial {self.best.number}" if self.best else ""
        damaged = f", {len(self.damaged)} damaged lines in the log" if self.damaged else ""
        return f"<Results of {self.path}: {len(trials)} trials, {completed} completed{best}{damaged}>"


def load(folder: str | Path) -> Results:
    """Reads a results folder, such as `results/mnist`; also while a run is writing to it.

    Raises: ResultsError where the folder is missing, is not a results folder, or cannot be read.
    """
    path = Path(folder)
    check_folder(path)
    config = read_config(path / "config.yaml")
    records, damaged = read_log(path / "log")
    ledger = Ledger(records)
    best = _best(ledger, config.direction, path / "best")
    return Results(path, best, damaged, config.metric, config.direction, config.text, ledger)


def _best(ledger: Ledger, direction: str, folder: Path) -> Best | None:
    trial = ledger.best(direction)
    if trial is None:
        return None
    epochs = trial.epochs_of(trial.repeat)
    last = epochs[max(epochs)] if epochs else None
    metrics = {"train_loss": last.train_loss, "valid_loss": last.valid_loss, **last.metrics} if last else {}
    return Best(trial.number, trial.value, dict(trial.params), metrics, dict(trial.test), folder, ledger.kept)
