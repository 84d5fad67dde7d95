"""A glance at a results folder: its trials without their epochs. The rule: it is what the whole log would say.

A long log takes seconds to read, and the tables beside it say the same. So whenever they are written, `tables.jsonl` is
too: lines of the log's own form, checksums included. The first says how much of the log the tables hold, the others
repeat what the tables have no column for. `look` takes the tables and folds the rest of the log on top of them. Where
anything does not fit, and where the log is short, it folds the whole log. Only `read_log` checks every line again.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from sweeps.files import replace_bytes
from sweeps.ledger import Ledger, Record
from sweeps.log import Damage, read_log
from sweeps.log_line import decode, encode
from sweeps.results_folder import check_folder, read_config

NAME = "tables.jsonl"
SHORT_LOG_BYTES = 2**20
"""A log of fewer bytes is folded sooner than pyarrow is imported."""
_NEEDED, _PREFIX = ("number", "attempt", "outcome", "value"), "params_"


class Glance(NamedTuple):
    """What `look` saw. `metric` and `direction` are the objective's, `damaged` are the lines that were skipped."""

    ledger: Ledger
    metric: str
    direction: str
    damaged: Sequence[Damage]


def note(folder: Path, log: Path, ledger: Ledger, metric: str, direction: str) -> None:
    """Notes that the tables in `folder` hold all that `log`, its only log file, says now.

    Raises: ResultsError where the folder cannot be written.
    """
    first = {
        "kind": "tables",
        "log": log.name,
        "size": log.stat().st_size,
        "trials": zlib.crc32((folder / "trials.parquet").read_bytes()),
        "metric": metric,
        "direction": direction,
    }
    tested = [trial for trial in ledger.trials.values() if trial.test]
    others = [{"kind": "test", "number": trial.number, "metrics": dict(trial.test)} for trial in tested]
    if ledger.kept is not None:
        others.append({"kind": "best", "number": ledger.kept})
    replace_bytes(folder / NAME, b"".join(map(encode, [first | {"lines": 1 + len(others)}, *others])))


def look(folder: Path) -> Glance:
    """The trials of a results folder, as quickly as can be; also while a run is writing to it.

    Raises: ResultsError where the folder is missing, is not a results folder, or cannot be read.
    """
    check_folder(folder)
    try:
        noted = _noted(folder)
        ledger = _from_tables(folder, noted) if noted else None
    except OSError:
        noted, ledger = [], None
    if noted:
        metric, direction = noted[0]["metric"], noted[0]["direction"]
    else:
        _, metric, direction = read_config(folder / "config.yaml")
    if ledger is not None:
        return Glance(ledger, metric, direction, ())
    records, damaged = read_log(folder / "log")
    return Glance(Ledger(records), metric, direction, damaged)


def _noted(folder: Path) -> list[Record]:
    """What `note` wrote; nothing where a line of it is missing or cannot be trusted."""
    if not (folder / NAME).exists():
        return []
    decoded = [decode(line) for line in (folder / NAME).read_bytes().splitlines()]
    records: list[Record] = [record for record in decoded if isinstance(record, dict)]
    return records if records and records[0].get("lines") == len(records) == len(decoded) else []


def _from_tables(folder: Path, noted: Sequence[Record]) -> Ledger | None:
    """The ledger of the tables and of what the log says since; None where the whole log must be read."""
    first, *others = noted
    content = (folder / "trials.parquet").read_bytes()
    since = _since(folder / "log", first["log"], first["size"])
    if since is None or first["size"] < SHORT_LOG_BYTES or zlib.crc32(content) != first["trials"]:
        return None
    ledger = Ledger(_records(content))
    for record in (*others, *since):
        ledger.add(record)
    return ledger


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
    from sweeps import arrow_columns  # noqa: PLC0415  (pyarrow, when the log is long enough to be worth it)

    columns = arrow_columns.read(content, lambda name: name in _NEEDED or name.startswith(_PREFIX))
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
