"""One finished trial trained again, to see whether it comes to the same numbers. Its folder is only read.

The trial trains alone, in the program that its sweep would use on this machine, for as many epochs as it had. What it
comes to is compared with the log, number by number: *identical* to the last bit, *within tolerance* (`RELATIVE` and
`ABSOLUTE` together, as `numpy.isclose` has them), or *different*. On a CPU a trial is the same alone and beside others,
so that anything but *identical* has a cause: another machine, version, model, or other data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sweeps.config import SweepConfig, metric_column, space
from sweeps.engine.device_lanes import alone
from sweeps.engine.orders import Orders
from sweeps.engine.programs import Programs
from sweeps.engine.restore import DRIFT
from sweeps.errors import ResultsError
from sweeps.log.jsonl import read_log
from sweeps.log.line import Record
from sweeps.log.trials import LoggedTrial, LoggedTrials
from sweeps.results.folder import read_config, results_folder

RELATIVE, ABSOLUTE = DRIFT["rtol"], DRIFT["atol"]
IDENTICAL, WITHIN, DIFFERENT = "identical", "within tolerance", "different"


class Difference(NamedTuple):
    """A number of one epoch that came out otherwise."""

    epoch: int
    name: str
    recorded: float
    now: float

    @property
    def size(self) -> float:
        """How far the two are apart, in units of the tolerance; above 1 they are different."""
        apart = abs(self.now - self.recorded)
        return apart / (ABSOLUTE + RELATIVE * abs(self.recorded)) if math.isfinite(apart) else math.inf

    @property
    def verdict(self) -> str:
        return WITHIN if self.size <= 1 else DIFFERENT


@dataclass(frozen=True)
class Recorded:
    """What the log says of a trial: its `epochs` by their number, each a mapping of names to numbers.

    `environments` are those of the runs that trained it, as `environment.json` has them. `config_text` is the config of
    the last of them. Where the log has lost it, it is the folder's, and `config` is the hash that it must have; ""
    where nothing is known, or nothing must be checked.
    """

    number: int
    outcome: str
    params: Mapping[str, Any]
    config: str
    config_text: str
    epochs: Mapping[int, Mapping[str, float]]
    environments: Sequence[Mapping[str, Any]]
    code: Mapping[str, str]
    """The checksums of the user's modules by their names, when it was trained; empty where that is not known."""
    data: Mapping[str, str]
    """The same of the datasets."""
    signatures: tuple[str, ...] = ()
    """Of the configs of all runs: one of them is that of `config_text`, unless a foreign hand has changed it."""


def recorded(folder: Path, number: int) -> Recorded:
    """The finished trial of that number, from the log.

    Raises: ResultsError where there is no such trial, or it has not ended, or the log has nothing to compare with.
    """
    files = results_folder(folder)
    records = read_log(files.log).records
    trials = LoggedTrials(records).trials
    if number not in trials:
        known = f"its trials are 0 to {max(trials)}" if trials else "it has no trials yet"
        raise ResultsError(f"{folder} has no trial {number}; {known}")
    entry = trials[number]
    if complaint := _not_replayable(entry):
        raise ResultsError(f"trial {number} of {folder} {complaint}")
    if not entry.is_known:
        raise ResultsError(f"the log of {folder} has lost the parameters of trial {number}")
    epochs = {
        epoch: {"train_loss": row.train_loss, "valid_loss": row.valid_loss, **row.metrics}
        for epoch, row in sorted(entry.epochs_of(entry.repeat).items())
    }
    runs = _runs(records, entry)
    environments = [run["environment"] for run in runs if run.get("environment")]
    if runs and runs[-1].get("yaml"):
        code, data = runs[-1].get("code") or {}, runs[-1].get("data") or {}
        config, text = "", runs[-1]["yaml"]
    else:
        code, data = {}, {}
        config, text = str(entry.start.get("config") or ""), read_config(files, records).text
    signed = tuple(record["signature"] for record in records if record.get("signature"))
    return Recorded(number, entry.outcome, entry.params, config, text, epochs, environments, code, data, signed)


def replay(trial: Recorded, config: SweepConfig, programs: Programs) -> Iterator[list[Difference]]:
    """Train the trial again: of each epoch, from the first on, what differs. Epochs that the log lacks have nothing.

    Raises: SweepError where the trial's own choices cannot be trained any more.
    """
    lane_trial = programs.lane_trial(trial.number, space.resolve(config, dict(trial.params)))
    names = ("train_loss", "valid_loss", *map(metric_column, config.metrics))
    lanes = alone(programs, lane_trial)
    for epoch in range(1, max(trial.epochs) + 1):
        (trained,) = lanes.advance(Orders(awaited={0: epoch})).epochs
        now = dict(zip(names, map(float, trained.scores), strict=True))
        before = trial.epochs.get(epoch, {})
        pairs = [(name, before[name], now.get(name, math.nan)) for name in before]
        yield [Difference(epoch, *pair) for pair in pairs if not _is_same(*pair[1:])]


def verdict(differences: Sequence[Difference]) -> str:
    """What several differences come to.

    >>> verdict([]), verdict([Difference(1, "valid_loss", 0.5, 0.50001)]), verdict([Difference(1, "a", 0.5, 0.6)])
    ('identical', 'within tolerance', 'different')
    """
    if not differences:
        return IDENTICAL
    return DIFFERENT if any(each.verdict == DIFFERENT for each in differences) else WITHIN


def environment_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two environments, a line each.

    >>> environment_changes({"python": "3.11.2", "packages": {"jax": "0.10.1"}}, {"packages": {"jax": "0.10.2"}})
    ['python: 3.11.2 then, unknown now', 'jax: 0.10.1 then, 0.10.2 now']
    """
    then_, now_ = _flat(before), _flat(now)
    names = [name for name in dict.fromkeys((*then_, *now_)) if then_.get(name) != now_.get(name)]
    return [f"{name}: {then_.get(name) or 'unknown'} then, {now_.get(name) or 'unknown'} now" for name in names]


def _not_replayable(entry: LoggedTrial) -> str:
    if not entry.ending:
        return f"has not ended: it is {entry.outcome}"
    is_comparable = bool(entry.epochs_of(entry.repeat))
    return "" if is_comparable else f"has no epochs in the log to compare with: it is {entry.outcome}"


def _runs(records: Sequence[Record], entry: LoggedTrial) -> list[Record]:
    """The records of the runs that trained the trial's latest attempt."""
    current: dict[Any, Record] = {}
    found: list[Record] = []
    for record in records:
        worker = record.get("worker")
        if record.get("kind") == "run":
            current[worker] = record
        is_training = record.get("kind") == "epoch" and record.get("number") == entry.number
        if is_training and record.get("attempt") == entry.attempt and worker in current:
            found += [current[worker]] if current[worker] not in found[-1:] else []
    return found


def _flat(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Without levels, and without what is no part of a machine."""
    packages = environment.get("packages") or {}
    rest = {key: value for key, value in environment.items() if key not in ("packages", "seed", "project")}
    devices = {"devices": ", ".join(map(str, rest.pop("devices", [])))}
    return {**rest, **packages, **devices}


def _is_same(before: float, now: float) -> bool:
    return before == now or (math.isnan(before) and math.isnan(now))
