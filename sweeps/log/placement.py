"""The placement of trials: which trial is in which lane, who waits, and where each lane group is in virtual time.

It is folded from the log, so a log that was cut off at any record says where the sweep stood there. Everything that the
scheduler decides is in a record: `start` and `resume` say which trial took which lane, `set_out` which groups began an
epoch and when in virtual time it ends, `epoch`, `outcome` and `retry` what came back, `pause` and `promote` which
trials gave up their lanes for a while and wait for one again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from sweeps.errors import ResultsError
from sweeps.log.line import Record

FORMAT = 3
"""Of the log, in every `run` record: from 2 on there are `set_out` records, from 3 on `pause` and `promote`. A run
without it has format 1."""


class LanePlace(NamedTuple):
    """A trial's lane."""

    group: int
    lane: int


class Placement:
    """`places` of the trials that are in lanes, `ready`, those that wait for one, and `paused` ones, by number.

    `promoted` are those of the ready trials that were paused: they go on, and do not begin again.

    `virtual_times` has that of each lane group: of the end of the epoch that it has set out for, or of the last event.
    `awaited` has the groups that have set out, each with the trials whose epoch has not come back. `now` is the virtual
    time of the last epoch that came back. `attempts` counts how often each trial that has not ended was begun, and
    `retries` how often it was given another attempt for each outcome.

    `unsaid` are groups that set out in a run of format 1, whose log does not say when their epoch ends.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.places: dict[int, LanePlace] = {}
        self.ready: list[int] = []
        self.paused: set[int] = set()
        self.promoted: set[int] = set()
        self.virtual_times: dict[int, float] = {}
        self.awaited: dict[int, set[int]] = {}
        self.unsaid: set[int] = set()
        self.now = 0.0
        self.attempts: Counter[int] = Counter()
        self.retries: Counter[tuple[int, str]] = Counter()
        self._config: Any = None
        self._format = 1
        for record in records:
            self.add(record)

    @property
    def under_way(self) -> int:
        """How many trials have begun and not ended, paused ones included."""
        return len(self.places) + len(self.paused) + len(self.promoted)

    def add(self, record: Record) -> None:
        """Takes one record of the log."""
        kind, number = record.get("kind"), record.get("number")
        if kind == "run":
            self._format = format_of(record)
            self.enter(record.get("config"))
        elif kind == "set_out":
            for group, virtual_time in record.get("groups") or ():
                self._set_out(group, virtual_time)
        elif isinstance(number, int):
            match kind:
                case "ask":
                    self._ask(number, is_ahead=bool(record.get("ahead")))
                case "start" | "resume":
                    self._place(number, record)
                case "pause":
                    self._remove(number)
                    self.paused.add(number)
                case "promote" if number in self.paused:
                    self._remove(number)
                    self.promoted.add(number)
                    self.ready.append(number)
                case "epoch":
                    self._settle(number, record)
                case "outcome" | "retry":
                    self._settle(number, record)
                    self._leave(number, record)

    def enter(self, config: object) -> None:
        """A run with a config's fingerprint begins: trials that were begun under another one begin again, and first."""
        if config != self._config:
            self.ready[:0] = sorted(self.places.keys() | self.paused)
            self.places.clear()
            self.paused.clear()
            self.promoted.clear()
            self.awaited.clear()
        self._config = config

    def _ask(self, number: int, *, is_ahead: bool) -> None:
        self.ready.append(number)
        if is_ahead:
            self._set_out_unsaid()

    def _place(self, number: int, record: Record) -> None:
        if record["kind"] == "start":
            self.attempts[number] = record.get("attempt", 1)
        if "group" not in record:
            return  # it has the lane that it had
        self._remove(number)
        self.places[number] = LanePlace(record["group"], record["lane"])
        self.virtual_times[record["group"]] = record["virtual_time"]

    def _set_out(self, group: int, virtual_time: float) -> None:
        self.awaited[group] = {number for number, place in self.places.items() if place.group == group}
        self.virtual_times[group] = virtual_time
        self.unsaid.discard(group)

    def _settle(self, number: int, record: Record) -> None:
        place, virtual_time = self.places.get(number), record.get("virtual_time")
        if place is None or virtual_time is None:
            return
        self._set_out_unsaid()
        self.virtual_times[place.group] = self.now = virtual_time
        self.unsaid.discard(place.group)
        self._await_no_more(number)

    def _leave(self, number: int, record: Record) -> None:
        self._remove(number)
        if record["kind"] == "outcome":
            self.attempts.pop(number, None)
            return
        self.ready.insert(0, number)
        if not record.get("began", True):
            self.attempts[number] -= 1
        self.retries[number, str(record.get("outcome"))] += 1

    def _remove(self, number: int) -> None:
        self._await_no_more(number)
        self.places.pop(number, None)
        self.paused.discard(number)
        self.promoted.discard(number)
        if number in self.ready:
            self.ready.remove(number)

    def _await_no_more(self, number: int) -> None:
        place = self.places.get(number)
        if place is not None and place.group in self.awaited:
            self.awaited[place.group].discard(number)
            if not self.awaited[place.group]:
                del self.awaited[place.group]

    def _set_out_unsaid(self) -> None:
        """In a log of format 1: when an epoch comes back or a trial is asked for ahead, all groups had set out."""
        if self._format == 1:
            for group in {place.group for place in self.places.values()} - self.awaited.keys():
                self._set_out(group, self.virtual_times[group])
                self.unsaid.add(group)


def format_of(run: Record) -> int:
    """The format of a run's records, by its `run` record."""
    return int(run.get("format", 1))


def check_format(records: Iterable[Record]) -> None:
    """Refuses to continue a log that a later version has written to.

    Raises: ResultsError where a run's format is not known.
    """
    latest = max((format_of(record) for record in records if record.get("kind") == "run"), default=1)
    if latest > FORMAT:
        raise ResultsError(
            f"a later version of this package has written to this log (format {latest}, and this version knows "
            f"{FORMAT}). Continue the sweep with that version"
        )
