"""When a sweep ran, and which lane each trial had, as the log tells it: a fold over its records.

A sweep may have been stopped for a night. So its clock counts the time in which it ran, without pauses between runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sweeps.log.line import Record
from sweeps.log.placement import LanePlace


class LaneSeconds(NamedTuple):
    """How the lanes of all runs spent their time, in seconds summed over lanes.

    `before` is from the beginning of a run to the beginning of a lane's first epoch: data are read and the program
    compiles. `training` is the time of epochs on the device, and `idle` the rest.
    """

    before: float
    training: float
    idle: float


class _Run:
    """One run: its first and last record's times, and of each lane the time and the seconds of its first epoch."""

    def __init__(self, began: str) -> None:
        self.began = self.ended = began
        self.first_epochs: dict[LanePlace, tuple[str, float]] = {}

    @property
    def seconds(self) -> float:
        return _between(self.began, self.ended)


class Timeline:
    """`lanes` holds the lane that each trial had last, by its number; `environment` is the last run's."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.lanes: dict[int, LanePlace] = {}
        self.environment: Mapping[str, Any] = {}
        self._training = 0.0
        self._runs: list[_Run] = []
        for record in records:
            self._add(record)

    @property
    def began(self) -> datetime | None:
        """When the first run began, in UTC; None without a log."""
        return _time(self._runs[0].began) if self._runs else None

    @property
    def seconds(self) -> float:
        """For how long the sweep has run."""
        return sum(run.seconds for run in self._runs)

    @property
    def runs(self) -> int:
        """How often it was run."""
        return len(self._runs)

    def clock(self, time: Any) -> float | None:
        """For how many seconds the sweep had run at a record's `time`; None where that is none."""
        if not isinstance(time, str) or not self._runs or _time(time) is None:
            return None
        passed = 0.0
        for run in self._runs:
            if time <= run.ended:
                return passed + max(_between(run.began, time), 0.0)
            passed += run.seconds
        return passed

    def lane_seconds(self) -> LaneSeconds:
        """How the lanes spent their time. A lane that a run did not use is not counted for it."""
        before = sum(
            max(_between(run.began, time) - seconds, 0.0)
            for run in self._runs
            for time, seconds in run.first_epochs.values()
        )
        whole = sum(run.seconds * len(run.first_epochs) for run in self._runs)
        return LaneSeconds(before, self._training, max(whole - before - self._training, 0.0))

    def _add(self, record: Record) -> None:
        kind, time, number = record.get("kind"), record.get("time"), record.get("number")
        if kind == "run":
            self.environment = record.get("environment") or {}
        if isinstance(time, str) and _time(time) is not None:
            if kind == "run" or not self._runs:
                self._runs.append(_Run(time))
            self._runs[-1].ended = max(time, self._runs[-1].ended)
        if not isinstance(number, int):
            return
        if kind in ("start", "resume") and isinstance(record.get("group"), int):
            self.lanes[number] = LanePlace(record["group"], record.get("lane") or 0)
        elif kind == "epoch" and self._runs and isinstance(record.get("seconds"), int | float):
            self._training += record["seconds"]
            if number in self.lanes and isinstance(time, str):
                self._runs[-1].first_epochs.setdefault(self.lanes[number], (time, record["seconds"]))


def _between(earlier: str, later: str) -> float:
    first, last = _time(earlier), _time(later)
    return (last - first) / timedelta(seconds=1) if first and last else 0.0


def _time(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
