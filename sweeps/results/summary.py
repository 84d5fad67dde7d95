"""The summary of a results folder: its trials without their epochs, as the whole log would give them.

A long log takes seconds to read, and the tables beside it say the same. So `read_summary` takes the table of trials, if
the manifest beside it says that it is the one that was written, and folds the rest of the log on top of it. Where
anything does not fit, and where the log is short, it folds the whole log. Only `read_log` checks all lines again.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from sweeps.log.jsonl import Damage, read_log
from sweeps.log.line import Record, decode, unfit
from sweeps.log.trials import LoggedTrials
from sweeps.results.folder import read_config, results_folder
from sweeps.results.manifest import Manifest, fault, lost, read_manifest
from sweeps.storage.lock import lock_state
from sweeps.storage.paths import RunFolder

SHORT_LOG_BYTES = 2**20
"""A log of fewer bytes is folded sooner than pyarrow is imported."""
_NEEDED, _PREFIX = ("number", "attempt", "outcome", "value", "reason", "epochs_run"), "params_"


class Summary(NamedTuple):
    """`metric` and `direction` are the objective's, `damaged` are the lines that were skipped.

    `warnings` say what else was not as it should be, a line each.
    """

    logged: LoggedTrials
    metric: str
    direction: str
    damaged: Sequence[Damage]
    warnings: Sequence[str]


def read_summary(path: Path) -> Summary:
    """The trials of a results folder, as quickly as can be; also while a run is writing to it.

    Raises: ResultsError where the folder is missing, is not a results folder, or cannot be read.
    """
    folder = results_folder(path)
    manifest = read_manifest(folder)
    try:
        logged, warnings = _from_tables(folder, manifest) if _is_long(folder) else (None, [])
    except OSError:
        logged, warnings = None, []
    if logged is not None and manifest is not None:
        return Summary(logged, manifest.metric, manifest.direction, (), ())
    records, damaged = read_log(folder.log)
    if manifest is None:
        config = read_config(folder, records)
        return Summary(LoggedTrials(records), config.metric, config.direction, damaged, warnings)
    damaged += lost(folder, manifest)
    return Summary(LoggedTrials(records), manifest.metric, manifest.direction, damaged, warnings)


def _is_long(folder: RunFolder) -> bool:
    return sum(path.stat().st_size for path in folder.log_files) >= SHORT_LOG_BYTES


def _from_tables(folder: RunFolder, manifest: Manifest | None) -> tuple[LoggedTrials | None, list[str]]:
    """The trials of the tables and of what the log says since; None, and why, where the whole log must be read."""
    if manifest is None:
        is_there = folder.manifest.exists()
        return None, _warning(folder, f"{folder.manifest.name} is damaged") if is_there else []
    if not manifest.is_whole or len(manifest.logs) != 1:
        return None, []
    table = folder.table("trials", "parquet")
    content = table.read_bytes() if table.exists() else b""
    if zlib.crc32(content) != manifest.tables[table.name]:
        return None, _warning(folder, f"{table.name} is {fault(folder, manifest, table.name) or 'damaged'}")
    since = _since(folder, *next(iter(manifest.logs.items())))
    if since is None:
        return None, []
    logged = LoggedTrials(_records(content))
    for record in (*manifest.others, *since):
        logged.add(record)
    return logged, []


def _warning(folder: RunFolder, what: str) -> list[str]:
    """Nothing while a run goes on, for then the tables may just be being replaced."""
    return [] if lock_state(folder).is_live else [f"{what}, so the whole log was read instead"]


def _since(folder: RunFolder, name: str, size: int) -> list[Record] | None:
    """The records after the first `size` bytes; None where a line of them is damaged or the log is another one."""
    log = folder.log / name
    if folder.log_files != [log] or log.stat().st_size < size:
        return None
    with log.open("rb") as file:
        file.seek(size)
        *lines, unended = file.read().split(b"\n")
    decoded = [decode(line) for line in lines]
    records: list[Record] = [record for record in decoded if isinstance(record, dict)]
    is_sound = len(records) == len(decoded) and not unended and not any(map(unfit, records))
    return records if is_sound else None


def _records(content: bytes) -> Iterator[Record]:
    """The table of trials as records of a log."""
    from sweeps.results import parquet  # pyarrow, when the log is long enough to be worth it

    columns = parquet.read(content, lambda name: name in _NEEDED or name.startswith(_PREFIX))
    numbers, attempts, outcomes, values, reasons, epochs = (columns.pop(name) for name in _NEEDED)
    searched = [name.removeprefix(_PREFIX) for name in columns]
    params = zip(*columns.values(), strict=True) if columns else [()] * len(numbers)
    for number, attempt, outcome, value, reason, epochs_run, given in zip(
        numbers, attempts, outcomes, values, reasons, epochs, params, strict=True
    ):
        active = {name: each for name, each in zip(searched, given, strict=True) if each is not None}
        yield {"kind": "ask", "number": number, "params": active}
        if outcome == "running":
            yield {"kind": "start", "number": number, "attempt": attempt}
        elif outcome != "waiting":
            yield {
                "kind": "outcome",
                "number": number,
                "attempt": attempt,
                "outcome": outcome,
                "value": value,
                "reason": reason,
                "epochs": epochs_run,
            }
