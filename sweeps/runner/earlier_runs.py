"""What the log had when a run began: the records of the runs before it.

It is one value, made when the log is opened and read by everything that goes on from there (config, study, placement,
time). No part of a run keeps it, because its records may be many.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sweeps.log.line import Record
from sweeps.log.trials import LoggedTrial

if TYPE_CHECKING:
    from sweeps.study import StudyEvent  # a study is not needed to look at a log


class EarlierRuns:
    """`records` of all earlier runs, in the order of the log, and the `trials` that they come to."""

    def __init__(self, records: Sequence[Record], trials: Mapping[int, LoggedTrial]) -> None:
        self.records, self.trials = records, trials

    @property
    def is_finished(self) -> bool:
        """Whether the last run came to the end of the sweep."""
        return bool(self.records) and self.records[-1]["kind"] == "finish"

    @property
    def code(self) -> Mapping[str, str]:
        """The checksums of the user's modules in the last run that says so."""
        return self._last("code")

    @property
    def data(self) -> Mapping[str, str]:
        """The checksums of datasets in the last run that says so."""
        return self._last("data")

    @property
    def lanes(self) -> Mapping[str, int]:
        """How many lanes `auto` has chosen, by the platform of the devices."""
        return self._last("lanes")

    @property
    def environment(self) -> Mapping[str, Any]:
        """The environment of the last run that says so."""
        return self._last("environment")

    @property
    def sources(self) -> frozenset[str]:
        """The earlier sweeps whose trials are in this log, as the config has named them."""
        return sources_in(self.records)

    def _last(self, field: str) -> Mapping[str, Any]:
        found = (record[field] for record in reversed(self.records) if isinstance(record.get(field), dict))
        return next(found, {})

    def seconds_used(self) -> float:
        """How long the runs lasted, each until its last record."""
        total, begun, last = 0.0, None, None
        for record in self.records:
            if record["kind"] == "run":
                total += _run_seconds(begun, last)
                begun = record
            last = record
        return total + _run_seconds(begun, last)

    def study_events(self, config: str, metric: str) -> Iterator[StudyEvent]:
        """What the study heard, and must hear again in a run of this `config` (its fingerprint).

        That is everything of trials that have ended or go on, an earlier attempt's reports included. Only reports under
        another config than the trial's last attempt are left out: to the study, that attempt was the first. A trial
        whose proposal the log has lost is one that failed.
        """
        configs: dict[Any, Any] = {}  # of the run that each worker is in
        asked = 0
        for record in self.records:
            kind, number = record["kind"], record.get("number")
            if kind == "warm_start":
                fields = ("params", "outcome", "value", "epoch")
                yield from (("learn", *(trial[field] for field in fields)) for trial in record["trials"])
            if kind == "run":
                configs[record["worker"]] = record.get("config")
            entry = self.trials.get(number) if isinstance(number, int) else None
            if entry is None:
                continue
            yield from (("lost", lost) for lost in range(asked, entry.number + (not entry.is_known)))
            asked = max(asked, entry.number + 1)
            of_trial = entry.start.get("config")
            is_counted = configs.get(record["worker"]) == of_trial and (entry.ending or of_trial == config)
            is_ending = kind == "outcome" and bool(entry.ending) and record.get("attempt") == entry.attempt
            if not entry.is_known:
                if is_ending:
                    yield ("tell", entry.number, "failed", None)
            elif kind == "ask":
                yield ("ask", entry.number, record["params"])
            elif kind == "epoch" and is_counted:
                yield ("report", entry.number, record["epoch"], _figure(record, metric))
            elif kind == "promote" and is_counted:
                yield ("promote", entry.number)
            elif is_ending:
                yield ("tell", entry.number, record["outcome"], record["value"])


def sources_in(records: Iterable[Record]) -> frozenset[str]:
    """The earlier sweeps that records have the trials of."""
    return frozenset(record["source"] for record in records if record["kind"] == "warm_start")


def _run_seconds(first: Record | None, last: Record | None) -> float:
    """Seconds of a run, by its clock, which begins before its first record; earlier logs have the time of day alone."""
    if first is None or last is None:
        return 0.0
    if "elapsed" in first and "elapsed" in last:
        return float(last["elapsed"])
    moments = (datetime.fromisoformat(each["time"]) for each in (last, first))
    return max((next(moments) - next(moments)).total_seconds(), 0.0)


def _figure(record: Record, metric: str) -> float:
    """The objective in an epoch's record."""
    value = record.get(metric, record.get("metrics", {}).get(metric))
    return float(value)
