"""The journal: the log while it is being written, and the tables that follow it.

The rule: a record goes to the log first; what is shown and tabulated is folded from the same records.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sweeps import glance
from sweeps.config import SweepConfig
from sweeps.config.changes import fingerprint
from sweeps.ledger import Entry, Ledger, Record
from sweeps.log import LogWriter, read_log, timestamp
from sweeps.run_folder import RunFolder

if TYPE_CHECKING:
    from sweeps.study import StudyEvent  # a study is not needed to keep a log
    from sweeps.tables import TableFiles

TABLES_SECONDS = 5.0
"""The tables are written so often at most, and never for more than a twentieth of the time."""
FLUSH_SECONDS = 0.05
"""The disk is waited for so often at most: an epoch of a small model takes less time than it does."""
WORKER = "worker-0"


class Journal:
    """One run's writer. Opening it reads what earlier runs left; use as a context manager."""

    def __init__(self, config: SweepConfig, folder: RunFolder) -> None:
        self._folder, self._objective = folder, config.objective
        self.config = fingerprint(config)
        """What this run's trials are marked with in the tables."""
        self._ledger = Ledger()
        self._writer = LogWriter(folder.log, WORKER)
        self.past, damaged = read_log(folder.log)
        for record in self.past:
            self._ledger.add(record)
        self._is_whole = not damaged and len(list(folder.log.glob("*.jsonl"))) == 1
        self._tables: TableFiles | None = None
        self._tables_due = math.inf
        self._flush_due, self._recorded = 0.0, False

    @property
    def trials(self) -> dict[int, Entry]:
        return self._ledger.trials

    def best(self) -> Entry | None:
        return self._ledger.best(self._objective.direction)

    @property
    def kept(self) -> int | None:
        """The number of the trial whose parameters are in `best/`."""
        return self._ledger.kept

    def record(self, kind: str, **fields: Any) -> None:
        """Append one record; it is on the disk after the next `flush` that says so."""
        self._ledger.add(self._writer.append({"kind": kind, "time": timestamp(), **fields}))
        self._recorded = True
        if self._tables is not None and "number" in fields:
            self._tables.touch(fields["number"])
        if kind == "epoch" and self._tables_due == math.inf:
            self._tables_due = 0.0  # pyarrow is first imported here, while devices train, and not while XLA compiles

    def flush(self) -> bool:
        """Put what was recorded on the disk, unless it was just now; whether all of it is there."""
        now = time.monotonic()
        if now < self._flush_due and self._recorded:
            return False
        self.sync()
        if now > self._tables_due:
            self.write_tables()
        return True

    def sync(self) -> None:
        """Put what was recorded on the disk."""
        self._writer.flush()
        self._flush_due, self._recorded = time.monotonic() + FLUSH_SECONDS, False

    def write_tables(self) -> None:
        """Put what was recorded on the disk, and make the tables say the same."""
        self.sync()
        started, metric, direction = time.monotonic(), self._objective.metric, self._objective.direction
        if self._tables is None:
            from sweeps.tables import TableFiles  # noqa: PLC0415  (pyarrow, which training need not wait for)

            self._tables = TableFiles(self._ledger, metric, direction, self._folder.path)
        self._tables.write()
        if self._is_whole:
            glance.note(self._folder.path, self._writer.path, self._ledger, metric, direction)
        ended = time.monotonic()
        self._tables_due = ended + max(TABLES_SECONDS, 20 * (ended - started))

    def study_events(self) -> Iterator[StudyEvent]:
        """What the study is told of the past, each trial's latest attempt alone; an unfinished one reports anew."""
        for record in self.past:
            kind, number = record["kind"], record.get("number")
            entry = self.trials.get(number) if isinstance(number, int) else None
            if entry is None:
                continue
            ended = bool(entry.ending) and record.get("attempt") == entry.attempt
            if kind == "ask":
                yield ("ask", entry.number, record["params"])
            elif kind == "epoch" and ended:
                yield ("report", entry.number, record["epoch"], figure(record, self._objective.metric))
            elif kind == "outcome" and ended:
                yield ("tell", entry.number, record["outcome"], record["value"])

    def seconds_used(self) -> float:
        """How long the earlier runs of this sweep lasted, from each one's first record to its last."""
        total, begun, last = 0.0, None, None
        for record in self.past:
            moment = datetime.fromisoformat(record["time"])
            if record["kind"] == "run":
                total += (last - begun).total_seconds() if begun and last else 0.0
                begun = moment
            last = moment
        return total + ((last - begun).total_seconds() if begun and last else 0.0)

    def forget(self) -> None:
        """Let go of the records of earlier runs, which may be many, once the study and the clock have seen them."""
        self.past = []

    def unfinished(self) -> list[Entry]:
        """Trials that were proposed and have no outcome, by number."""
        return [entry for number, entry in sorted(self.trials.items()) if not entry.ending]

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()


def figure(record: Record, metric: str) -> float:
    """The objective in an epoch's record."""
    value = record.get(metric, record.get("metrics", {}).get(metric))
    return float(value)
