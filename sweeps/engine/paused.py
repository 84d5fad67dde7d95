"""Trials that have given up their lanes until they are promoted, and the states that they will go on from."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

from sweeps.engine.checkpoints import PAUSED, Checkpoints, Snapshot
from sweeps.engine.programs import LaneTrial
from sweeps.machine import memory_bytes

SHARE = 1 / 8
"""Of the machine's memory, for states of paused trials; what is more goes to the checkpoints' folder."""


class PausedTrials:
    """The paused trials of a run, by number.

    States are held in memory, and written as checkpoints when those are due. A state that is neither held nor written
    is trained once more. `attempt` answers which attempt a trial is in.
    """

    def __init__(self, checkpoints: Checkpoints, attempt: Callable[[int], int]) -> None:
        self._checkpoints, self._attempt = checkpoints, attempt
        self._most_bytes = (memory_bytes() or math.inf) * SHARE
        self._trials: dict[int, LaneTrial] = {}
        self._held: dict[int, Snapshot] = {}
        self._unwritten: set[int] = set()
        self._bytes = 0

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._trials))

    def add(self, lane_trial: LaneTrial, snapshot: Snapshot | None = None) -> None:
        """A trial is paused, with its state where there is one."""
        self._trials[lane_trial.number] = lane_trial
        if snapshot is None:
            return
        self._held[snapshot.number] = snapshot
        self._unwritten.add(snapshot.number)
        self._bytes += _size(snapshot)

    def take(self, number: int, epochs: int) -> tuple[LaneTrial, Snapshot | None]:
        """A trial that has so many epochs in the log is paused no more; its state where it was kept."""
        lane_trial, snapshot = self._trials.pop(number), self._let_go(number)
        return lane_trial, snapshot or self._checkpoints.find(lane_trial, self._attempt(number), epochs)

    def drop(self, number: int) -> None:
        """A trial has ended."""
        if self._trials.pop(number, None) is not None:
            self._let_go(number)

    @property
    def is_due(self) -> bool:
        """Whether states are to be written now: by the time, or because they take too much memory."""
        is_too_much = self._bytes > self._most_bytes
        return bool(self._unwritten) and (is_too_much or time.monotonic() >= self._checkpoints.due(PAUSED))

    def keep(self) -> None:
        """Have states written, whose epochs must be in the log by now, and let go of what takes too much memory."""
        self._checkpoints.keep(PAUSED, self.unwritten())
        self._unwritten.clear()
        while self._bytes > self._most_bytes:
            self._let_go(next(iter(self._held)))

    def unwritten(self) -> list[tuple[int, Snapshot]]:
        """States that are in memory alone, each after its trial's attempt."""
        return [(self._attempt(number), self._held[number]) for number in sorted(self._unwritten)]

    def _let_go(self, number: int) -> Snapshot | None:
        self._unwritten.discard(number)
        snapshot = self._held.pop(number, None)
        if snapshot is not None:
            self._bytes -= _size(snapshot)
        return snapshot


def _size(snapshot: Snapshot) -> int:
    return sum(leaf.nbytes for leaf in snapshot.state.values())
