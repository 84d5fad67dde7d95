"""The journal: the log while it is being written, and the tables that follow it.

A record goes to the log first; what is shown and tabulated is folded from the same records. Where the disk refuses the
log, the run waits for it; tables that it refuses are written later.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from sweeps.config import SweepConfig
from sweeps.config.changes import fingerprint
from sweeps.config.code_fingerprint import sources
from sweeps.errors import ResultsError
from sweeps.log.jsonl import Damage, LogContents, LogWriter, read_log, steady_s, timestamp
from sweeps.log.placement import check_format
from sweeps.log.trials import LoggedTrial, LoggedTrials
from sweeps.masking import masked
from sweeps.results import manifest
from sweeps.runner.earlier_runs import EarlierRuns
from sweeps.storage.files import refused, replace_text
from sweeps.storage.paths import RunFolder
from sweeps.storage.retry import LOGGER, Retry

if TYPE_CHECKING:
    from sweeps.results.tables import TableFiles

TABLES_SECONDS, TABLES_SHARE = 5.0, 1 / 20
"""The tables are written so often at most, and never for more than this share of the time."""
FLUSH_SECONDS = 0.05
"""The disk is waited for so often at most: an epoch of a small model takes less time than it does."""
WORKER = "worker-0"


class Journal:
    """One run's writer; `Journal.open` makes it. Use as a context manager.

    `code` and `data` have the checksums of the user's modules and of the datasets. `config` is the fingerprint of the
    config, the code, and data that are not those of the first run; it marks this run's trials in the tables. `retry` is
    what everything that the run writes is written with.
    """

    def __init__(
        self,
        config: SweepConfig,
        folder: RunFolder,
        writer: LogWriter,
        log: LogContents,
        retry: Retry,
        data: Mapping[str, str],
    ) -> None:
        self._folder, self._objective, self._writer = folder, config.objective, writer
        self.retry = retry
        self.code, self.data = sources(config), data
        begun_with: dict[str, str] = {}
        for record in log.records:
            for name, checksum in (record.get("data") or {}).items():
                begun_with.setdefault(name, checksum)
        other_data = {name: checksum for name, checksum in data.items() if begun_with.get(name, checksum) != checksum}
        self.config = fingerprint(config, self.code, other_data)
        self._logged = LoggedTrials(log.records)
        for number in range(max(self._logged.trials, default=-1)):
            if number not in self._logged.trials:  # it was proposed, and damage has taken all that the log had of it
                self._logged.add({"kind": "ask", "number": number})
        self._is_whole = not log.damaged and len(folder.log_files) == 1
        self._tables: TableFiles | None = None
        self._tables_due = math.inf
        self._flush_due, self._recorded, self._began = 0.0, False, steady_s()
        self._texts: dict[str, str] = {}

    @classmethod
    def open(
        cls, config: SweepConfig, folder: RunFolder, retry: Retry | None = None, data: Mapping[str, str] | None = None
    ) -> tuple[Journal, EarlierRuns]:
        """The journal of a run that begins, and what earlier runs left in the log.

        Raises: ResultsError where the log is in use, cannot be read, or has a later format.
        """
        with ExitStack() as after_an_error:
            writer = after_an_error.enter_context(LogWriter(folder.log, WORKER))
            log = read_log(folder.log)
            check_format(log.records)
            journal = cls(config, folder, writer, log, retry or Retry(), data or {})
            journal._warn(log.damaged)
            after_an_error.pop_all()
        return journal, EarlierRuns(log.records, journal.trials)

    def _warn(self, damaged: Sequence[Damage]) -> None:
        """Say, as warnings of the logger `sweeps`, what of the past could not be read."""
        if self._writer.set_aside is not None:
            LOGGER.warning("a line of the log that was cut short is set aside in %s", self._writer.set_aside)
        note = manifest.read_manifest(self._folder)
        missing = [*damaged, *(manifest.lost(self._folder, note) if note else [])]
        if missing:
            told = f"{missing[0].file}:{missing[0].line}: {missing[0].reason}"
            more = f" (and {len(missing) - 1:,} more; `sweep doctor` lists them)" if len(missing) > 1 else ""
            LOGGER.warning("the log is damaged: %s%s. What it said there is lost; the sweep goes on", told, more)

    @property
    def trials(self) -> dict[int, LoggedTrial]:
        return self._logged.trials

    def best(self) -> LoggedTrial | None:
        return self._logged.best(self._objective.direction)

    @property
    def kept(self) -> int | None:
        """The number of the trial whose parameters are in `best/`."""
        return self._logged.kept

    def record(self, kind: str, **fields: Any) -> None:
        """Append one record, secrets in its `reason` masked; it is on the disk after the next `flush` that says so."""
        if "reason" in fields:
            fields["reason"] = masked(fields["reason"])
        elapsed = round(steady_s() - self._began, 6)
        self._logged.add(self._writer.append({"kind": kind, "time": timestamp(), "elapsed": elapsed, **fields}))
        self._recorded = True
        if self._tables is not None and "number" in fields:
            self._tables.touch(fields["number"])
        if kind == "epoch" and self._tables_due == math.inf:
            self._tables_due = 0.0  # pyarrow is first imported here, while devices train, and not while XLA compiles

    def describe(self, texts: Mapping[str, str]) -> None:
        """Write files of text by their names, which say what the run is."""
        for name, text in texts.items():
            replace_text(self._folder.path / name, text)
        self._texts = {**self._texts, **texts}

    def flush(self) -> bool:
        """Put what was recorded on the disk, unless it was just now; whether all of it is there.

        Raises: DiskError where the disk refused for too long, or the folder is gone, here and in all that writes.
        """
        now = time.monotonic()
        if now < self._flush_due and self._recorded:
            return False
        self.sync()
        if now > self._tables_due:
            self.retry.attempt("the tables", self._write_tables)
        return True

    def sync(self) -> None:
        """Put what was recorded on the disk."""
        self.retry.insist(self._writer.flush)
        self._flush_due, self._recorded = time.monotonic() + FLUSH_SECONDS, False

    def attempt(self, what: str, write: Callable[[], object]) -> bool:
        """`retry.attempt`, but never into a folder that has taken the place of this run's."""
        self._writer.check_place()
        return self.retry.attempt(what, write)

    def insist(self, write: Callable[[], object]) -> None:
        """`retry.insist`, but never into a folder that has taken the place of this run's."""
        self._writer.check_place()
        self.retry.insist(write)

    def recover(self) -> RunFolder:
        """Where the folder is gone: go on in a fresh one beside it, which has all that was recorded."""
        fresh = self._folder.beside()
        self.retry.insist(partial(self._writer.move_to, fresh.log))
        self._folder, self._tables = fresh, None
        self.describe(self._texts)
        return fresh

    def write_tables(self) -> None:
        """Put what was recorded on the disk, and make the tables say the same."""
        self.sync()
        self.retry.insist(self._write_tables)

    def mend_tables(self) -> None:
        """Write the tables if they are not those of the whole log, as after a run that ended before it wrote them."""
        if not manifest.is_current(self._folder):
            self.write_tables()

    def _write_tables(self) -> None:
        started = time.monotonic()
        try:
            self._put_tables()
        except OSError as error:
            raise refused(self._folder.path, error) from error
        finally:
            ended = time.monotonic()
            self._tables_due = ended + max(TABLES_SECONDS, (ended - started) / TABLES_SHARE)

    def _put_tables(self) -> None:
        metric, direction = self._objective.metric, self._objective.direction
        if self._tables is None:
            from sweeps.results.tables import TableFiles  # pyarrow, which training need not wait for

            self._tables = TableFiles(self._logged, metric, direction, self._folder)
        self._tables.write()
        manifest.write_manifest(self._folder, self._logged, metric, direction, is_whole=self._is_whole)

    def lost(self) -> list[int]:
        """Trials without an outcome whose proposal the log has lost to damage."""
        return [entry.number for entry in self.unfinished() if not entry.is_known]

    def unfinished(self) -> list[LoggedTrial]:
        """Trials that were proposed and have no outcome, by number."""
        return [entry for number, entry in sorted(self.trials.items()) if not entry.ending]

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.sync()
        finally:
            with suppress(ResultsError):  # what is left to write by now has been refused, and that is on its way out
                self._writer.close()
