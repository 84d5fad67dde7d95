"""The doctor: what is damaged, missing or unfinished in a results folder.

`examine` reads every file that a run leaves, also while one is writing; it takes no lock and changes nothing. `rebuild`
alone writes: it locks the folder and makes anew what can be made from the log.
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
from sweeps.doctor.log_state import log_findings, run_findings, trial_findings
from sweeps.errors import ResultsError
from sweeps.log.jsonl import read_log
from sweeps.log.trials import LoggedTrials
from sweeps.results.folder import read_config, results_folder
from sweeps.results.manifest import lost, read_manifest, write_manifest
from sweeps.storage.files import replace_text
from sweeps.storage.lock import FolderLock, LockState, lock_state
from sweeps.storage.paths import RunFolder

__all__ = ["Finding", "examine", "rebuild"]


def examine(path: Path) -> list[Finding]:
    """Everything that can be said of a results folder, part by part.

    Raises: ResultsError where it is missing, is not a results folder, or cannot be read.
    """
    folder = results_folder(path)
    try:
        owner, before = lock_state(folder), None
        while owner != before:  # a run that begins or ends meanwhile would look like damage
            findings, before = list(_examine(folder, owner)), owner
            owner = lock_state(folder)
    except OSError as error:
        raise ResultsError(f"{path} cannot be read: {error.strerror or error}") from error
    return findings


def rebuild(path: Path) -> None:
    """Make the tables, `config.yaml` and `environment.json` anew from the log.

    Raises: ResultsError where a run is going on, or the folder cannot be read or written.
    """
    from sweeps.results.tables import TableFiles  # pyarrow, when there is something to write

    folder = results_folder(path)
    with FolderLock(folder):
        records, damaged = read_log(folder.log)
        logged, config = LoggedTrials(records), read_config(folder, records)
        TableFiles(logged, config.metric, config.direction, folder).write()
        write_manifest(folder, logged, config.metric, config.direction, is_whole=not damaged)
        replace_text(folder.config, config.text)
        if described := last_run(records).get("environment"):
            replace_text(folder.environment, environment.text(described))


def _examine(folder: RunFolder, owner: LockState) -> Iterator[Finding]:
    manifest, log = read_manifest(folder), read_log(folder.log)
    logged = LoggedTrials(log.records)
    yield from log_findings(folder, log, lost(folder, manifest) if manifest else [], is_live=owner.is_live)
    yield from run_findings(log.records)
    yield from trial_findings(logged.trials, is_live=owner.is_live)
    ended_in_order = bool(log.records) and log.records[-1]["kind"] in ("stop", "finish")
    yield from table_findings(folder, manifest, is_live=owner.is_live, ended_in_order=ended_in_order)
    try:
        direction = manifest.direction if manifest else read_config(folder, log.records).direction
    except ResultsError as error:
        yield Finding("best", f"it is not known which trial is the best: {error}", is_wrong=True)
    else:
        yield from best_findings(folder, logged.best(direction), is_live=owner.is_live)
    yield from checkpoint_findings(folder, logged.trials, is_live=owner.is_live)
    yield config_finding(folder, log.records, is_live=owner.is_live)
    yield environment_finding(folder, log.records, is_live=owner.is_live)
    yield owner_finding(owner)
    yield from leftover_findings(folder, is_live=owner.is_live)
