"""The device side of a lane group: program, window and state of its lanes, and how far each is within its epoch.

`advance` is where host decisions meet compiled work. The host knows a lane by the epochs that are in the log, and the
state may be elsewhere: behind, where a trial goes on from an older checkpoint, or an epoch ahead, where its log was cut
off. So each order names the epoch that it awaits of a lane, and `advance` trains what lies between.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from sweeps.engine.checkpoints import Snapshot
from sweeps.engine.feed import Window
from sweeps.engine.memory import is_out_of_memory
from sweeps.engine.orders import Admission, Answer, LaneEpoch, Orders
from sweeps.engine.program import EpochReport, Program
from sweeps.engine.programs import LaneTrial, Programs
from sweeps.engine.restore import Past, drift, fits, held, replaced, updates
from sweeps.training import lane as lanes
from sweeps.training.lane import LaneState, LaneValues
from sweeps.training.program_key import ProgramKey
from sweeps.training.pytrees import on_host


class _Latest(NamedTuple):
    """The last whole epoch of a lane."""

    scores: np.ndarray
    seconds: float


NOTHING_YET = _Latest(np.zeros(0, np.float32), 0.0)


class DeviceLanes:
    """A `LaneTrainer` in this process. Once `stop` is set, an `advance` ends after the device call under way."""

    def __init__(self, programs: Programs, device: jax.Device, stop: threading.Event | None = None) -> None:
        self._programs, self._device = programs, device
        self._stop = stop or threading.Event()
        self._notes: list[str] = []
        self._rows_again = 0
        self._forget()

    def advance(self, orders: Orders) -> Answer:
        """Carry out orders; see `LaneTrainer`."""
        began = time.monotonic()
        try:
            if orders.forgets:
                self._forget()
            for lane in orders.retired:
                self._trials[lane] = None
            if orders.admitted:
                self._admit(orders.admitted, orders.lane_count)
            epochs = self._take_to_end_of(orders.awaited) if orders.awaited else []
        except BaseException:
            self._forget()  # a call that raised has consumed the state
            raise
        snapshots: list[Snapshot] = []
        is_whole = len(epochs) == len(orders.awaited)
        if is_whole and time.monotonic() >= began + orders.snapshots_after_s:
            snapshots = self._snapshots(self._occupied())
        elif orders.copied:
            snapshots = self._snapshots(orders.copied)
        answer = Answer(epochs, snapshots, self._notes, self._rows_again)
        self._notes, self._rows_again = [], 0
        return answer

    def params(self, lane: int) -> Any:
        """A lane's parameters, with its model's state where it has one, as NumPy arrays: see `Variables.tree`."""
        assert self._state is not None
        tree = self._state.variables.tree
        return jax.tree.map(lambda leaf: on_host(leaf if self._lane_count is None else leaf[lane]), tree)

    @property
    def _lane_count(self) -> int | None:
        assert self._program is not None
        return self._program.lane_count

    def _forget(self) -> None:
        self._choice: tuple[ProgramKey, int | None] | None = None
        self._program: Program | None = None
        self._window: Window | None = None
        self._state: LaneState | None = None
        self._empty(0)

    def _empty(self, count: int) -> None:
        self._trials: list[LaneTrial | None] = [None] * count
        self._trained = [0] * count  # whole epochs in the state
        self._latest = [NOTHING_YET] * count
        self._pasts: dict[int, Past] = {}  # of the lanes that have not caught up with theirs
        self._places: dict[int, int] = {}  # rows into the epoch, of lanes that are taken up within one
        self._fresh: list[int] = []  # admitted, and not in the state yet

    def _admit(self, admitted: Sequence[Admission], lane_count: int | None) -> None:
        choice = (admitted[0].trial.program_key, lane_count)
        if choice != self._choice:
            self._forget()
            program = self._programs.program(choice[0], self._device, lane_count)
            self._choice, self._program, self._window = choice, program, program.feed.open()
            self._empty(lane_count or 1)
        for lane, trial, past in admitted:
            self._trials[lane], self._trained[lane], self._latest[lane] = trial, 0, NOTHING_YET
            self._places.pop(lane, None)
            self._pasts.pop(lane, None)
            if past is not None:
                self._pasts[lane] = past
        self._fresh += [each.lane for each in admitted if each.lane not in self._fresh]

    def _take_to_end_of(self, awaited: Mapping[int, int]) -> list[LaneEpoch]:
        """Take each awaited lane to the end of that epoch; nothing once `stop` is set."""
        assert self._program is not None
        self._program.compile()
        self._start_fresh_lanes()
        self._catch_up(awaited)
        self._train([lane for lane, epoch in awaited.items() if self._trained[lane] == epoch - 1])
        if any(self._trained[lane] < epoch for lane, epoch in awaited.items()):
            return []
        return [LaneEpoch(lane, self._number(lane), epoch, *self._latest[lane]) for lane, epoch in awaited.items()]

    def _catch_up(self, awaited: Mapping[int, int]) -> None:
        """Train the epochs that are in the log and not in the state; what they come to is only compared."""
        while not self._stop.is_set() and (
            behind := [lane for lane, epoch in awaited.items() if self._trained[lane] < epoch - 1]
        ):
            for lane in self._train(behind):
                self._compare(lane)
                trial = self._trials[lane]
                self._rows_again += 0 if trial is None else trial.examples
        for lane, epoch in awaited.items():
            if self._trained[lane] >= epoch - 1:
                self._pasts.pop(lane, None)

    def _train(self, training: list[int]) -> list[int]:
        """Take lanes to the end of the epoch that each is in; those that got there before `stop` was set.

        All lanes of a call read the same window of rows. It moves on when every lane that still trains has left its
        first chunk; a lane that is ahead waits at the end of the window.
        """
        assert self._program is not None
        chunk_rows = self._program.lane.chunk_rows
        chunk = min((self._places.pop(lane, 0) for lane in training), default=0) // chunk_rows
        started, waiting, ended = time.perf_counter(), set(training), []
        while waiting and not self._stop.is_set():
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
        assert self._program is not None
        assert self._window is not None
        assert self._state is not None
        began, limit = time.perf_counter(), self._program.parts_per_call
        self._state, report = self._program.epoch(self._state, values, self._window(chunk), limit)
        self._program.pace(int(np.max(report.steps)), time.perf_counter() - began)
        return report

    def _values(self, running: list[int]) -> LaneValues:
        """Lane values on the host, with no lane but `running` marked as running."""
        assert self._program is not None
        ints = np.zeros((len(self._trials), lanes.INTS), np.int32)
        ints[:, lanes.BATCH_SIZE] = 1
        floats = np.zeros((len(self._trials), len(self._program.lane.float_names)), np.float32)
        for lane in running:
            trial = self._trials[lane]
            assert trial is not None
            ints[lane], floats[lane] = trial.ints, trial.floats
        values = LaneValues(ints, floats)  # type: ignore[arg-type]  # NumPy arrays travel with the call
        return values if self._lane_count is not None else LaneValues(ints[0], floats[0])

    def _start_fresh_lanes(self) -> None:
        assert self._program is not None
        if not self._fresh:
            return
        values = self._values(self._occupied())
        if self._lane_count is None or self._state is None:
            self._state = self._program.init(values)
        else:
            fresh = np.zeros(len(self._trials), bool)
            fresh[self._fresh] = True
            self._state = self._program.admit(self._state, values, fresh)
        given = {lane: self._pasts[lane].snapshot for lane in self._fresh if lane in self._pasts}
        self._take_up({lane: snapshot for lane, snapshot in given.items() if snapshot is not None})
        self._fresh.clear()

    def _take_up(self, snapshots: dict[int, Snapshot]) -> None:
        """Put fresh lanes where their trials were."""
        if not snapshots:
            return
        assert self._state is not None
        state = held(self._state, self._lane_count is not None)
        for lane, snapshot in list(snapshots.items()):
            if not fits(snapshot, state):
                self._notes.append(
                    f"the checkpoint of trial {snapshot.number} is another model's: its epochs are trained again"
                )
                del snapshots[lane]
        self._state = replaced(self._state, self._lane_count is not None, snapshots, self._device)
        for lane, snapshot in snapshots.items():
            self._trained[lane], self._latest[lane] = snapshot.epoch, _Latest(snapshot.scores, snapshot.seconds)
            self._places[lane] = updates(snapshot) * int(snapshot.ints[lanes.BATCH_SIZE])

    def _compare(self, lane: int) -> None:
        """Tell once of a trial that does not come to what it came to before."""
        past, epoch = self._pasts.get(lane), self._trained[lane]
        if past is None:
            return
        said = drift(self._number(lane), epoch, self._latest[lane].scores, past.scores.get(epoch))
        if said:
            self._notes.append(said)
            self._pasts[lane] = past._replace(scores={})

    def _snapshots(self, which: Sequence[int]) -> list[Snapshot]:
        """Those of some lanes whose trial has begun, copied to the host."""
        begun = [lane for lane in which if lane not in self._fresh]
        if self._state is None or not begun:
            return []
        try:
            # A copy of many lanes on the device first would take its memory twice.
            is_few = 2 * len(begun) <= len(self._trials)
            state = held(self._state, self._lane_count is not None, begun if is_few else None)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            trials = ", ".join(str(self._number(lane)) for lane in begun)
            self._notes.append(f"there is no memory to copy trial {trials} for a checkpoint: an older one counts")
            return []
        return [self._snapshot_of(lane, row if is_few else lane, state) for row, lane in enumerate(begun)]

    def _snapshot_of(self, lane: int, row: int, state: Mapping[str, np.ndarray]) -> Snapshot:
        trial = self._trials[lane]
        assert trial is not None
        own = {name: leaf[row] for name, leaf in state.items()}
        return Snapshot(trial.number, self._trained[lane], *self._latest[lane], trial.ints, trial.floats, own)

    def _occupied(self) -> list[int]:
        return [lane for lane, trial in enumerate(self._trials) if trial is not None]

    def _number(self, lane: int) -> int:
        trial = self._trials[lane]
        assert trial is not None
        return trial.number


def alone(programs: Programs, trial: LaneTrial, past: Past | None = None) -> DeviceLanes:
    """Lanes on the first device with one trial, in lane 0, before its first epoch or where its past is taken up."""
    lanes_of_one = DeviceLanes(programs, programs.policy.devices[0])
    admission, lane_count = Admission(0, trial, past), programs.lane_count(trial.program_key)
    lanes_of_one.advance(Orders(admitted=[admission], lane_count=lane_count))
    return lanes_of_one
