"""The placement of a scheduler: who rides where, who waits, and every virtual time. The rule: it is a fold over the
log.

So a log that was cut off at any record says where the sweep stood there, and what comes next is what would have come
next. What is not in a record follows from the order in which a sweep does things: while one lane group's epoch is
dealt with, all others that have trials advance; then trials are placed; then everyone who rests with trials sets out,
and only after that are trials asked for ahead of need.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from sweeps.log.trials import Record


class LanePlace(NamedTuple):
    """A trial's lane, and the lane group's virtual time at the trial's last event."""

    group: int
    lane: int
    virtual_time: float


class Placement:
    """`places` of the trials that ride and `ready`, those that wait for a lane, by number; `virtual_times` by lane
    group.

    `now` is the virtual time of the last epoch that was dealt with, `resting` are lane groups that had not set out
    again after their own; `attempts` counts how often each trial that has not ended was begun, and `retries` how often
    it was given another attempt for each outcome.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.places: dict[int, LanePlace] = {}
        self.ready: list[int] = []
        self.virtual_times: dict[int, float] = {}
        self.now = 0.0
        self.resting: set[int] = set()
        self.attempts: Counter[int] = Counter()
        self.retries: Counter[tuple[int, str]] = Counter()
        self._config: Any = None
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Takes one record of the log."""
        kind, number = record.get("kind"), record.get("number")
        if kind == "run":
            self.enter(record.get("config"))
        elif isinstance(number, int):
            match kind:
                case "ask":
                    self._ask(number, is_ahead=bool(record.get("ahead")))
                case "start" | "resume":
                    self._place(number, record)
                case "epoch":
                    self._settle(number, record)
                case "outcome" | "retry":
                    self._settle(number, record)
                    self._leave(number, record)

    def enter(self, config: object) -> None:
        """A run with a config's fingerprint begins: trials that were begun under another one begin again, and first."""
        if config != self._config:
            self.ready[:0] = sorted(self.places)
            self.places.clear()
        self._config = config

    def _ask(self, number: int, *, is_ahead: bool) -> None:
        self.ready.append(number)
        if is_ahead:
            self.resting.clear()

    def _place(self, number: int, record: Record) -> None:
        if record["kind"] == "start":
            self.attempts[number] = record.get("attempt", 1)
        if "group" not in record:
            return
        group, virtual_time = record["group"], record["virtual_time"]
        if number in self.ready:
            self.ready.remove(number)
        self.places[number] = LanePlace(group, record["lane"], virtual_time)
        self.virtual_times[group] = virtual_time
        self.resting.add(group)

    def _settle(self, number: int, record: Record) -> None:
        place, virtual_time = self.places.get(number), record.get("virtual_time")
        if place is None or virtual_time is None:
            return
        self.places[number] = place._replace(virtual_time=virtual_time)
        self.virtual_times[place.group] = self.now = virtual_time
        self.resting = {place.group}

    def _leave(self, number: int, record: Record) -> None:
        self.places.pop(number, None)
        if number in self.ready:
            self.ready.remove(number)
        if record["kind"] == "outcome":
            self.attempts.pop(number, None)
            return
        self.ready.insert(0, number)
        if not record.get("began", True):
            self.attempts[number] -= 1
        self.retries[number, str(record.get("outcome"))] += 1
