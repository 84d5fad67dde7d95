"""What the host and the device side of a lane group say to each other: orders and answers, which are plain data.

Both can be pickled. So `advance` may be called in a thread of this process, as `Scheduler` does, or in another process
on another machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from sweeps.engine.checkpoints import Snapshot
from sweeps.engine.programs import LaneTrial
from sweeps.engine.restore import Past


class Admission(NamedTuple):
    """A trial that takes a lane, at its first epoch or, with a `past`, where that ended."""

    lane: int
    trial: LaneTrial
    past: Past | None = None


class Orders(NamedTuple):
    """What the lanes of a group do in one `advance`, in the order of these fields.

    `awaited` has the number of the epoch, from 1, that each of some lanes must come to the end of; the other lanes
    stay as they are. All trials of a group run the same program; `lane_count` is that of the admitted trials' program,
    None for a mapped one. Where it is not the program of the trials so far, their lanes must have been retired.
    """

    forgets: bool = False
    """Free what the device holds for these lanes."""
    retired: Sequence[int] = ()
    lane_count: int | None = None
    admitted: Sequence[Admission] = ()
    awaited: Mapping[int, int] = {}
    snapshots_after_s: float = math.inf
    """Copy every lane that has begun, unless the epochs took less time than this."""
    copied: Sequence[int] = ()
    """Copy these lanes in any case."""


class LaneEpoch(NamedTuple):
    """What an epoch of the trial `number` came to.

    `scores` is f32 `[2 + metrics]`: training loss, validation loss, metrics. `seconds` is the time of all lanes that
    trained side by side.
    """

    lane: int
    number: int
    epoch: int
    scores: np.ndarray
    seconds: float


class Answer(NamedTuple):
    """What the orders came to. `notes` are lines for the user; `rows_again` were trained that the log had already.

    `epochs` are those that were awaited: all of them, or none where the lanes were stopped before they ended.
    """

    epochs: Sequence[LaneEpoch]
    snapshots: Sequence[Snapshot]
    notes: Sequence[str]
    rows_again: int = 0


class LaneTrainer(Protocol):
    """What holds the device state of a lane group. One caller at a time."""

    def advance(self, orders: Orders) -> Answer:
        """Carry out orders.

        Raises:
            TooManyLanesError: the compiled program does not fit in its share of the device.
            Exception: what the model or the device raises. Afterwards nothing is held for any lane.
        """
        ...

    def params(self, lane: int) -> Any:
        """A lane's parameters after its last awaited epoch, and its model's state, as a tree of NumPy arrays."""
        ...
