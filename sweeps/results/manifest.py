"""`tables.jsonl`, beside the tables: what they were made from. A table is believed if the manifest fits it.

It is written whenever the tables are, in lines of the log's own form, checksums included. The first line has the sizes
of the log's files at that moment, whether all their lines could be read, and the CRC-32 of each table; the others
repeat what the tables have no column for. Few readers look at the checksums inside Parquet, and CSV has none: these
say whether a table is damaged, and the sizes whether it is older than the log.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sweeps.log.jsonl import Damage
from sweeps.log.line import Record, decode, encode
from sweeps.log.trials import LoggedTrials
from sweeps.storage.files import replace_bytes
from sweeps.storage.paths import TABLES, RunFolder


class Manifest(NamedTuple):
    """`logs` are sizes in bytes, `tables` CRC-32s, both by file name; `others` are records."""

    logs: Mapping[str, int]
    tables: Mapping[str, int]
    is_whole: bool
    metric: str
    direction: str
    others: Sequence[Record]


def write_manifest(folder: RunFolder, logged: LoggedTrials, metric: str, direction: str, *, is_whole: bool) -> None:
    """Says that the tables in `folder` hold all that its log says now. `is_whole`: all of its lines could be read.

    Raises: ResultsError where the folder cannot be written.
    """
    first = {
        "kind": "tables",
        "logs": _sizes(folder),
        "tables": {name: zlib.crc32((folder.path / name).read_bytes()) for name in TABLES},
        "is_whole": is_whole,
        "metric": metric,
        "direction": direction,
    }
    tested = [trial for trial in logged.trials.values() if trial.test]
    others = [{"kind": "test", "number": trial.number, "metrics": dict(trial.test)} for trial in tested]
    if logged.kept is not None:
        others.append({"kind": "best", "number": logged.kept})
    replace_bytes(folder.manifest, b"".join(map(encode, [first | {"lines": 1 + len(others)}, *others])))


def read_manifest(folder: RunFolder) -> Manifest | None:
    """The manifest in `folder`; None where there is none, or a line of it is missing or cannot be trusted."""
    try:
        *lines, unended = folder.manifest.read_bytes().split(b"\n")
    except OSError:
        return None
    decoded = [decode(line) for line in lines]
    records: list[Record] = [record for record in decoded if isinstance(record, dict)]
    if unended or not records or not records[0].get("lines") == len(records) == len(decoded):
        return None
    first, *others = records
    given: dict[str, Any] = {name: first.get(name) for name in Manifest._fields if name != "others"}
    counts = [given[name].items() if isinstance(given[name], dict) else [("/", None)] for name in ("logs", "tables")]
    # A name with a folder in it would lead out of the results.
    is_sound = all(isinstance(count, int) and "/" not in name for each in counts for name, count in each)
    return None if None in given.values() or not is_sound else Manifest(**given, others=others)


def fault(folder: RunFolder, manifest: Manifest, name: str) -> str:
    """What is wrong with the table of that name: "missing", "damaged", or "" where it is as it was written."""
    try:
        content = (folder.path / name).read_bytes()
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "damaged"
    return "" if zlib.crc32(content) == manifest.tables.get(name) else "damaged"


def behind_bytes(folder: RunFolder, manifest: Manifest) -> int:
    """How much has come to the log since the tables were written."""
    return sum(max(size - manifest.logs.get(name, 0), 0) for name, size in _sizes(folder).items())


def lost(folder: RunFolder, manifest: Manifest) -> list[Damage]:
    """Where the log has become shorter since the tables were made from it, which no line of it can say."""
    sizes = _sizes(folder)
    found = []
    for name, size in sorted(manifest.logs.items()):
        missing = size - sizes.get(name, 0)
        if missing > 0:
            path = folder.log / name
            line = path.read_bytes().count(b"\n") + 1 if path.exists() else 1
            found.append(Damage(path, line, f"{missing:,} bytes that the tables were made from are missing from here"))
    return found


def is_current(folder: RunFolder) -> bool:
    """Whether all tables in `folder` are there, unharmed, and hold all that its log says now."""
    manifest = read_manifest(folder)
    if manifest is None or dict(manifest.logs) != _sizes(folder):
        return False
    return not any(fault(folder, manifest, name) for name in TABLES)


def _sizes(folder: RunFolder) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.log_files}
