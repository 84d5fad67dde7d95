"""Trials that wait for a lane."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sweeps.engine.checkpoints import Snapshot
from sweeps.engine.lane_group import LaneGroup
from sweeps.engine.programs import LaneTrial
from sweeps.engine.restore import Past
from sweeps.engine.scheduler import Scheduler


class ReadyTrials:
    """The trials that wait for a lane, in the order in which they get one; those that go on have a past."""

    def __init__(self) -> None:
        self._trials: list[LaneTrial] = []
        self._pasts: dict[int, Past] = {}

    def __len__(self) -> int:
        return len(self._trials)

    def __iter__(self) -> Iterator[int]:
        return iter([lane_trial.number for lane_trial in self._trials])

    def add(self, lane_trial: LaneTrial, past: Past | None = None) -> None:
        """A trial waits behind the others, to begin, or to go on from its past."""
        self._trials.append(lane_trial)
        if past is not None:
            self._pasts[lane_trial.number] = past

    def add_first(self, lane_trials: Sequence[LaneTrial]) -> None:
        """Trials that begin again wait before the others."""
        self._trials[:0] = lane_trials

    def place(self, scheduler: Scheduler) -> Iterator[tuple[LaneTrial, Past | None, LaneGroup]]:
        """Give lanes to those for whose programs there are any."""
        for lane_trial in list(self._trials):
            group = scheduler.place(lane_trial, self._pasts.get(lane_trial.number))
            if group is not None:
                self._trials.remove(lane_trial)
                yield lane_trial, self._pasts.pop(lane_trial.number, None), group

    def snapshots(self) -> list[Snapshot]:
        """The states that are to go on."""
        return [past.snapshot for past in self._pasts.values() if past.snapshot is not None]

    def clear(self) -> None:
        """None of them waits any more."""
        self._trials.clear()
        self._pasts.clear()
