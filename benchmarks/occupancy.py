"""How well a sweep filled its machine, read from its log. It uses nothing but what the log's records say.

All three figures are of the *full stretch*: from the beginning of the first epoch to the beginning of the last trial.
Before it the sweep starts up, after it there is no trial left to fill a lane with, and both are part of the wall times.

An epoch's record says when it was handled and how many seconds its device calls took. Lanes that advanced together in
one lane group share those seconds, which are the same float in each record and count once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

Records = Sequence[dict[str, Any]]


class Stretch(NamedTuple):
    """A stretch of time, in seconds since the epoch of the clock."""

    begin: float
    end: float

    @property
    def seconds(self) -> float:
        return max(0.0, self.end - self.begin)

    def within(self, other: Stretch) -> Stretch:
        return Stretch(max(self.begin, other.begin), min(self.end, other.end))


def full_stretch(records: Records) -> Stretch:
    """From the first epoch's beginning to the beginning of the last trial."""
    return Stretch(min(advance.begin for advance in advances(records)), max(map(moment, of_kind(records, "start"))))


def lanes_busy(records: Records) -> float:
    """The fraction of the lanes' time in which a trial was in them; there are as many lanes as were ever occupied."""
    whole = full_stretch(records)
    stays = [stay.within(whole) for stay in _stays(records)]
    return sum(stay.seconds for stay in stays) / (_most_at_once(_stays(records)) * whole.seconds)


def device_idle(records: Records, threads: int) -> float:
    """The fraction of the time of all threads that drive devices in which no device call was under way.

    On a CPU there is a thread for each core, on GPUs one for each.
    """
    whole = full_stretch(records)
    busy = sum(advance.within(whole).seconds for advance in advances(records))
    return 1 - busy / (threads * whole.seconds)


def examples_per_device_second(records: Records) -> float:
    """Training rows per second of device calls, of one thread; neither idle time nor start-up count."""
    epochs = of_kind(records, "epoch")
    rows = sum(record["examples"] // record["epoch"] for record in epochs)
    return float(rows / sum(advance.seconds for advance in advances(records)))


def advances(records: Records) -> Iterator[Stretch]:
    """When device calls were under way: once for each lane group's advance."""
    ends: dict[float, float] = {}
    for record in of_kind(records, "epoch"):
        ends.setdefault(record["seconds"], moment(record))
    for seconds, end in ends.items():
        yield Stretch(end - seconds, end)


def of_kind(records: Records, kind: str) -> list[dict[str, Any]]:
    return [record for record in records if record["kind"] == kind]


def moment(record: dict[str, Any]) -> float:
    """When a record was written, in seconds."""
    return datetime.fromisoformat(record["time"]).timestamp()


def _stays(records: Records) -> list[Stretch]:
    begins = {record["number"]: moment(record) for record in of_kind(records, "start")}
    outcomes = of_kind(records, "outcome")
    return [Stretch(begins[each["number"]], moment(each)) for each in outcomes if each["number"] in begins]


def _most_at_once(stays: Sequence[Stretch]) -> int:
    # At one moment, stays that end make room before others begin.
    changes = sorted([(stay.begin, 1) for stay in stays] + [(stay.end, -1) for stay in stays])
    present = most = 0
    for _, change in changes:
        present += change
        most = max(most, present)
    return most
