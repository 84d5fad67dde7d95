"""What `warm_start` takes from the results of an earlier sweep: its trials with a result that fit this search space."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sweeps.amounts import count
from sweeps.config.schema import Objective, SweepConfig
from sweeps.errors import ResultsError
from sweeps.log.jsonl import read_log
from sweeps.log.trials import LoggedTrial, LoggedTrials
from sweeps.results.folder import read_config, results_folder
from sweeps.study.warm_start import fitting
from sweeps.user_code import find_file

LEARNT_FROM = ("completed", "pruned", "diverged")


class EarlierSweep(NamedTuple):
    """The results of a sweep that `warm_start` names as `source`."""

    source: str
    config: SweepConfig
    logged: LoggedTrials


class Lessons(NamedTuple):
    """`trials` to learn from, as the log has them, and what is said of them in a line."""

    source: str
    trials: list[dict[str, Any]]
    said: str


def folder_of(source: str) -> Path:
    """The folder that a config means by `source`. Raises: ResultsError where there is none."""
    return find_file(source, ResultsError)


def read_earlier(source: str, objective: Objective) -> EarlierSweep:
    """An earlier sweep. Raises: ResultsError where it cannot be read, or had another objective."""
    folder = results_folder(folder_of(source))
    records, _ = read_log(folder.log)
    config = read_config(folder, records).config
    if config.objective != objective:
        theirs, ours = (f"{each.direction} {each.metric}" for each in (config.objective, objective))
        raise ResultsError(f"{source} must have the objective of this sweep, {ours}, but it has {theirs}")
    return EarlierSweep(source, config, LoggedTrials(records))


def lessons_of(earlier: EarlierSweep, config: SweepConfig) -> Lessons:
    """What `config` can learn of an earlier sweep. Raises: ResultsError where that is nothing."""
    found: list[dict[str, Any]] = []
    reasons: Counter[str] = Counter()
    without_result = 0
    for number, trial in sorted(earlier.logged.trials.items()):
        lesson = _lesson(trial, earlier.config)
        if lesson is None:
            without_result += 1
            continue
        fitted = fitting(config, {**earlier.config.fixed(), **trial.params})
        if isinstance(fitted, str):
            reasons[fitted] += 1
        else:
            found.append({"number": number, "params": fitted, **lesson})
    total = count(len(earlier.logged.trials), "trial")
    unfit = f"{reasons.total()} do not fit this search space ({reasons.most_common(1)[0][0]})" if reasons else ""
    lacking = f"{without_result} have no result" if without_result else ""
    rest = "; ".join(filter(None, (unfit, lacking)))
    if not found:
        raise ResultsError(f"there is nothing to learn from {earlier.source}: of {total} {rest or 'there is none'}")
    parts = {part: (getattr(earlier.config, part), getattr(config, part)) for part in ("dataset", "model", "loss")}
    other = [
        f"its {part} was {then.use}" for part, (then, now) in parts.items() if then and now and then.use != now.use
    ]
    said = f"learns from {len(found)} of {total} of {earlier.source}"
    rest = "; ".join(filter(None, (rest, *other)))
    return Lessons(earlier.source, found, f"{said}: {rest}" if rest else said)


def _lesson(trial: LoggedTrial, config: SweepConfig) -> Mapping[str, Any] | None:
    """How a trial ended, and its value; None where nothing can be learnt from it."""
    if trial.outcome not in LEARNT_FROM or not trial.is_known:
        return None
    epochs = trial.epochs_of(trial.repeat)
    figures = {epoch: row.figure(config.objective.metric) for epoch, row in epochs.items()}
    epoch = max((epoch for epoch, figure in figures.items() if math.isfinite(figure)), default=0)
    value = trial.value if trial.outcome == "completed" else figures.get(epoch, math.nan)
    if trial.outcome == "completed" and not math.isfinite(value):
        return None
    return {"outcome": trial.outcome, "value": value if math.isfinite(value) else None, "epoch": epoch}
