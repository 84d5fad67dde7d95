"""The tables as pandas makes them: what `sweeps.results` writes, in DataFrames and plain loops."""

from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd

from sweeps.log.trials import LoggedTrial, LoggedTrials, best_epoch

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def trials(logged: LoggedTrials, metric: str, direction: str) -> pd.DataFrame:
    """A row per trial."""
    rows = [_trial_row(logged.trials[number], logged, metric, direction) for number in sorted(logged.trials)]
    table = pd.DataFrame(rows, columns=list(_trial_row(LoggedTrial(0), logged, metric, direction)), dtype="object")
    before, after = list(table)[:5], list(table)[5:]
    given = list(dict.fromkeys(name for number in sorted(logged.trials) for name in logged.trials[number].params))
    searched = {name: [logged.trials[number].params.get(name) for number in sorted(logged.trials)] for name in given}
    columns = {name: table[name] for name in before}
    columns |= {f"params_{name}": _parameter(values) for name, values in searched.items()}
    columns |= {name: table[name] for name in after}
    return pd.DataFrame({name: _typed(name, column) for name, column in columns.items()})


def history(logged: LoggedTrials) -> pd.DataFrame:
    """A row per trial, repeat and epoch."""
    names = ["number", "repeat", "epoch", "iterations", "train_loss", "valid_loss", *logged.metrics, "seconds"]
    rows = [
        [number, repeat, epoch, row.iterations, *(row.figure(name) for name in names[4:-1]), row.seconds]
        for number, trial in sorted(logged.trials.items())
        for (repeat, epoch), row in sorted(trial.epochs.items())
    ]
    table = pd.DataFrame(rows, columns=names)
    return table.astype({name: "int64" if name in names[:4] else "float64" for name in names})


def csv(table: pd.DataFrame) -> str:
    """The text of a table. Durations are written one by one; pandas writes whole days shorter if all of them are."""
    safe = table.copy()
    for name, dtype in table.dtypes.items():
        if dtype == "string":
            safe[name] = [f"'{cell}" if isinstance(cell, str) and cell[:1] in FORMULA else cell for cell in table[name]]
        elif dtype.kind == "m":
            safe[name] = ["" if pd.isna(cell) else str(cell) for cell in table[name]]
    text: str = safe.to_csv(index=False, lineterminator="\n", date_format="%Y-%m-%d %H:%M:%S.%f")
    return text


def _trial_row(trial: LoggedTrial, logged: LoggedTrials, metric: str, direction: str) -> dict[str, Any]:
    epochs = trial.epochs_of(trial.repeat)
    last = epochs[max(epochs)] if epochs else None
    start, complete = (_moment(record.get("time")) for record in (trial.start, trial.ending))
    figures = dict.fromkeys(("train_loss", "valid_loss", *logged.metrics))
    return {
        "number": trial.number,
        "value": trial.value,
        "datetime_start": start,
        "datetime_complete": complete,
        "duration": complete - start,
        "state": trial.state,
        "outcome": trial.outcome,
        "reason": trial.ending.get("reason"),
        "best_epoch": best_epoch(epochs, metric, direction),
        "epochs_run": len(epochs),
        "iterations": last.iterations if last else 0,
        "examples_seen": last.examples if last else 0,
        "seed": trial.start.get("seed"),
        "repeat": trial.repeat,
        **{name: last.figure(name) if last else math.nan for name in figures},
        "train_seconds": math.fsum(row.seconds for row in epochs.values()),
        "device": trial.start.get("device"),
        "worker": trial.start.get("worker"),
        "attempt": trial.attempt,
        "config": trial.start.get("config"),
    }


def _moment(time: Any) -> Any:
    return pd.NaT if time is None else pd.Timestamp(time).tz_convert(None)


def _typed(name: str, column: Any) -> pd.Series:
    if name.startswith("params_"):
        return pd.Series(column)
    if name in ("state", "outcome", "reason", "device", "worker", "config"):
        return pd.Series(
            [None if cell is None else cell.encode("utf-8", "replace").decode() for cell in column], dtype="string"
        )
    kinds = {"datetime_start": "datetime64[us]", "datetime_complete": "datetime64[us]", "duration": "timedelta64[us]"}
    whole = ("number", "epochs_run", "repeat", "attempt")
    nullable = ("best_epoch", "iterations", "examples_seen", "seed")
    kinds |= dict.fromkeys(whole, "int64") | dict.fromkeys(nullable, "Int64")
    return pd.Series(column.tolist(), dtype=kinds.get(name, "float64"))


def _parameter(values: list[Any]) -> pd.Series:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean")
    if kinds == {int} and all(value is None or -(2**63) <= value < 2**63 for value in values):
        return pd.Series(values, dtype="Int64")
    if float in kinds and kinds <= {int, float}:
        return pd.Series(values, dtype="Float64")
    texts = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
    return pd.Series([text and text.encode("utf-8", "replace").decode() for text in texts], dtype="string")
