"""The tables: the log as Parquet and CSV, which can be made anew from it at any time.

`columns` says what is in them; here they become files. A sweep's tables are written again and again while it grows, so
they are kept in pieces of `PIECE` trials, and a piece is made anew only when a record has touched one of its trials.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pyarrow as pa

from sweeps.log.trials import LoggedTrial, LoggedTrials
from sweeps.results import csv_text, parquet
from sweeps.results.columns import (
    ParameterTypes,
    TableColumn,
    TableShape,
    history_columns,
    joined,
    parameter_types,
    trial_columns,
)
from sweeps.storage.files import replace_bytes
from sweeps.storage.paths import RunFolder

PIECE = 128


class Tables(NamedTuple):
    """`trials`: a row per trial, by number. `history`: a row per trial, repeat and epoch, in that order."""

    trials: pa.Table
    history: pa.Table


class _Piece(NamedTuple):
    """Some rows of one table."""

    batch: pa.RecordBatch
    text: bytes


def tabulate(logged: LoggedTrials, metric: str, direction: str) -> Tables:
    """The tables of a log. `metric` and `direction` are the objective's; they pick each trial's `best_epoch`."""
    trials = [logged.trials[number] for number in sorted(logged.trials)]
    shape = TableShape(joined([parameter_types(trials)]), tuple(logged.metrics), metric, direction)
    made = (trial_columns(trials, shape), history_columns(trials, shape))
    return Tables(*(pa.Table.from_batches([parquet.batch(columns)]) for columns in made))


class TableFiles:
    """The tables of a sweep that grows, as files in its folder: `trials` and `history`, as `.parquet` and `.csv`."""

    def __init__(self, logged: LoggedTrials, metric: str, direction: str, folder: RunFolder) -> None:
        self._logged, self._metric, self._direction, self._folder = logged, metric, direction, folder
        self._types: dict[int, ParameterTypes] = {}
        self._shape: TableShape | None = None
        self._pieces: dict[int, tuple[_Piece, _Piece]] = {}
        # The first piece is there also without trials: then the tables have no rows.
        self._stale = {0, *(number // PIECE for number in logged.trials)}

    def touch(self, number: int) -> None:
        """Says that there is a new record of this trial."""
        self._stale.add(number // PIECE)

    def write(self) -> None:
        """Writes the tables of what is logged now, each file replaced whole.

        Raises: ResultsError where the folder cannot be written.
        """
        self._refresh()
        in_order = [self._pieces[index] for index in sorted(self._pieces)]
        for name, pieces in zip(Tables._fields, zip(*in_order, strict=True), strict=True):
            table = pa.Table.from_batches([piece.batch for piece in pieces])
            replace_bytes(self._folder.table(name, "parquet"), parquet.parquet(table))
            text = b"".join([csv_text.header(table.column_names), *(piece.text for piece in pieces)])
            replace_bytes(self._folder.table(name, "csv"), text)
        pa.default_memory_pool().release_unused()  # it would keep what the tables took, twice over

    def _refresh(self) -> None:
        for index in self._stale:
            self._types[index] = parameter_types(self._trials(index))
        parameters = joined(self._types[index] for index in sorted(self._types))
        shape = TableShape(parameters, tuple(self._logged.metrics), self._metric, self._direction)
        for index in self._types if shape != self._shape else self._stale:
            trials = self._trials(index)
            self._pieces[index] = _piece(trial_columns(trials, shape)), _piece(history_columns(trials, shape))
        self._shape = shape
        self._stale.clear()

    def _trials(self, index: int) -> Sequence[LoggedTrial]:
        numbers: Iterable[int] = range(index * PIECE, (index + 1) * PIECE)
        return [self._logged.trials[number] for number in numbers if number in self._logged.trials]


def _piece(columns: Sequence[TableColumn]) -> _Piece:
    return _Piece(parquet.batch(columns), csv_text.rows(columns))
