"""`sweep replay`: one trial trained again, epoch by epoch, and what has changed since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from sweeps import environment
from sweeps.amounts import count
from sweeps.command import display
from sweeps.command.trust import require_trust
from sweeps.config import Draft, SweepConfig, as_draft
from sweeps.config.changes import Change, checksum_changes, fingerprint
from sweeps.config.code_fingerprint import sources
from sweeps.datasets.loading import ARRAYS, WEIGHTS, Datasets
from sweeps.errors import ResultsError
from sweeps.results.folder import project_folder
from sweeps.runner.reproduce import (
    ABSOLUTE,
    DIFFERENT,
    IDENTICAL,
    RELATIVE,
    Difference,
    Recorded,
    environment_changes,
    recorded,
    replay,
    verdict,
)
from sweeps.storage.paths import RunFolder
from sweeps.user_code import project_folders
from sweeps.validation import validate


def command(console: Console, folder: Path, number: int, *, trusts: bool = False) -> bool:
    """Print how a finished trial does when it is trained again; whether it is the same, within tolerance.

    Raises:
        SweepError: there is no such trial, the folder is another's and not trusted, or it cannot be trained any more.
    """
    trial = recorded(folder, number)
    require_trust(folder, trial.config_text, trial.signatures, trusts=trusts)
    draft, datasets = as_draft(trial.config_text, where=f"the config of {folder}"), Datasets()
    with project_folders(project_folder(RunFolder(folder))):
        config = _checked(draft, trial, folder, datasets)
        from sweeps.engine.compile_cache import keep_compiled
        from sweeps.engine.programs import Programs  # JAX, once it is known that there is a trial to train

        keep_compiled()
        programs = Programs(config, datasets)
        how = count(len(trial.epochs), "epoch")
        display.line(console, f"trial {number} of {folder}, {trial.outcome} after {how}, is trained again")
        found: list[Difference] = []
        for epoch, differences in enumerate(replay(trial, config, programs), start=1):
            display.line(console, f"  epoch {epoch:<4} {_of_epoch(trial, epoch, differences)}")
            found += differences
    now = environment.describe(config.seed, programs.policy.device_names)
    for text in (*_of_environments(trial, now, sources(config), datasets.checksums()), _in_all(found)):
        display.line(console, text)
    return verdict(found) != DIFFERENT


def _checked(draft: Draft, trial: Recorded, folder: Path, datasets: Datasets) -> SweepConfig:
    """The trial's config, if it is known, and what it names is there."""
    validate.examine(draft, datasets)
    config = draft.config()
    mark = fingerprint(config, sources(config))
    if trial.config not in ("", mark):
        raise ResultsError(
            f"trial {trial.number} was trained under another config or other code ({trial.config}) than {folder} has "
            f"({mark}), so it cannot be trained again"
        )
    return config


def _of_epoch(trial: Recorded, epoch: int, differences: list[Difference]) -> str:
    if epoch not in trial.epochs:
        return "is not in the log"
    if not differences:
        return IDENTICAL
    worst = max(differences, key=_size)
    return f"{verdict(differences)}: {worst.name} {worst.recorded:.9g} then, {worst.now:.9g} now"


def _of_environments(
    trial: Recorded, now: Mapping[str, Any], code: Mapping[str, str], data: Mapping[str, str]
) -> Iterator[str]:
    changed = [text for before in trial.environments for text in environment_changes(before, now)]
    changed += [f"the code of {each.path[1]} has changed" for each in checksum_changes("code", trial.code, code)]
    changed += [f"{data_words(each)} have changed" for each in checksum_changes("data", trial.data, data)]
    if not trial.environments:
        yield "environment: the log does not say where the trial was trained"
    elif not changed:
        yield "environment: the same"
    else:
        yield "environment: not the same"
        yield from (f"  {text}" for text in dict.fromkeys(changed))


def data_words(change: Change) -> str:
    """A dataset, or what a function reads from files, by the name that the log has."""
    name = str(change.path[1])
    return f"the {name}" if name.startswith((WEIGHTS, ARRAYS)) else f"the data of {name}"


def _in_all(found: list[Difference]) -> str:
    if not found:
        return IDENTICAL
    worst = max(found, key=_size)
    apart = f"the largest difference is {abs(worst.now - worst.recorded):.3g}, in {worst.name} of epoch {worst.epoch}"
    return f"{verdict(found)} (tolerance {RELATIVE:g} of the value + {ABSOLUTE:g}): {apart}"


def _size(difference: Difference) -> float:
    return difference.size
