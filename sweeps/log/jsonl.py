"""The log: the append-only record of what happened. What was flushed is on the disk, and is never changed.

One file a worker, `log/<worker>.jsonl`, with one writer; `line.py` says what a line is. Damage never stops a reader: a
line that cannot be trusted is skipped and listed.
"""

from __future__ import annotations

import heapq
import io
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from sweeps.errors import FolderGoneError, ResultsError
from sweeps.log.line import Record, decode, encode, unfit
from sweeps.storage.files import NO_LINKS, displaced, lock, make_folder, refused, replace_bytes, sync_folder
from sweeps.storage.paths import free_torn_file, log_file, log_files

RENAMED = {"population": "group", "clock": "virtual_time"}
"""Fields of records by their names in logs of format 1, and by today's."""

LEAST_NUMBERS = 100_000
"""A log may hold so many trials, and a hundred for each of its lines: readers count up to the last trial."""
_WORKER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*\Z")


class Damage(NamedTuple):
    """A line that was skipped: `line` counts from 1."""

    file: Path
    line: int
    reason: str


class LogContents(NamedTuple):
    """A log folder: the records in the order they happened, each with its `worker`; and the skipped lines."""

    records: list[Record]
    damaged: list[Damage]


def timestamp() -> str:
    """Now, as the log writes it: UTC, ISO 8601, always with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def steady_s() -> float:
    """Seconds on a clock that is never set, and goes on while the machine sleeps, where the system has such a one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class LogWriter:
    """Appends records to `folder/<worker>.jsonl`. What is not flushed is not on the disk.

    Opening makes the folder and the file where they are missing, and takes the file's lock. What stands after the last
    whole line (a write that a crash cut short) is moved to `<worker>.torn-N` beside the log, so that no later line is
    glued to it; `set_aside` is that file, or None.

    Raises: ResultsError where the file cannot be written, is a link, or another process is writing it.
    """

    def __init__(self, folder: Path, worker: str) -> None:
        if not _WORKER.match(worker):
            raise ResultsError(f"a worker's name must be letters, digits, '.', '_' and '-', but got {worker!r}")
        self.worker = worker
        self.path = log_file(folder, worker)
        self.set_aside: Path | None = None
        self._pending: list[bytes] = []
        try:
            with ExitStack() as after_an_error:
                self._file = after_an_error.enter_context(_open_locked(self.path))
                self._set_torn_tail_aside()
                after_an_error.pop_all()
        except OSError as error:
            raise refused(self.path, error) from error
        self._torn_from: int | None = None
        self._size = os.fstat(self._file.fileno()).st_size

    def append(self, record: Mapping[str, Any]) -> Record:
        """Buffers one record, and returns it with its `worker`, as `read_log` will.

        Raises: ValueError for a non-finite float where none may be, TypeError for what JSON cannot hold.
        """
        self._pending.append(encode(record))
        return {**record, "worker": self.worker}

    def flush(self) -> None:
        """Puts everything appended so far on the disk: one write, one fsync. After an error the log ends as before.

        Raises:
            ResultsError: the disk refuses; what was appended stays here, for the next flush.
            FolderGoneError: the log is not in its place any more; see `move_to`.
        """
        self.check_place()
        if not self._pending:
            return
        content = b"".join(self._pending)
        try:
            self._remove_torn_line()
            self._torn_from = self._size
            _write_all(self._file, content)
            os.fsync(self._file.fileno())
        except OSError as error:
            with suppress(OSError):
                self._remove_torn_line()
            raise refused(self.path, error, len(content)) from error
        # Nothing may come between the two, a Ctrl-C least of all: a line would be there twice, or be cut off.
        self._pending, self._torn_from, self._size = [], None, self._size + len(content)

    def check_place(self) -> None:
        """Looks whether the log is where it was, and as it was left.

        Raises: FolderGoneError where it is not.
        """
        folder = self.path.parents[1]
        try:
            what = displaced(self._file.fileno(), self.path, folder)
            size = os.fstat(self._file.fileno()).st_size
        except OSError as error:
            raise refused(self.path, error) from error
        if not what and self._torn_from is None and size != self._size:
            what = "was changed by another process (its log has another size)"
        if what:
            raise FolderGoneError(f"{folder} {what} while its sweep ran")

    def move_to(self, folder: Path) -> None:
        """Goes on in another folder with all that was written here, also where this log has no name any more.

        Raises: ResultsError where the disk refuses; the writer is as it was.
        """
        path = log_file(folder, self.worker)
        content = _read_at_most(self._file.fileno(), self._size)
        replace_bytes(path, content)
        try:
            file = _open_locked(path)
        except OSError as error:
            raise refused(path, error) from error
        self._file.close()
        self._file, self.path, self._size, self._torn_from = file, path, len(content), None

    def close(self) -> None:
        """Flushes, and gives the lock back. A second close does nothing."""
        if self._file.closed:
            return
        with self._file:
            self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _remove_torn_line(self) -> None:
        """Cut off what a refused write has left; a disk that refuses this too gets no new line glued to it."""
        if self._torn_from is not None:
            os.ftruncate(self._file.fileno(), self._torn_from)
            self._torn_from = None

    def _set_torn_tail_aside(self) -> None:
        content = self.path.read_bytes()
        end = _end_of_last_whole_line(content)
        if end < len(content):
            self.set_aside = free_torn_file(self.path)
            replace_bytes(self.set_aside, content[end:])
            self._file.truncate(end)
            os.fsync(self._file.fileno())


def read_log(folder: Path) -> LogContents:
    """Reads every `*.jsonl` of `folder`, oldest record first; a missing folder is an empty log.

    Records of one worker keep the order of its file; several workers are merged by time. A last line without its end
    (a live writer leaves one for a moment) is listed like any damage.

    Raises: ResultsError where a file may not be read; never for what is in it.
    """
    damaged: list[Damage] = []
    try:
        workers = [_read_file(path, damaged) for path in log_files(folder)]
    except OSError as error:
        raise ResultsError(f"{folder} cannot be read: {error.strerror or error}") from error
    merged = heapq.merge(*map(_with_time, workers), key=lambda pair: pair[0])
    return LogContents([record for _, record in merged], damaged)


def _read_file(path: Path, damaged: list[Damage]) -> list[Record]:
    *lines, tail = path.read_bytes().split(b"\n")
    records: list[Record] = []
    most = max(LEAST_NUMBERS, 100 * len(lines))
    for number, line in enumerate(lines, start=1):
        record = decode(line)
        if isinstance(record, dict):
            record = unfit(record) or record
        if isinstance(record, dict) and record.get("number", 0) > most:
            record = f"it is of trial {record['number']:,}, in a log of {len(lines):,} lines"
        if isinstance(record, str):
            damaged.append(Damage(path, number, record))
        else:
            records.append({RENAMED.get(name, name): value for name, value in record.items()} | {"worker": path.stem})
    if tail:
        damaged.append(Damage(path, len(lines) + 1, "it has no end: its write was cut short, or is under way"))
    return records


def _with_time(records: list[Record]) -> Iterator[tuple[str, Record]]:
    # The latest time so far, so that a clock that was set back does not reorder a worker's own records.
    latest = ""
    for record in records:
        latest = max(latest, str(record.get("time", "")))
        yield latest, record


def _open_locked(path: Path) -> io.FileIO:
    make_folder(path.parent)
    is_new = not path.exists()
    # A link could lead anywhere, and what is there would be appended to and cut.
    file = io.FileIO(path, "a+", opener=lambda name, flags: os.open(name, flags | NO_LINKS, 0o666))
    if lock(file.fileno()) is False:
        file.close()
        raise ResultsError(f"{path} is being written by another sweep. Wait for it to end, or stop it")
    if is_new:
        sync_folder(path.parent)
    return file


def _write_all(file: io.FileIO, content: bytes) -> None:
    # One write takes everything, except where the disk is filling up or the content passes 2 GiB.
    written = file.write(content) or 0
    while written < len(content):
        written += file.write(content[written:]) or 0


def _read_at_most(descriptor: int, size: int) -> bytes:
    """The first bytes of an open file; fewer where it has no more."""
    pieces: list[bytes] = []
    while size and (piece := os.pread(descriptor, size, sum(map(len, pieces)))):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _end_of_last_whole_line(content: bytes) -> int:
    end = content.rfind(b"\n") + 1
    while end:
        start = content.rfind(b"\n", 0, end - 1) + 1
        if isinstance(decode(content[start : end - 1]), dict):
            break
        end = start
    return end
