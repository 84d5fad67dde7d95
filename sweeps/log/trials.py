"""What the log says of every trial. It is a pure fold: the same records give the same trials.

A trial's latest attempt is the trial: a start drops the epochs and the outcome of the attempts before it, and what an
older attempt still writes afterwards is not counted. The first outcome of an attempt stands. A log with gaps (damaged
lines) gives trials with gaps, never an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sweeps.log.line import Record

FAILURES = ("failed", "out_of_memory", "diverged")
"""Outcomes that have a reason worth counting."""
SIGNS = {"maximize": -1, "minimize": 1}
"""`Objective.sign` for a direction that was read from a file, without the config and its libraries."""
STATES = {"waiting": "WAITING", "running": "RUNNING", "completed": "COMPLETE", "pruned": "PRUNED", "diverged": "PRUNED"}


def general_reason(outcome: str, reason: str) -> str:
    """Why a trial ended; of one that diverged, by what, in whichever epoch it was.

    >>> general_reason("diverged", "not finite from epoch 3: valid_loss is nan")
    'valid_loss is nan'
    """
    return (reason.partition(": ")[2] or reason) if outcome == "diverged" else reason


class Epoch(NamedTuple):
    """One epoch of one trial: `iterations` and `examples` are cumulative, `seconds` is its own time on the device."""

    iterations: int
    examples: int
    train_loss: float
    valid_loss: float
    names: tuple[str, ...]
    values: tuple[float, ...]
    seconds: float

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics by their names."""
        return dict(zip(self.names, self.values, strict=True))

    def figure(self, name: str) -> float:
        """`train_loss`, `valid_loss` or a metric by its name; NaN where the epoch has none of that name."""
        if name == "train_loss":
            return self.train_loss
        if name == "valid_loss":
            return self.valid_loss
        return self.values[self.names.index(name)] if name in self.names else math.nan


@dataclass(slots=True)
class LoggedTrial:
    """What is known of one trial. Its `epochs` are keyed by repeat (from 0) and epoch (from 1)."""

    number: int
    params: Mapping[str, Any] = field(default_factory=dict)
    is_known: bool = False
    """Whether the log has its parameters: damage may have taken its proposal, and have left the rest."""
    attempt: int = 0
    start: Record = field(default_factory=dict)
    ending: Record = field(default_factory=dict)
    epochs: dict[tuple[int, int], Epoch] = field(default_factory=dict)
    test: Mapping[str, float] = field(default_factory=dict)
    took_s: float | None = None
    """Seconds from its start to its latest record, while runs went on; None where the log does not say."""
    seen: tuple[int, float] = (0, 0.0)
    """The run of its latest record, and when in that run."""
    is_paused: bool = False
    """Whether it has given up its lane until it is promoted."""

    @property
    def outcome(self) -> str:
        """The outcome's word, or "running" or "waiting" while there is none."""
        if self.ending:
            return str(self.ending.get("outcome"))
        return "running" if self.attempt else "waiting"

    @property
    def state(self) -> str:
        """The outcome in Optuna's words: COMPLETE, PRUNED, FAIL, RUNNING or WAITING."""
        return STATES.get(self.outcome, "FAIL")

    @property
    def value(self) -> float:
        """The objective's value as the sampler has it; NaN where there is none."""
        return _float(self.ending.get("value"))

    @property
    def repeat(self) -> int:
        """The repeat that ran last."""
        return max((repeat for repeat, _ in self.epochs), default=0)

    @property
    def epochs_run(self) -> int:
        """How many epochs of that repeat were run, also where the log has lost some of an ended trial's."""
        logged = self.ending.get("epochs")
        return logged if isinstance(logged, int) else max(self.epochs_of(self.repeat), default=0)

    @property
    def is_whole(self) -> bool:
        """Whether the log has all of those epochs."""
        return len(self.epochs_of(self.repeat)) == self.epochs_run

    @property
    def last(self) -> Epoch | None:
        """The last of those epochs; None where none was run, or the log has lost it."""
        return self.epochs.get((self.repeat, self.epochs_run))

    def epochs_of(self, repeat: int) -> dict[int, Epoch]:
        """The epochs of one repeat, by their number."""
        return {epoch: row for (of_repeat, epoch), row in self.epochs.items() if of_repeat == repeat}


class LoggedTrials:
    """The trials of a log by their number, kept up to date record by record."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.trials: dict[int, LoggedTrial] = {}
        self.metrics: dict[str, None] = {}
        self.kept: int | None = None
        """The number of the trial whose parameters are in `best/`."""
        self._configs: dict[Any, Any] = {}  # of the run that each worker is in
        self._runs = 0
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}  # one copy for all epochs of a sweep
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Takes one record of the log. Kinds that say nothing of a trial are passed over."""
        kind, number = record.get("kind"), record.get("number")
        if kind == "run":
            self._configs[record.get("worker")] = record.get("config")
            self._runs += 1
        if not isinstance(number, int):
            return
        if number in self.trials:
            _count_time(self.trials[number], record, self._runs)
        if kind == "epoch":
            self._add_epoch(self._trial(number), record)
        elif kind == "ask":
            trial = self._trial(number)
            trial.params, trial.is_known = record.get("params") or {}, "params" in record
        elif kind == "start":
            _start(self._trial(number), {**record, "config": self._configs.get(record.get("worker"))})
        elif kind == "outcome":
            _end(self._trial(number), record)
        elif kind == "test":
            self._trial(number).test = record.get("metrics") or {}
        elif kind == "best":
            self.kept = number

    def best(self, direction: str) -> LoggedTrial | None:
        """The completed trial with the best value, the earliest of equals; None where no trial has completed."""
        sign = SIGNS[direction]
        completed = [
            trial for trial in self.trials.values() if trial.state == "COMPLETE" and not math.isnan(trial.value)
        ]
        return min(completed, key=lambda trial: (sign * trial.value, trial.number), default=None)

    def _trial(self, number: int) -> LoggedTrial:
        trial = self.trials.get(number)
        if trial is None:
            trial = self.trials[number] = LoggedTrial(number)
        return trial

    def _add_epoch(self, trial: LoggedTrial, record: Record) -> None:
        if not _is_current(trial, record):
            return
        metrics = record.get("metrics") or {}
        self.metrics.update(dict.fromkeys(metrics))
        names = tuple(metrics)
        trial.epochs[record.get("repeat", 0), record.get("epoch", 0)] = Epoch(
            iterations=record.get("iterations", 0),
            examples=record.get("examples", 0),
            train_loss=_float(record.get("train_loss")),
            valid_loss=_float(record.get("valid_loss")),
            names=self._names.setdefault(names, names),
            values=tuple(map(_float, metrics.values())),
            seconds=_float(record.get("seconds")),
        )


def best_epoch(epochs: Mapping[int, Epoch], metric: str, direction: str) -> int | None:
    """The epoch with the best `metric`, the earliest of equals; None where no epoch has one. NaN is never the best."""
    sign = SIGNS[direction]
    figures = ((sign * row.figure(metric), epoch) for epoch, row in epochs.items())
    return min((pair for pair in figures if not math.isnan(pair[0])), default=(0.0, None))[1]


def _count_time(trial: LoggedTrial, record: Record, run: int) -> None:
    """By the clock of each run, which does not jump as the time of day may; not in pauses, and not between two runs.

    What comes before a `resume` is one or the other, also where the log has lost the record that a run began.
    """
    elapsed, kind, was_paused = record.get("elapsed"), record.get("kind"), trial.is_paused
    trial.is_paused = kind == "pause" or (was_paused and kind not in ("start", "resume"))
    if elapsed is None or trial.ending:
        return
    if kind == "start":
        trial.took_s = 0.0
    elif trial.took_s is not None and trial.seen[0] == run and not was_paused and kind != "resume":
        trial.took_s += max(elapsed - trial.seen[1], 0.0)
    trial.seen = run, elapsed


def _start(trial: LoggedTrial, record: Record) -> None:
    if not _is_current(trial, record):
        return
    trial.start, trial.ending = _only(record, ("time", "seed", "device", "worker", "config")), {}
    repeat = record.get("repeat", 0)
    for key in [key for key in trial.epochs if key[0] == repeat]:
        del trial.epochs[key]


def _end(trial: LoggedTrial, record: Record) -> None:
    if _is_current(trial, record) and not trial.ending:
        trial.ending = _only(record, ("kind", "time", "outcome", "reason", "value", "epochs"))


def _is_current(trial: LoggedTrial, record: Record) -> bool:
    """Whether the record is of the trial's latest attempt; a newer attempt becomes the latest first."""
    attempt = record.get("attempt", trial.attempt)
    if attempt > trial.attempt:
        trial.attempt = attempt
        trial.start, trial.ending = {}, {}
        trial.epochs.clear()
    return bool(attempt == trial.attempt)


def _only(record: Record, keys: tuple[str, ...]) -> Record:
    """What is looked at later; a sweep of many trials has better uses for its memory than the rest."""
    return {key: record[key] for key in keys if key in record}


def _float(value: Any) -> float:
    return math.nan if value is None else float(value)
