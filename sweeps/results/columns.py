"""What the tables hold: trials as named columns. A column's kind never depends on missing values.

`results/README.md` says what every column is. Integers that may be missing are nullable, text is `string`, and only
measured floats use NaN; everything else that is missing is None. Times are UTC without a zone, because Optuna's columns
have none.

A log that has lost lines to damage gives missing cells, never other values: no figure of another epoch in the place of
the last one's, no sum or best of some epochs in the place of all.

A table may be made in pieces, each of other trials of the same sweep. What the pieces must agree on is their
`TableShape`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from sweeps.log.trials import Epoch, LoggedTrial, best_epoch

Kind = Literal["int64", "float64", "Int64", "Float64", "boolean", "string", "datetime64[us]", "timedelta64[us]"]
"""A column's dtype in pandas' words: those in lower case with digits have no missing values, but NaN and NaT."""

ParameterTypes = Mapping[str, frozenset[str]]
"""Of each searched parameter, in the order in which they appear: which types of values it has had."""


class TableColumn(NamedTuple):
    """One column: a value a row, None where it is missing."""

    name: str
    kind: Kind
    values: Sequence[Any]


class TableShape(NamedTuple):
    """What a sweep decides of its tables: the searched parameters with their kinds, the metrics, and the objective."""

    parameters: tuple[tuple[str, Kind], ...]
    metrics: tuple[str, ...]
    metric: str
    direction: str


def parameter_types(trials: Iterable[LoggedTrial]) -> ParameterTypes:
    """The types of the parameters' values in some trials; those of several pieces are joined by `joined`."""
    types: dict[str, set[str]] = {}
    for trial in trials:
        for name, value in trial.params.items():
            seen = types.setdefault(name, set())
            if value is not None:
                seen.add(_type_of(value))
    return {name: frozenset(seen) for name, seen in types.items()}


def joined(pieces: Iterable[ParameterTypes]) -> tuple[tuple[str, Kind], ...]:
    """The kind of each parameter's column over several pieces, in the order in which the parameters first appear."""
    types: dict[str, frozenset[str]] = {}
    for piece in pieces:
        for name, seen in piece.items():
            types[name] = types.get(name, frozenset()) | seen
    return tuple((name, kind_of(seen)) for name, seen in types.items())


def kind_of(types: frozenset[str]) -> Kind:
    """The nullable kind that holds every value exactly: `string` where they are of mixed types.

    >>> kind_of(frozenset({"int", "float"})), kind_of(frozenset({"int", "text"}))
    ('Float64', 'string')
    """
    if types == {"bool"}:
        return "boolean"
    if types == {"int"}:
        return "Int64"
    return "Float64" if "float" in types and types <= {"int", "large int", "float"} else "string"


def trial_columns(trials: Sequence[LoggedTrial], shape: TableShape) -> list[TableColumn]:
    """The columns of `trials`, with a row for each of these."""
    epochs = [trial.epochs_of(trial.repeat) for trial in trials]
    last = [trial.last for trial in trials]
    # Without a last epoch a trial has done nothing, unless the log has lost that epoch.
    lasts = [(row, 0 if trial.epochs_run == 0 else None) for trial, row in zip(trials, last, strict=True)]
    start = [utc_time(trial.start.get("time")) for trial in trials]
    complete = [utc_time(trial.ending.get("time")) for trial in trials]
    best = [
        best_epoch(rows, shape.metric, shape.direction) if trial.is_whole else None
        for trial, rows in zip(trials, epochs, strict=True)
    ]
    seconds = [
        math.fsum(row.seconds for row in rows.values()) if trial.is_whole else math.nan
        for trial, rows in zip(trials, epochs, strict=True)
    ]
    return [
        TableColumn("number", "int64", [trial.number for trial in trials]),
        TableColumn("value", "float64", [trial.value for trial in trials]),
        TableColumn("datetime_start", "datetime64[us]", start),
        TableColumn("datetime_complete", "datetime64[us]", complete),
        TableColumn("duration", "timedelta64[us]", list(map(_duration, trials, start, complete))),
        *(_parameter(name, kind, trials) for name, kind in shape.parameters),
        TableColumn("state", "string", _texts(trial.state for trial in trials)),
        TableColumn("outcome", "string", _texts(trial.outcome for trial in trials)),
        TableColumn("reason", "string", _texts(trial.ending.get("reason") for trial in trials)),
        TableColumn("best_epoch", "Int64", best),
        TableColumn("epochs_run", "int64", [trial.epochs_run for trial in trials]),
        TableColumn("iterations", "Int64", [row.iterations if row else no_row for row, no_row in lasts]),
        TableColumn("examples_seen", "Int64", [row.examples if row else no_row for row, no_row in lasts]),
        TableColumn("seed", "Int64", [_int64_or_none(trial.start.get("seed")) for trial in trials]),
        TableColumn("repeat", "int64", [trial.repeat for trial in trials]),
        *_figures(last, shape),
        TableColumn("train_seconds", "float64", seconds),
        TableColumn("device", "string", _texts(trial.start.get("device") for trial in trials)),
        TableColumn("worker", "string", _texts(trial.start.get("worker") for trial in trials)),
        TableColumn("attempt", "int64", [trial.attempt for trial in trials]),
        TableColumn("config", "string", _texts(trial.start.get("config") for trial in trials)),
    ]


def history_columns(trials: Sequence[LoggedTrial], shape: TableShape) -> list[TableColumn]:
    """The columns of `history`: a row for each repeat and epoch of these trials, in that order."""
    keys = [(trial.number, *key) for trial in trials for key in sorted(trial.epochs)]
    rows = [trial.epochs[key] for trial in trials for key in sorted(trial.epochs)]
    return [
        TableColumn("number", "int64", [number for number, _, _ in keys]),
        TableColumn("repeat", "int64", [repeat for _, repeat, _ in keys]),
        TableColumn("epoch", "int64", [epoch for _, _, epoch in keys]),
        TableColumn("iterations", "int64", [row.iterations for row in rows]),
        *_figures(rows, shape),
        TableColumn("seconds", "float64", [row.seconds for row in rows]),
    ]


def text(value: Any) -> str:
    """A parameter's value in a column of text: words as they are, everything else as JSON.

    >>> text("relu"), text((64, 32)), text(True)
    ('relu', '[64, 32]', 'true')
    """
    return value if isinstance(value, str) else json.dumps(value)


def _parameter(name: str, kind: Kind, trials: Sequence[LoggedTrial]) -> TableColumn:
    values = [trial.params.get(name) for trial in trials]
    if kind == "string":
        values = _texts(None if value is None else text(value) for value in values)
    elif kind == "Float64":
        values = [None if value is None else float(value) for value in values]
    return TableColumn(f"params_{name}", kind, values)


def _figures(rows: Sequence[Epoch | None], shape: TableShape) -> list[TableColumn]:
    names = dict.fromkeys(("train_loss", "valid_loss", *shape.metrics))
    return [TableColumn(name, "float64", [row.figure(name) if row else math.nan for row in rows]) for name in names]


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if _fits_int64(value) else "large int"
    return "float" if isinstance(value, float) else "text"


def _int64_or_none(value: Any) -> int | None:
    return value if isinstance(value, int) and _fits_int64(value) else None


def _fits_int64(value: int) -> bool:
    return -(2**63) <= value < 2**63


def _texts(values: Iterable[Any]) -> list[str | None]:
    return [None if value is None else _storable(str(value)) for value in values]


def _storable(text: str) -> str:
    # Half a surrogate pair has no UTF-8, and would stop the whole table from being written.
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _duration(trial: LoggedTrial, start: datetime | None, complete: datetime | None) -> timedelta | None:
    if start is None or complete is None:
        return None
    # Logs of earlier versions have the time of day alone, which may have been set back meanwhile.
    return max(complete - start, timedelta()) if trial.took_s is None else timedelta(seconds=trial.took_s)


def utc_time(value: Any) -> datetime | None:
    """A record's time in UTC, without a zone; None where it is none."""
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
