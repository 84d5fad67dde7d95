"""The state of the files that a run makes from its log: a file that says something else than the log is wrong.

The next `sweep run` makes each of them anew, and so does `sweep doctor --rebuild`, but for the best parameters.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sweeps import environment
from sweeps.amounts import count
from sweeps.config import parse_config
from sweeps.doctor.finding import Finding, listed
from sweeps.errors import SweepError
from sweeps.log.line import Record
from sweeps.results import manifest
from sweeps.results.folder import reason
from sweeps.results.manifest import Manifest
from sweeps.storage.files import leftovers
from sweeps.storage.lock import LockState
from sweeps.storage.paths import TABLES, RunFolder

REBUILD = "--rebuild makes them anew"
REMAKE = "--rebuild makes it anew, and so does the next `sweep run` that trains"


def table_findings(
    folder: RunFolder, made_from: Manifest | None, *, is_live: bool, ended_in_order: bool
) -> Iterator[Finding]:
    """Whether the tables are there, as they were written, and as new as the log of a run that `ended_in_order`."""
    existing = [name for name in TABLES if (folder.path / name).exists()]
    if made_from is None:
        yield _without_manifest(folder, existing, is_live=is_live)
        return
    faults = {name: fault for name in TABLES if (fault := manifest.fault(folder, made_from, name))}
    if faults and is_live:
        yield Finding("tables", "being written")
        return
    for name, fault in faults.items():
        yield Finding("tables", f"{name} is {fault}; {REBUILD}", is_wrong=True)
    behind = manifest.behind_bytes(folder, made_from)
    lost = manifest.lost(folder, made_from)
    if behind and not is_live and ended_in_order:
        text = f"they are older than the log, which has {count(behind, 'byte')} more; {REBUILD}"
        yield Finding("tables", text, is_wrong=True)
    elif behind and not is_live:
        more = f"{count(behind, 'byte')} of the log behind, as a run that was killed leaves them"
        yield Finding("tables", f"whole, {more}; the next `sweep run` brings them up to date, and so does --rebuild")
    if lost:
        yield Finding("tables", "they were made from a longer log, and may say more than it does", is_wrong=True)
    if not (faults or lost or (behind and not is_live)):
        text = f"whole, {count(behind, 'byte')} of the log behind" if behind else "whole, and say what the log says"
        yield Finding("tables", text)


def _without_manifest(folder: RunFolder, existing: Sequence[str], *, is_live: bool) -> Finding:
    is_there = folder.manifest.exists()
    if is_live and not is_there:
        return Finding("tables", "not written yet")
    if not existing and not is_there:
        return Finding("tables", f"missing; {REBUILD}", is_wrong=True)
    what = f"{folder.manifest.name} is damaged" if is_there else f"{folder.manifest.name} is missing"
    return Finding("tables", f"{what}, so that nobody knows whether they are whole; {REBUILD}", is_wrong=True)


def config_finding(folder: RunFolder, records: Sequence[Record], *, is_live: bool) -> Finding:
    """Whether `config.yaml` is what the last run was started with."""
    logged = last_run(records).get("yaml")
    return _compared(folder.config, logged, str if logged else parse_config, is_live=is_live)


def environment_finding(folder: RunFolder, records: Sequence[Record], *, is_live: bool) -> Finding:
    """Whether `environment.json` is the last run's environment."""
    described = last_run(records).get("environment")
    logged = environment.text(described) if described else None
    return _compared(folder.environment, logged, str if logged else json.loads, is_live=is_live)


def owner_finding(owner: LockState) -> Finding:
    """Who runs the sweep."""
    if not owner.words:
        return Finding("owner", "none")
    if owner.is_live:
        return Finding("owner", f"{owner.words}; it seems to be running")
    return Finding("owner", f"{owner.words} has ended without a word; the next `sweep run` takes over")


def leftover_findings(folder: RunFolder, *, is_live: bool) -> Iterator[Finding]:
    """Files under a temporary name, which a crash has left."""
    found = [] if is_live else leftovers(folder.path)
    if found:
        names = listed(path.relative_to(folder.path) for path in found)
        yield Finding("leftovers", f"{names}: half-written when a run was cut short; nothing reads them")


def last_run(records: Sequence[Record]) -> Record:
    """What the log says of the last run; {} where it says nothing."""
    runs = [record for record in records if record.get("kind") == "run"]
    return runs[-1] if runs else {}


def _compared(path: Path, logged: object, parse: Callable[[str], object], *, is_live: bool) -> Finding:
    """A file held against what the log says it must hold; where the log says nothing, it must be readable.

    A run writes these files a moment before it writes to the log.
    """
    try:
        found = parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Finding(path.name, f"missing; {REMAKE}", is_wrong=True)
    except (OSError, ValueError, RecursionError, SweepError) as error:
        return Finding(path.name, f"cannot be read ({reason(error)}); {REMAKE}", is_wrong=True)
    if logged is None:
        return Finding(path.name, "can be read; the log has nothing to compare it with")
    if found != logged:
        return Finding(path.name, f"is not what the log says of the last run; {REMAKE}", is_wrong=not is_live)
    return Finding(path.name, "whole")
