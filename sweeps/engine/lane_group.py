"""A lane group: the lanes of one program that advance together, an epoch at a time.

The rule: host decisions meet compiled work in `advance` alone. Between two calls of it, lanes are admitted and retired;
during it, nobody else touches the lane group.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from sweeps.engine.checkpoints import Snapshot
from sweeps.engine.feed import Window
from sweeps.engine.program import EpochReport, Program
from sweeps.engine.programs import LaneTrial, Programs
from sweeps.engine.restore import Past, drift, fits, held, replaced, updates
from sweeps.training import lane as lanes
from sweeps.training.lane import LaneState, LaneValues
from sweeps.training.pytrees import on_host


class LaneEpoch(NamedTuple):
    """What one lane's epoch came to. `scores` is f32 `[2 + metrics]`: train loss, valid loss, metrics."""

    lane: int
    lane_trial: LaneTrial
    epoch: int
    scores: np.ndarray
    seconds: float


class _Latest(NamedTuple):
    """The last whole epoch of a lane."""

    scores: np.ndarray
    seconds: float


NOTHING_YET = _Latest(np.zeros(0, np.float32), 0.0)


class LaneGroup:
    """`lanes` holds who rides in each lane, or None. `virtual_time` is modelled work done, which orders events.

    `epochs` counts the epochs of each lane that `advance` has come back with, or that were in the log before. Once
    `keep_at` (in `time.monotonic()` seconds) has passed, `advance` leaves the lanes' state in `snapshots`. `awaited`
    are the lanes that the next `advance` is about; None for all.
    """

    def __init__(self, index: int, device: jax.Device, lane_count: int | None) -> None:
        self.index, self.device, self.lane_count = index, device, lane_count
        self.virtual_time, self.keep_at = 0.0, math.inf
        self.program: Program | None = None
        self.snapshots: list[Snapshot] = []
        self.notes: list[str] = []
        self.awaited: list[int] | None = None
        self._window: Window | None = None
        self._state: LaneState | None = None
        self._empty(lane_count or 1)

    @property
    def occupied(self) -> list[LaneTrial]:
        return [lane_trial for lane_trial in self.lanes if lane_trial is not None]

    def has_room(self, lane_trial: LaneTrial) -> bool:
        """Whether a trial can ride here: a lane is free, and the others (if any) run the same program."""
        riding = self.occupied
        return len(riding) < len(self.lanes) and all(other.program_key == lane_trial.program_key for other in riding)

    def admit(self, lane_trial: LaneTrial, program: Program, past: Past | None = None, lane: int | None = None) -> int:
        """Give a trial a free lane, from its first epoch on or from where its past ended; the lane's index."""
        if self.program is not program:
            self.program, self._window, self._state = program, program.feed.open(), None
            self.lane_count = program.lane_count
            self._empty(program.lane_count or 1)
        lane = self.lanes.index(None) if lane is None else lane
        self.lanes[lane], self.epochs[lane], self._trained[lane] = lane_trial, 0, 0
        self._latest[lane] = NOTHING_YET
        self._fresh.append(lane)
        if past is not None:
            self.epochs[lane], self._pasts[lane] = past.epochs, past
        return lane

    def lane_of(self, number: int) -> int:
        """The lane that a trial rides in."""
        return next(lane for lane, each in enumerate(self.lanes) if each is not None and each.number == number)

    def retire(self, lane: int) -> None:
        self.lanes[lane] = None

    def clear(self) -> None:
        """Empty every lane and forget their state, after an epoch that failed."""
        self.program, self._window, self._state, self.awaited = None, None, None, None
        self._empty(len(self.lanes))

    def next_virtual_time(self) -> float:
        """The virtual time after the next epoch: lanes that advance together wait for the most expensive."""
        return self.virtual_time + max(lane_trial.cost for lane_trial in self.occupied)

    def advance(self, stop: threading.Event) -> list[LaneEpoch]:
        """Take every awaited lane to the end of its epoch. Returns early, with nothing, once `stop` is set.

        A lane whose past is further than its state first trains what it lacks, and one whose state is an epoch ahead of
        its past has nothing to train.
        """
        assert self.program is not None
        self.program.compile()
        self._start_fresh_lanes()
        awaited = self.occupied_lanes() if self.awaited is None else self.awaited
        if self._pasts:
            self._catch_up(awaited, stop)
        self._train([lane for lane in awaited if self._trained[lane] == self.epochs[lane]], stop)
        if any(self._trained[lane] <= self.epochs[lane] for lane in awaited):
            return []
        self.awaited = None
        if time.monotonic() >= self.keep_at:
            self.snapshots, self.keep_at = self.snapshot(), math.inf
        return [self._lane_epoch(lane, *self._latest[lane]) for lane in awaited]

    def params(self, lane: int) -> Any:
        """A lane's parameters, with its model's state where it has one, as NumPy arrays: see `Variables.tree`."""
        assert self._state is not None
        tree = self._state.variables.tree
        return jax.tree.map(lambda leaf: on_host(leaf if self.lane_count is None else leaf[lane]), tree)

    def occupied_lanes(self) -> list[int]:
        return [lane for lane, lane_trial in enumerate(self.lanes) if lane_trial is not None]

    def snapshot(self) -> list[Snapshot]:
        """Every lane whose trial has begun, copied to the host."""
        begun = [lane for lane in self.occupied_lanes() if lane not in self._fresh]
        if self._state is None or not begun:
            return []
        state = held(self._state, self.lane_count is not None)
        return [self._snapshot_of(lane, state) for lane in begun]

    def _empty(self, count: int) -> None:
        self.lanes: list[LaneTrial | None] = [None] * count
        self.epochs = [0] * count
        self._trained = [0] * count  # whole epochs in the state
        self._latest = [NOTHING_YET] * count
        self._pasts: dict[int, Past] = {}  # of the lanes that have not caught up with theirs
        self._places: dict[int, int] = {}  # rows into the epoch, of lanes that are taken up within one
        self._fresh: list[int] = []

    def _catch_up(self, awaited: Sequence[int], stop: threading.Event) -> None:
        """Train the epochs that are in the log and not in the state; what they come to is only compared."""
        while not stop.is_set() and (behind := [lane for lane in awaited if self._trained[lane] < self.epochs[lane]]):
            for lane in self._train(behind, stop):
                self._compare(lane)
        for lane in [lane for lane in awaited if self._trained[lane] >= self.epochs[lane]]:
            self._pasts.pop(lane, None)

    def _train(self, training: list[int], stop: threading.Event) -> list[int]:
        """Take lanes to the end of the epoch that each is in; those that got there before `stop` was set."""
        assert self.program is not None
        chunk_rows = self.program.lane.chunk_rows
        chunk = min((self._places.pop(lane, 0) for lane in training), default=0) // chunk_rows
        started, waiting, ended = time.perf_counter(), set(training), []
        while waiting and not stop.is_set():
            report = self._call(self._values(sorted(waiting)), chunk)
            if np.min(np.atleast_1d(report.place)[sorted(waiting)]) >= (chunk + 1) * chunk_rows:
                chunk += 1
            for lane in sorted(waiting & set(np.flatnonzero(np.atleast_1d(report.finished)).tolist())):
                waiting.remove(lane)
                ended.append((lane, np.atleast_2d(report.scores)[lane]))
        seconds = time.perf_counter() - started
        for lane, scores in ended:
            self._trained[lane] += 1
            self._latest[lane] = _Latest(scores, seconds)
        return [lane for lane, _ in ended]

    def _call(self, values: LaneValues, chunk: int) -> EpochReport:
        assert self.program is not None
        assert self._window is not None
        assert self._state is not None
        begun = time.perf_counter()
        self._state, report = self.program.epoch(self._state, values, self._window(chunk), self.program.parts_per_call)
        self.program.pace(int(np.max(report.steps)), time.perf_counter() - begun)
        return report

    def _values(self, running: list[int]) -> LaneValues:
        """Lane values on the host, with no lane but `running` marked as running."""
        assert self.program is not None
        ints = np.zeros((len(self.lanes), lanes.INTS), np.int32)
        ints[:, lanes.BATCH_SIZE] = 1
        floats = np.zeros((len(self.lanes), len(self.program.lane.float_names)), np.float32)
        for lane in running:
            lane_trial = self.lanes[lane]
            assert lane_trial is not None
            ints[lane], floats[lane] = lane_trial.ints, lane_trial.floats
        values = LaneValues(ints, floats)  # type: ignore[arg-type]  # NumPy arrays travel with the call
        return values if self.lane_count is not None else LaneValues(ints[0], floats[0])

    def _start_fresh_lanes(self) -> None:
        assert self.program is not None
        if not self._fresh:
            return
        values = self._values(self.occupied_lanes())
        if self.lane_count is None or self._state is None:
            self._state = self.program.init(values)
        else:
            fresh = np.zeros(len(self.lanes), bool)
            fresh[self._fresh] = True
            self._state = self.program.admit(self._state, values, fresh)
        given = {lane: self._pasts[lane].snapshot for lane in self._fresh if lane in self._pasts}
        self._take_up({lane: snapshot for lane, snapshot in given.items() if snapshot is not None})
        self._fresh.clear()

    def _take_up(self, snapshots: dict[int, Snapshot]) -> None:
        """Put fresh lanes where their trials were."""
        if not snapshots:
            return
        assert self._state is not None
        state = held(self._state, self.lane_count is not None)
        for lane, snapshot in list(snapshots.items()):
            if not fits(snapshot, state):
                self.notes.append(
                    f"the checkpoint of trial {snapshot.number} is another model's: its epochs are trained again"
                )
                del snapshots[lane]
        self._state = replaced(self._state, self.lane_count is not None, snapshots, self.device)
        for lane, snapshot in snapshots.items():
            self._trained[lane], self._latest[lane] = snapshot.epoch, _Latest(snapshot.scores, snapshot.seconds)
            self._places[lane] = updates(snapshot) * int(snapshot.ints[lanes.BATCH_SIZE])

    def _compare(self, lane: int) -> None:
        """Tell once of a trial that does not come to what it came to before."""
        past, lane_trial, epoch = self._pasts.get(lane), self.lanes[lane], self._trained[lane]
        if past is None or lane_trial is None:
            return
        said = drift(lane_trial.number, epoch, self._latest[lane].scores, past.scores.get(epoch))
        if said:
            self.notes.append(said)
            self._pasts[lane] = past._replace(scores={})

    def _snapshot_of(self, lane: int, state: Mapping[str, np.ndarray]) -> Snapshot:
        lane_trial = self.lanes[lane]
        assert lane_trial is not None
        own = {name: leaf[lane] for name, leaf in state.items()}
        values = (*self._latest[lane], lane_trial.ints, lane_trial.floats)
        return Snapshot(lane_trial.number, self._trained[lane], *values, own)

    def _lane_epoch(self, lane: int, scores: np.ndarray, seconds: float) -> LaneEpoch:
        lane_trial = self.lanes[lane]
        assert lane_trial is not None
        self.epochs[lane] += 1
        return LaneEpoch(lane, lane_trial, self.epochs[lane], scores, seconds)


def alone(programs: Programs, lane_trial: LaneTrial) -> LaneGroup:
    """A trial in a lane group of its own, before its first epoch, on the first device."""
    device = programs.policy.devices[0]
    group = LaneGroup(0, device, programs.policy.lanes_per_group)
    group.admit(lane_trial, programs.program(lane_trial.program_key, device))
    return group
