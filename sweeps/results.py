"""Results: what a run left, for analysis in Python. The rule: everything comes from the log, so it is always fresh.

>>> import sweeps                                      # doctest: +SKIP
>>> results = sweeps.load("results/mnist")             # doctest: +SKIP
>>> results.trials.sort_values("value").tail()         # doctest: +SKIP
>>> results.best.params                                # doctest: +SKIP
{'epochs': 8, 'batch_size': 64, 'learning_rate': 0.0012}
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sweeps.config import load_config
from sweeps.errors import ResultsError, SweepError
from sweeps.ledger import Ledger
from sweeps.log import Damage, read_log
from sweeps.tables import tabulate

_MOST_NAMED = 8


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
            raise ResultsError(f"{path} cannot be read: {_reason(error)}") from error


@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """One sweep's results as its log had them when they were loaded; `load` again for fresh ones.

    `trials` and `history` are the tables that `results/README.md` describes, `damaged` the lines of the log that were
    skipped, `metric` and `direction` the objective, `config_text` the resolved config as YAML.
    """

    path: Path
    trials: pd.DataFrame
    history: pd.DataFrame
    best: Best | None
    damaged: list[Damage]
    metric: str
    direction: str
    config_text: str

    def __repr__(self) -> str:
        completed = int((self.trials["state"] == "COMPLETE").sum())
        best = f", best {self.metric} {self.best.value:.6g} in trial {self.best.number}" if self.best else ""
        damaged = f", {len(self.damaged)} damaged lines in the log" if self.damaged else ""
        return f"<Results of {self.path}: {len(self.trials)} trials, {completed} completed{best}{damaged}>"


def load(folder: str | Path) -> Results:
    """Reads a results folder, such as `results/mnist`; also while a run is writing to it.

    Raises: ResultsError where the folder is missing, is not a results folder, or cannot be read.
    """
    path = Path(folder)
    try:
        _check_folder(path)
    except OSError as error:
        raise ResultsError(f"{path} cannot be read: {_reason(error)}") from error
    config_text, metric, direction = _read_config(path / "config.yaml")
    records, damaged = read_log(path / "log")
    ledger = Ledger(records)
    tables = tabulate(ledger, metric, direction)
    best = _best(ledger, direction, path / "best")
    return Results(path, tables.trials, tables.history, best, damaged, metric, direction, config_text)


def _best(ledger: Ledger, direction: str, folder: Path) -> Best | None:
    trial = ledger.best(direction)
    if trial is None:
        return None
    epochs = trial.epochs_of(trial.repeat)
    last = epochs[max(epochs)] if epochs else None
    metrics = {"train_loss": last.train_loss, "valid_loss": last.valid_loss, **last.metrics} if last else {}
    return Best(trial.number, trial.value, dict(trial.params), metrics, dict(trial.test), folder, ledger.kept)


def _read_config(path: Path) -> tuple[str, str, str]:
    try:
        text = path.read_text(encoding="utf-8")
        objective = load_config(path).objective
    except (OSError, SweepError, UnicodeDecodeError) as error:
        raise ResultsError(f"{path} cannot be read: {_reason(error)}") from error
    return text, objective.metric, objective.direction


def _check_folder(path: Path) -> None:
    if path.is_file():
        raise ResultsError(f"{path} must be a results folder, but it is a file. {_advice(path.parent)}")
    if not path.is_dir():
        raise ResultsError(f"there is no results folder {path}. {_advice(path.parent)}")
    if not _has_log(path):
        raise ResultsError(f"{path} holds no log (no log/*.jsonl). {_advice(path)}")


def _advice(folder: Path) -> str:
    """What to give instead: the results folders at and in `folder`, by name."""
    places = [folder, *sorted(folder.iterdir())] if folder.is_dir() else []
    found = [str(place) for place in places if _has_log(place)]
    if not found:
        return "`sweep run FILE` makes one"
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return f"There is: {', '.join(found[:_MOST_NAMED])}{more}"


def _has_log(folder: Path) -> bool:
    return any((folder / "log").glob("*.jsonl"))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error) or type(error).__name__).splitlines()[0]
