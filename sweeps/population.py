"""A population: the lanes of one program that advance together, an epoch at a time.

The rule: host decisions meet compiled work in `advance` alone. Between two calls of it, lanes are admitted and retired;
during it, nobody else touches the population.
"""

from __future__ import annotations

import threading
import time
from typing import Any, NamedTuple

import jax
import numpy as np

from sweeps.programs import Occupant
from sweeps.training import lane as lanes
from sweeps.training.epoch import Report
from sweeps.training.feed import Window
from sweeps.training.lane import LaneState, LaneValues
from sweeps.training.program import Program


class LaneEpoch(NamedTuple):
    """What one lane's epoch came to. `scores` is f32 `[2 + metrics]`: train loss, valid loss, metrics."""

    lane: int
    occupant: Occupant
    epoch: int
    scores: np.ndarray
    seconds: float


class Population:
    """`lanes` holds who rides in each lane, or None. `clock` is modelled work done, which orders events."""

    def __init__(self, index: int, device: jax.Device, lane_count: int | None) -> None:
        self.index, self.device, self.lane_count = index, device, lane_count
        self.lanes: list[Occupant | None] = [None] * (lane_count or 1)
        self.epochs = [0] * len(self.lanes)
        self.clock = 0.0
        self.program: Program | None = None
        self._window: Window | None = None
        self._state: LaneState | None = None
        self._fresh: list[int] = []

    @property
    def occupied(self) -> list[Occupant]:
        return [occupant for occupant in self.lanes if occupant is not None]

    def has_room(self, occupant: Occupant) -> bool:
        """Whether a trial can ride here: a lane is free, and the others (if any) run the same program."""
        riding = self.occupied
        return len(riding) < len(self.lanes) and all(other.signature == occupant.signature for other in riding)

    def admit(self, occupant: Occupant, program: Program) -> int:
        """Give a trial a free lane, from its first epoch on; the lane's index."""
        if self.program is not program:
            self.program, self._window, self._state = program, program.feed.open(), None
            self.lane_count = program.lane_count
            self.lanes = [None] * (program.lane_count or 1)
            self.epochs = [0] * len(self.lanes)
        lane = self.lanes.index(None)
        self.lanes[lane], self.epochs[lane] = occupant, 0
        self._fresh.append(lane)
        return lane

    def retire(self, lane: int) -> None:
        self.lanes[lane] = None

    def clear(self) -> None:
        """Empty every lane and forget their state, after an epoch that failed."""
        self.lanes, self.program, self._window, self._state = [None] * len(self.lanes), None, None, None
        self._fresh.clear()

    def next_clock(self) -> float:
        """The clock after the next epoch: lanes that advance together wait for the most expensive."""
        return self.clock + max(occupant.cost for occupant in self.occupied)

    def advance(self, stop: threading.Event) -> list[LaneEpoch]:
        """Take every occupied lane to the end of its epoch. Returns early, with nothing, once `stop` is set."""
        assert self.program is not None
        self.program.compile()
        values = self._values(self.occupied_lanes())
        self._start_fresh_lanes(values)
        started, waiting, epochs, chunk = time.perf_counter(), set(self.occupied_lanes()), [], 0
        while waiting and not stop.is_set():
            report = self._call(values, chunk)
            if np.min(np.atleast_1d(report.place)[sorted(waiting)]) >= (chunk + 1) * self.program.lane.chunk_rows:
                chunk += 1
            for lane in sorted(waiting & set(np.flatnonzero(np.atleast_1d(report.finished)).tolist())):
                waiting.remove(lane)
                epochs.append((lane, np.atleast_2d(report.scores)[lane]))
            values = self._values(sorted(waiting))
        seconds = time.perf_counter() - started
        return [] if waiting else [self._lane_epoch(lane, scores, seconds) for lane, scores in sorted(epochs)]

    def params(self, lane: int) -> Any:
        """A lane's parameters as NumPy arrays."""
        assert self._state is not None
        tree = self._state.params
        return jax.tree.map(lambda leaf: np.asarray(leaf if self.lane_count is None else leaf[lane]), tree)

    def occupied_lanes(self) -> list[int]:
        return [lane for lane, occupant in enumerate(self.lanes) if occupant is not None]

    def _call(self, values: LaneValues, chunk: int) -> Report:
        assert self.program is not None
        assert self._window is not None
        assert self._state is not None
        begun = time.perf_counter()
        self._state, report = self.program.epoch(self._state, values, self._window(chunk), self.program.parts_per_call)
        report = Report(*(np.asarray(leaf) for leaf in report))  # type: ignore[arg-type]  # on the host from here on
        self.program.pace(int(np.max(report.steps)), time.perf_counter() - begun)
        return report

    def _values(self, running: list[int]) -> LaneValues:
        """Lane values on the host, with no lane but `running` marked as running."""
        assert self.program is not None
        ints = np.zeros((len(self.lanes), lanes.INTS), np.int32)
        ints[:, lanes.BATCH_SIZE] = 1
        floats = np.zeros((len(self.lanes), len(self.program.lane.float_names)), np.float32)
        for lane in running:
            occupant = self.lanes[lane]
            assert occupant is not None
            ints[lane], floats[lane] = occupant.ints, occupant.floats
        values = LaneValues(ints, floats)  # type: ignore[arg-type]  # NumPy arrays travel with the call
        return values if self.lane_count is not None else LaneValues(ints[0], floats[0])

    def _start_fresh_lanes(self, values: LaneValues) -> None:
        assert self.program is not None
        if not self._fresh:
            return
        if self.lane_count is None or self._state is None:
            self._state = self.program.init(values)
        else:
            fresh = np.zeros(len(self.lanes), bool)
            fresh[self._fresh] = True
            self._state = self.program.admit(self._state, values, fresh)
        self._fresh.clear()

    def _lane_epoch(self, lane: int, scores: np.ndarray, seconds: float) -> LaneEpoch:
        occupant = self.lanes[lane]
        assert occupant is not None
        self.epochs[lane] += 1
        return LaneEpoch(lane, occupant, self.epochs[lane], scores, seconds)
