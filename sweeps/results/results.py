"""The results of a run, for analysis in Python. Everything comes from the log.

>>> import sweeps                                      # doctest: +SKIP
>>> results = sweeps.load("results/mnist")             # doctest: +SKIP
>>> results.trials.sort_values("value").tail()         # doctest: +SKIP
>>> results.best.params                                # doctest: +SKIP
{'epochs': 8, 'batch_size': 64, 'learning_rate': 0.0012}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sweeps.errors import ResultsError
from sweeps.log.early_stopping import kept_epoch
from sweeps.log.jsonl import Damage, read_log
from sweeps.log.trials import LoggedTrials
from sweeps.report.timeline import Timeline
from sweeps.results.best import describe
from sweeps.results.folder import project_folder, read_config, results_folder
from sweeps.results.manifest import lost, read_manifest
from sweeps.storage import npz
from sweeps.storage.files import replace_bytes
from sweeps.storage.paths import RunFolder

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from sweeps.config import SweepConfig
    from sweeps.report.plots import Plots
    from sweeps.results.predictor import BestModel
    from sweeps.results.tables import Tables


@dataclass(frozen=True)
class Best:
    """The completed trial with the best value.

    `params` holds the searched parameters that were active, `epoch` the epoch that is kept (the last one, unless the
    config says `keep: best_epoch`), `metrics` its losses and metrics, `test` those of the test split ({} until it has
    been evaluated, at the end of the sweep).
    """

    number: int
    value: float
    params: dict[str, Any]
    epoch: int
    metrics: dict[str, float]
    test: dict[str, float]
    folder: RunFolder = field(repr=False)

    @cached_property
    def parameters(self) -> dict[str, np.ndarray]:
        """The trained parameters by name, read from `best/parameters.npz` when first asked for.

        Raises: ResultsError where they are not there, are another trial's, or cannot be read.
        """
        path, description = self.folder.parameters, describe(self.folder.best)
        if description["number"] != self.number:
            holds = f"those of trial {description['number']}"
            raise ResultsError(f"{path} must hold the parameters of trial {self.number}, but it holds {holds}")
        if description["parameters_sha256"] != npz.digest(path):
            raise ResultsError(f"{path} holds other parameters than {self.folder.best} describes")
        return dict(npz.read(path).arrays)


@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """One sweep's results as its log had them when they were loaded; `load` again for fresh ones.

    `damaged` lists the lines of the log that were skipped and the places where some are missing, `metric` and
    `direction` are the objective's, `config_text` is the resolved config as YAML.
    """

    path: Path
    best: Best | None
    damaged: Sequence[Damage]
    metric: str
    direction: str
    config_text: str
    logged: LoggedTrials
    """What the log says of every trial."""
    config: SweepConfig
    """What the last run was to do."""
    timeline: Timeline
    """When the sweep ran, and which lane each trial had."""

    @property
    def plot(self) -> Plots:
        """Figures, as Bokeh has them: `results.plot.history()`, `.slice("learning_rate")` and others."""
        from sweeps.report.plots import Plots  # Bokeh, for those who want to look

        return Plots(self.logged, self.timeline, self.config)

    def report(self, path: str | Path | None = None) -> Path:
        """Write the report, a page of HTML that loads nothing, and say where it is.

        It goes to `report.html` in the results folder, unless another `path` is given.

        Raises: ResultsError where that cannot be written.
        """
        from sweeps.report.page import Subject, page

        plots, name = self.plot, self.path.name
        target = RunFolder(self.path).report if path is None else Path(path)
        kept = (self.best.epoch, self.best.metrics) if self.best else (0, {})
        subject = Subject(self.path, name, self.config_text, *kept)
        replace_bytes(target, page(plots, subject).encode("utf-8", "replace"))
        return target

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
    def study(self) -> optuna.Study:
        """All trials as a study of Optuna's in memory, made when first asked for: for its plots, and to search on.

        A step is an epoch, from 1. Of each trial the user attributes are `outcome`, `reason`, `epochs` and `seconds`.
        Lists among choices are their JSON text.
        """
        from sweeps.results.as_optuna import study_of  # Optuna, for those who want it

        return study_of(self.logged, self.config)

    def importances(self) -> dict[str, float]:
        """How much each parameter decides whether a trial is among the best, in parts of 1, the most first.

        By Optuna's PED-ANOVA. Raises: ResultsError where fewer than 20 trials have completed.
        """
        from sweeps.results.as_optuna import importances

        return importances(self.study)

    def best_model(self) -> BestModel:
        """The best trial's model, to call on new inputs; its own code must be where `sweep run` found it.

        Raises: ResultsError where no trial has completed, or `best/` is missing, another trial's or damaged.
        """
        from sweeps.results.predictor import BestModel  # JAX, for those who want to predict

        if self.best is None:
            raise ResultsError(f"{self.path} has no model yet: no trial has completed")
        description = describe(self.best.folder.best)
        if "meaning" not in description:
            raise ResultsError(f"{self.best.folder.best} is of a version that did not say how to predict")
        return BestModel(description, self.best.parameters, project_folder(self.best.folder))

    @cached_property
    def _tables(self) -> Tables:
        from sweeps.results.tables import tabulate  # pyarrow and then pandas, for those who want tables

        return tabulate(self.logged, self.metric, self.direction)

    def __repr__(self) -> str:
        trials = self.logged.trials.values()
        completed = sum(trial.state == "COMPLETE" for trial in trials)
        best = f", best {self.metric} {self.best.value:.6g} in trial {self.best.number}" if self.best else ""
        damaged = f", {len(self.damaged)} damaged lines in the log" if self.damaged else ""
        return f"<Results of {self.path}: {len(trials)} trials, {completed} completed{best}{damaged}>"


def load(folder: str | Path) -> Results:
    """Reads a results folder, such as `results/mnist`; also while a run is writing to it.

    Raises: ResultsError where the folder is missing, is not a results folder, or cannot be read.
    """
    files = results_folder(Path(folder))
    records, damaged = read_log(files.log)
    config = read_config(files, records)
    manifest = read_manifest(files)
    damaged += lost(files, manifest) if manifest else []
    logged = LoggedTrials(records)
    best = _best(logged, config.config, files)
    objective = (config.metric, config.direction)
    return Results(files.path, best, damaged, *objective, config.text, logged, config.config, Timeline(records))


def _best(logged: LoggedTrials, config: SweepConfig, folder: RunFolder) -> Best | None:
    trial = logged.best(config.objective.direction)
    if trial is None:
        return None
    epoch = kept_epoch(config, trial.epochs_of(trial.repeat)) if config.keep == "best_epoch" else trial.epochs_run
    row = trial.epochs.get((trial.repeat, epoch))
    metrics = {"train_loss": row.train_loss, "valid_loss": row.valid_loss, **row.metrics} if row else {}
    return Best(trial.number, trial.value, dict(trial.params), epoch, metrics, dict(trial.test), folder)
