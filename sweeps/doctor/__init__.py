"""The doctor: what is damaged, missing or unfinished in a results folder. The rule: it looks, and changes nothing.

It reads every file that a run leaves, also while one is writing, and takes no lock. `rebuild` alone writes: what can be
made from the log is made from the log, by the one who owns the folder meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sweeps import environment
from sweeps.doctor.arrays_state import best_findings, checkpoint_findings
from sweeps.doctor.files_state import (
    config_finding,
    environment_finding,
    last_run,
    leftover_findings,
    owner_finding,
    table_findings,
)
from sweeps.doctor.finding import Finding
from sweeps.doctor.log_state import log_findings, trial_findings
from sweeps.errors import ResultsError
from sweeps.log.jsonl import read_log
from sweeps.log.trials import LoggedTrials
from sweeps.results.folder import check_folder, read_config
from sweeps.results.manifest import lost, read_manifest, write_manifest
from sweeps.storage.files import replace_text
from sweeps.storage.lock import FolderLock, LockState, standing
from sweeps.storage.paths import RunFolder

__all__ = ["Finding", "examine", "rebuild"]


def examine(folder: Path) -> list[Finding]:
    """Everything that can be said of a results folder, part by part.

    Raises: ResultsError where it is missing, is not a results folder, or cannot be read.
    """
    check_folder(folder)
    try:
        owner, before = standing(RunFolder(folder)), None
        while owner != before:  # a run that begins or ends meanwhile would look like damage
            findings, before = list(_examine(folder, owner)), owner
            owner = standing(RunFolder(folder))
    except OSError as error:
        raise ResultsError(f"{folder} cannot be read: {error.strerror or error}") from error
    return findings


def rebuild(folder: Path) -> None:
    """Make the tables, `config.yaml` and `environment.json` anew from the log.

    Raises: ResultsError where a run is going on, or the folder cannot be read or written.
    """
    from sweeps.results.tables import TableFiles  # noqa: PLC0415  (pyarrow, when there is something to write)

    check_folder(folder)
    with FolderLock(RunFolder(folder)):
        records, damaged = read_log(folder / "log")
        logged, config = LoggedTrials(records), read_config(folder, records)
        TableFiles(logged, config.metric, config.direction, folder).write()
        write_manifest(folder, logged, config.metric, config.direction, is_whole=not damaged)
        replace_text(RunFolder(folder).config, config.text)
        if described := last_run(records).get("environment"):
            replace_text(RunFolder(folder).environment, environment.text(described))


def _examine(folder: Path, owner: LockState) -> Iterator[Finding]:
    note = read_manifest(folder)
    log = read_log(folder / "log")
    logged = LoggedTrials(log.records)
    yield from log_findings(folder, log, lost(folder, note) if note else [], is_live=owner.is_live)
    yield from trial_findings(logged.trials, is_live=owner.is_live)
    yield from table_findings(folder, note, is_live=owner.is_live)
    try:
        direction = note.direction if note else read_config(folder, log.records).direction
    except ResultsError as error:
        yield Finding("best", f"nobody knows which trial is the best: {error}", is_wrong=True)
    else:
        yield from best_findings(folder, logged.best(direction), is_live=owner.is_live)
    yield from checkpoint_findings(folder, logged.trials, is_live=owner.is_live)
    yield config_finding(folder, log.records, is_live=owner.is_live)
    yield environment_finding(folder, log.records, is_live=owner.is_live)
    yield owner_finding(owner)
    yield from leftover_findings(folder, is_live=owner.is_live)
