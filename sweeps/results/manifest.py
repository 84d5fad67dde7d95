"""The note beside the tables, `tables.jsonl`: what they were made from. The rule: a table is believed if the note fits.

It is written whenever the tables are, in lines of the log's own form, checksums included. The first line has the sizes
of the log's files at that moment, whether all their lines could be read, and the CRC-32 of each table; the others
repeat what the tables have no column for. Parquet and CSV have no checksums of their own that every reader looks at, so
whoever wants to know whether a table is damaged, or older than the log, asks here.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sweeps.log.jsonl import Damage
from sweeps.log.line import decode, encode
from sweeps.log.trials import LoggedTrials, Record
from sweeps.storage.files import replace_bytes

NAME = "tables.jsonl"
TABLES = ("trials.parquet", "trials.csv", "history.parquet", "history.csv")


class Manifest(NamedTuple):
    """What a note says: `logs` are sizes in bytes, `tables` CRC-32s, both by file name; `others` are records."""

    logs: Mapping[str, int]
    tables: Mapping[str, int]
    is_whole: bool
    metric: str
    direction: str
    others: Sequence[Record]


def write_manifest(folder: Path, logged: LoggedTrials, metric: str, direction: str, *, is_whole: bool) -> None:
    """Notes that the tables in `folder` hold all that its log says now. `is_whole`: all of its lines could be read.

    Raises: ResultsError where the folder cannot be written.
    """
    first = {
        "kind": "tables",
        "logs": {path.name: path.stat().st_size for path in sorted((folder / "log").glob("*.jsonl"))},
        "tables": {name: zlib.crc32((folder / name).read_bytes()) for name in TABLES},
        "is_whole": is_whole,
        "metric": metric,
        "direction": direction,
    }
    tested = [trial for trial in logged.trials.values() if trial.test]
    others = [{"kind": "test", "number": trial.number, "metrics": dict(trial.test)} for trial in tested]
    if logged.kept is not None:
        others.append({"kind": "best", "number": logged.kept})
    replace_bytes(folder / NAME, b"".join(map(encode, [first | {"lines": 1 + len(others)}, *others])))


def read_manifest(folder: Path) -> Manifest | None:
    """The note in `folder`; None where there is none, or a line of it is missing or cannot be trusted."""
    try:
        *lines, unended = (folder / NAME).read_bytes().split(b"\n")
    except OSError:
        return None
    decoded = [decode(line) for line in lines]
    records: list[Record] = [record for record in decoded if isinstance(record, dict)]
    if unended or not records or not records[0].get("lines") == len(records) == len(decoded):
        return None
    first, *others = records
    told: dict[str, Any] = {name: first.get(name) for name in Manifest._fields if name != "others"}
    return None if None in told.values() else Manifest(**told, others=others)


def fault(folder: Path, note: Manifest, name: str) -> str:
    """What is wrong with the table of that name: "missing", "damaged", or "" where it is as it was written."""
    try:
        content = (folder / name).read_bytes()
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "damaged"
    return "" if zlib.crc32(content) == note.tables.get(name) else "damaged"


def behind_bytes(folder: Path, note: Manifest) -> int:
    """How much has come to the log since the tables were written."""
    return sum(max(size - note.logs.get(name, 0), 0) for name, size in _sizes(folder).items())


def lost(folder: Path, note: Manifest) -> list[Damage]:
    """Where the log has become shorter since the tables were made from it, which no line of it can say."""
    sizes = _sizes(folder)
    found = []
    for name, size in sorted(note.logs.items()):
        missing = size - sizes.get(name, 0)
        if missing > 0:
            path = folder / "log" / name
            line = path.read_bytes().count(b"\n") + 1 if path.exists() else 1
            found.append(Damage(path, line, f"{missing:,} bytes that the tables were made from are missing from here"))
    return found


def is_current(folder: Path) -> bool:
    """Whether all tables in `folder` are there, unharmed, and hold all that its log says now."""
    note = read_manifest(folder)
    if note is None or dict(note.logs) != _sizes(folder):
        return False
    return not any(fault(folder, note, name) for name in TABLES)


def _sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in (folder / "log").glob("*.jsonl")}
