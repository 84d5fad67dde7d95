"""A glance at a results folder: its trials without their epochs. The rule: it is what the whole log would say.

A long log takes seconds to read, and the tables beside it say the same. So `look` takes the table of trials, if the
note beside it (`tables_note.py`) says that it is the one that was written, and folds the rest of the log on top of it.
Where anything does not fit, and where the log is short, it folds the whole log. Only `read_log` checks all lines again.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from sweeps.log.jsonl import Damage, read_log
from sweeps.log.line import decode
from sweeps.log.trials import LoggedTrials, Record
from sweeps.results import manifest
from sweeps.results.folder import check_folder, read_config
from sweeps.results.manifest import Manifest, read_manifest
from sweeps.storage.lock import standing
from sweeps.storage.paths import RunFolder

SHORT_LOG_BYTES = 2**20
"""A log of fewer bytes is folded sooner than pyarrow is imported."""
_TABLE = "trials.parquet"
_NEEDED, _PREFIX = ("number", "attempt", "outcome", "value"), "params_"


class Summary(NamedTuple):
    """What `look` saw. `metric` and `direction` are the objective's, `damaged` are the lines that were skipped.

    `warnings` say what else was not as it should be, a line each.
    """

    logged: LoggedTrials
    metric: str
    direction: str
    damaged: Sequence[Damage]
    warnings: Sequence[str]


def look(folder: Path) -> Summary:
    """The trials of a results folder, as quickly as can be; also while a run is writing to it.

    Raises: ResultsError where the folder is missing, is not a results folder, or cannot be read.
    """
    check_folder(folder)
    note = read_manifest(folder)
    try:
        logged, warnings = _from_tables(folder, note) if _is_long(folder) else (None, [])
    except OSError:
        logged, warnings = None, []
    if logged is not None and note is not None:
        return Summary(logged, note.metric, note.direction, (), ())
    records, damaged = read_log(folder / "log")
    if note is None:
        config = read_config(folder, records)
        return Summary(LoggedTrials(records), config.metric, config.direction, damaged, warnings)
    lost = manifest.lost(folder, note)
    return Summary(LoggedTrials(records), note.metric, note.direction, [*damaged, *lost], warnings)


def _is_long(folder: Path) -> bool:
    return sum(path.stat().st_size for path in (folder / "log").glob("*.jsonl")) >= SHORT_LOG_BYTES


def _from_tables(folder: Path, note: Manifest | None) -> tuple[LoggedTrials | None, list[str]]:
    """The trials of the tables and of what the log says since; None, and why, where the whole log must be read."""
    if note is None:
        is_there = (folder / manifest.NAME).exists()
        return None, _warning(folder, f"{manifest.NAME} is damaged") if is_there else []
    if not note.is_whole or len(note.logs) != 1:
        return None, []
    content = (folder / _TABLE).read_bytes() if (folder / _TABLE).exists() else b""
    if zlib.crc32(content) != note.tables[_TABLE]:
        return None, _warning(folder, f"{_TABLE} is {manifest.fault(folder, note, _TABLE) or 'damaged'}")
    since = _since(folder / "log", *next(iter(note.logs.items())))
    if since is None:
        return None, []
    logged = LoggedTrials(_records(content))
    for record in (*note.others, *since):
        logged.add(record)
    return logged, []


def _warning(folder: Path, what: str) -> list[str]:
    """Nothing while a run goes on, for then the tables may just be being replaced."""
    return [] if standing(RunFolder(folder)).is_live else [f"{what}, so the whole log was read instead"]


def _since(log: Path, name: str, size: int) -> list[Record] | None:
    """The records after the first `size` bytes; None where a line of them is damaged or the log is another one."""
    if [path.name for path in log.glob("*.jsonl")] != [name] or (log / name).stat().st_size < size:
        return None
    with (log / name).open("rb") as file:
        file.seek(size)
        *lines, unended = file.read().split(b"\n")
    decoded = [decode(line) for line in lines]
    records: list[Record] = [record for record in decoded if isinstance(record, dict)]
    return records if len(records) == len(decoded) and not unended else None


def _records(content: bytes) -> Iterator[Record]:
    """The table of trials as records of a log."""
    from sweeps.results import parquet  # noqa: PLC0415  (pyarrow, when the log is long enough to be worth it)

    columns = parquet.read(content, lambda name: name in _NEEDED or name.startswith(_PREFIX))
    numbers, attempts, outcomes, values = (columns.pop(name) for name in _NEEDED)
    searched = [name.removeprefix(_PREFIX) for name in columns]
    params = zip(*columns.values(), strict=True) if columns else [()] * len(numbers)
    for number, attempt, outcome, value, given in zip(numbers, attempts, outcomes, values, params, strict=True):
        active = {name: each for name, each in zip(searched, given, strict=True) if each is not None}
        yield {"kind": "ask", "number": number, "params": active}
        if outcome == "running":
            yield {"kind": "start", "number": number, "attempt": attempt}
        elif outcome != "waiting":
            yield {"kind": "outcome", "number": number, "attempt": attempt, "outcome": outcome, "value": value}
