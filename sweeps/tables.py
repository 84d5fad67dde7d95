"""The tables: the log as DataFrames, Parquet and CSV. The rule: they are views of the log and can be made anew from it.

`results/README.md` says what every column is. Column types do not depend on what a sweep happened to do: integers that
may be missing are nullable, text is `string`, and only measured floats use NaN. Times are UTC without a zone, because
Optuna's columns have none.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from sweeps.files import replacing
from sweeps.ledger import Entry, Epoch, Ledger, Record, best_epoch

_FORMULA = "=+-@\t\r"


class Tables(NamedTuple):
    """`trials`: a row per trial, by number. `history`: a row per trial, repeat and epoch, in that order."""

    trials: pd.DataFrame
    history: pd.DataFrame


def fold(records: Iterable[Record], metric: str, direction: str) -> Tables:
    """The tables of a log. `metric` and `direction` are the objective's; they pick each trial's `best_epoch`."""
    return tabulate(Ledger(records), metric, direction)


class Fold:
    """The same, record by record: `add` takes microseconds, `tables` builds both tables anew."""

    def __init__(self, metric: str, direction: str) -> None:
        self.ledger = Ledger()
        self._metric = metric
        self._direction = direction

    def add(self, record: Record) -> None:
        """Takes one record, as `LogWriter.append` returns it or `read_log` reads it."""
        self.ledger.add(record)

    def tables(self) -> Tables:
        """The tables of the records so far."""
        return tabulate(self.ledger, self._metric, self._direction)


def tabulate(ledger: Ledger, metric: str, direction: str) -> Tables:
    """The tables of a ledger, with the trials in the order of their numbers."""
    trials = [ledger.trials[number] for number in sorted(ledger.trials)]
    metrics = tuple(ledger.metrics)
    return Tables(_trials_table(trials, metrics, metric, direction), _history_table(trials, metrics))


def write(tables: Tables, folder: Path) -> None:
    """Writes `trials` and `history` as `.parquet` and `.csv`, each file replaced whole.

    Raises: ResultsError where the folder cannot be written.
    """
    for name, table in tables._asdict().items():
        with replacing(Path(folder) / f"{name}.parquet") as temporary:
            table.to_parquet(temporary, engine="pyarrow", index=False)
        with replacing(Path(folder) / f"{name}.csv") as temporary:
            _harmless(table).to_csv(temporary, index=False, lineterminator="\n", date_format="%Y-%m-%d %H:%M:%S.%f")


def _trials_table(trials: Sequence[Entry], metrics: Sequence[str], metric: str, direction: str) -> pd.DataFrame:
    epochs = [trial.epochs_of(trial.repeat) for trial in trials]
    last = [rows[max(rows)] if rows else None for rows in epochs]
    start = _times(trial.start.get("time") for trial in trials)
    complete = _times(trial.ending.get("time") for trial in trials)
    columns: dict[str, Any] = {
        "number": _integers(trial.number for trial in trials),
        "value": _floats(trial.value for trial in trials),
        "datetime_start": start,
        "datetime_complete": complete,
        "duration": (complete - start).astype("timedelta64[us]"),
        **_params(trials),
        "state": _text(trial.state for trial in trials),
        "outcome": _text(trial.outcome for trial in trials),
        "reason": _text(trial.ending.get("reason") for trial in trials),
        "best_epoch": _nullable([best_epoch(rows, metric, direction) for rows in epochs], "Int64"),
        "epochs_run": _integers(map(len, epochs)),
        "iterations": _integers(row.iterations if row else 0 for row in last),
        "examples_seen": _integers(row.examples if row else 0 for row in last),
        "seed": _nullable([trial.start.get("seed") for trial in trials], "Int64"),
        "repeat": _integers(trial.repeat for trial in trials),
        "train_loss": _figures(last, "train_loss"),
        "valid_loss": _figures(last, "valid_loss"),
    }
    columns |= {name: _figures(last, name) for name in metrics if name not in columns}
    columns |= {
        "train_seconds": _floats(math.fsum(row.seconds for row in rows.values()) for rows in epochs),
        "device": _text(trial.start.get("device") for trial in trials),
        "worker": _text(trial.start.get("worker") for trial in trials),
        "attempt": _integers(trial.attempt for trial in trials),
    }
    return pd.DataFrame(columns)


def _history_table(trials: Sequence[Entry], metrics: Sequence[str]) -> pd.DataFrame:
    keys = [(trial.number, *key) for trial in trials for key in sorted(trial.epochs)]
    rows = [trial.epochs[key] for trial in trials for key in sorted(trial.epochs)]
    columns: dict[str, Any] = {
        "number": _integers(number for number, _, _ in keys),
        "repeat": _integers(repeat for _, repeat, _ in keys),
        "epoch": _integers(epoch for _, _, epoch in keys),
        "iterations": _integers(row.iterations for row in rows),
        "train_loss": _figures(rows, "train_loss"),
        "valid_loss": _figures(rows, "valid_loss"),
    }
    columns |= {name: _figures(rows, name) for name in metrics if name not in columns}
    columns["seconds"] = _floats(row.seconds for row in rows)
    return pd.DataFrame(columns)


def _params(trials: Sequence[Entry]) -> dict[str, Any]:
    names = dict.fromkeys(name for trial in trials for name in trial.params)
    values = {name: [trial.params.get(name) for trial in trials] for name in names}
    return {f"params_{name}": _nullable(column, _dtype_of(column)) for name, column in values.items()}


def _dtype_of(values: Iterable[Any]) -> str:
    """The nullable dtype that holds every value exactly: `string` where they are of mixed kinds."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "boolean"
    if kinds == {int} and all(value is None or _fits_int64(value) for value in values):
        return "Int64"
    return "Float64" if float in kinds and kinds <= {int, float} else "string"


def _nullable(values: Sequence[Any], dtype: Any) -> pd.Series:
    if dtype == "string":
        return _text(value if value is None or isinstance(value, str) else json.dumps(value) for value in values)
    if dtype == "Int64":
        values = [value if value is not None and _fits_int64(value) else None for value in values]
    column: pd.Series = pd.Series(values, dtype=dtype)
    return column


def _text(values: Iterable[Any]) -> pd.Series:
    return pd.Series([None if value is None else _storable(str(value)) for value in values], dtype="string")


def _fits_int64(value: int) -> bool:
    return -(2**63) <= value < 2**63


def _storable(text: str) -> str:
    # Half a surrogate pair has no UTF-8, and would stop the whole table from being written.
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _integers(values: Iterable[int]) -> pd.Series:
    return pd.Series(list(values), dtype="int64")


def _floats(values: Iterable[float]) -> pd.Series:
    return pd.Series(list(values), dtype="float64")


def _figures(rows: Iterable[Epoch | None], name: str) -> pd.Series:
    return _floats(row.figure(name) if row else math.nan for row in rows)


def _times(values: Iterable[Any]) -> pd.Series:
    times = pd.to_datetime(pd.Series(list(values), dtype="object"), utc=True, format="ISO8601", errors="coerce")
    return times.dt.tz_localize(None).astype("datetime64[us]")


def _harmless(table: pd.DataFrame) -> pd.DataFrame:
    """The table with an apostrophe before every text cell that a spreadsheet would take for a formula."""
    text = [name for name, dtype in table.dtypes.items() if dtype == "string"]
    return table.assign(**{str(name): _quoted(table[name]) for name in text})


def _quoted(cells: pd.Series) -> pd.Series:
    return cells.where(~cells.str.startswith(tuple(_FORMULA)).fillna(value=False), "'" + cells)
