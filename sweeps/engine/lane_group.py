"""The host side of a lane group: which trial is in which lane, how far each is, and what is awaited of them.

Only the scheduler changes a lane group. What it decides between two epochs is collected here and goes to the device
side as one value, the `Orders`.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax

from sweeps.engine.checkpoints import Snapshot
from sweeps.engine.orders import Admission, LaneEpoch, Orders
from sweeps.engine.programs import LaneTrial
from sweeps.engine.restore import Past
from sweeps.training.program_key import ProgramKey


class LaneGroup:
    """`lanes` has the trial in each lane, or None. `virtual_time` is modelled work done, which orders events.

    `epochs` counts, by lane, the epochs that have come back or were in the log before. `awaited` are the lanes that the
    next epoch is about; None for all that have a trial. `lane_count` is the program's number of lanes; None for a
    mapped program, whose group has one lane.
    """

    def __init__(self, index: int, device: jax.Device, lane_count: int | None) -> None:
        self.index, self.device, self.lane_count = index, device, lane_count
        self.virtual_time = 0.0
        self.awaited: list[int] | None = None
        self._program_key: ProgramKey | None = None
        self._empty(lane_count or 1)

    @property
    def occupied(self) -> list[LaneTrial]:
        return [lane_trial for lane_trial in self.lanes if lane_trial is not None]

    def occupied_lanes(self) -> list[int]:
        return [lane for lane, lane_trial in enumerate(self.lanes) if lane_trial is not None]

    def runs(self, program_key: ProgramKey) -> bool:
        """Whether its trials (if any) run this program."""
        return all(other.program_key == program_key for other in self.occupied)

    def has_room(self, lane_trial: LaneTrial) -> bool:
        """Whether a trial can train here: a lane is free, and the others (if any) run the same program."""
        return len(self.occupied) < len(self.lanes) and self.runs(lane_trial.program_key)

    def has_free(self, lane: int, program_key: ProgramKey, lane_count: int | None) -> bool:
        """Whether this lane is free for a program of so many lanes; all are where the group takes it up anew."""
        if (program_key, lane_count) != (self._program_key, self.lane_count):
            return lane < (lane_count or 1)
        return lane < len(self.lanes) and self.lanes[lane] is None

    def lane_of(self, number: int) -> int | None:
        """The lane of a trial; None where it has none here."""
        return next((lane for lane, each in enumerate(self.lanes) if each is not None and each.number == number), None)

    def next_virtual_time(self) -> float:
        """The virtual time after the next epoch: lanes that advance together wait for the most expensive."""
        return self.virtual_time + max(lane_trial.cost for lane_trial in self.occupied)

    def admit(
        self, lane_trial: LaneTrial, lane_count: int | None, past: Past | None = None, lane: int | None = None
    ) -> int:
        """Give a trial a free lane, from its first epoch on or from where its past ended; the lane's index.

        `lane_count` is its program's; in a group that has trials already, it is the group's.
        """
        if (lane_trial.program_key, lane_count) != (self._program_key, self.lane_count):
            self._program_key, self.lane_count = lane_trial.program_key, lane_count
            self._empty(lane_count or 1)
        lane = self.lanes.index(None) if lane is None else lane
        self.lanes[lane], self.epochs[lane] = lane_trial, 0 if past is None else past.epochs
        self._admitted.append(Admission(lane, lane_trial, past))
        return lane

    def retire(self, lane: int) -> None:
        """Free a lane."""
        self.lanes[lane] = None
        self._retired.append(lane)
        self._admitted[:] = [each for each in self._admitted if each.lane != lane]

    def clear(self) -> None:
        """Empty every lane, where the device side holds nothing any more."""
        self._program_key, self.awaited = None, None
        self._empty(len(self.lanes))

    def take_orders(self, snapshots_after_s: float) -> Orders:
        """What was decided since the last orders, and the next epoch of every awaited lane."""
        lanes = self.occupied_lanes() if self.awaited is None else self.awaited
        orders = Orders(
            retired=tuple(self._retired),
            lane_count=self.lane_count,
            admitted=tuple(self._admitted),
            awaited={lane: self.epochs[lane] + 1 for lane in lanes},
            snapshots_after_s=snapshots_after_s,
        )
        self._retired.clear()
        self._admitted.clear()
        return orders

    def not_begun(self) -> list[Snapshot]:
        """Where trials stand that were admitted since the last orders, of those that go on."""
        pasts = [each.past for each in self._admitted]
        return [past.snapshot for past in pasts if past is not None and past.snapshot is not None]

    def count(self, epochs: Sequence[LaneEpoch]) -> None:
        """Take note of the epochs that were awaited."""
        self.awaited = None
        for each in epochs:
            self.epochs[each.lane] = each.epoch

    def _empty(self, count: int) -> None:
        self.lanes: list[LaneTrial | None] = [None] * count
        self.epochs = [0] * count
        self._admitted: list[Admission] = []  # since the last orders
        self._retired: list[int] = []
