"""Lanes that go on where they were: their state to the host and back, and whether they still come to the same.

A state that does not fit the program is not used, and the user gets a line about it. What is trained once more is never
recorded, only compared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from sweeps.engine.checkpoints import Snapshot
from sweeps.log.trials import LoggedTrial
from sweeps.training import pytrees
from sweeps.training.lane import LaneState

DRIFT = {"rtol": 1e-3, "atol": 1e-4}
"""How far an epoch that is trained once more may be from what was recorded before the user gets a line about it."""
CAUSES = (
    "Another machine or version of a library rounds otherwise; other data or code than then, or a model that draws "
    "random numbers by itself, can be the cause of more"
)

_PROGRESS = re.compile(r"\d+\.progress")  # a model's own leaves are further down


class Past(NamedTuple):
    """What a trial that goes on has behind it: its `epochs` in the log, and where its training can be taken up.

    `scores` are those epochs' scores by their number. Without a snapshot, they are all trained once more.
    """

    epochs: int
    scores: Mapping[int, Sequence[float]]
    snapshot: Snapshot | None

    @property
    def taken_up_at(self) -> int:
        """The whole epochs that need not be trained again."""
        return 0 if self.snapshot is None else self.snapshot.epoch


def past_of(entry: LoggedTrial, snapshot: Snapshot | None) -> Past:
    """The past of a trial that has no outcome yet."""
    rows = entry.epochs_of(entry.repeat)
    scores = {epoch: (row.train_loss, row.valid_loss, *row.values) for epoch, row in rows.items()}
    return Past(entry.epochs_run, scores, snapshot)


def held(state: LaneState, has_lanes: bool, which: Sequence[int] | None = None) -> Mapping[str, np.ndarray]:
    """Copies of a state's leaves on the host, each `[lanes, …]`; `which` lanes, or all of them."""
    if not has_lanes:
        return {name: leaf[None] for name, leaf in pytrees.to_host(state).items()}
    chosen = state if which is None else jax.tree.map(lambda leaf: leaf[np.asarray(which)], state)
    return pytrees.to_host(chosen)


def fits(snapshot: Snapshot, state: Mapping[str, np.ndarray]) -> bool:
    """Whether a snapshot's leaves are those of one lane of `state`: by name, shape and dtype."""
    return list(snapshot.state) == list(state) and all(
        (leaf.shape, leaf.dtype) == (state[name].shape[1:], state[name].dtype) for name, leaf in snapshot.state.items()
    )


def replaced(state: LaneState, has_lanes: bool, snapshots: Mapping[int, Snapshot], device: jax.Device) -> LaneState:
    """A state with these lanes as they were. `snapshots` must fit it."""
    arrays = held(state, has_lanes)
    for lane, snapshot in snapshots.items():
        for name, leaf in snapshot.state.items():
            arrays[name][lane] = leaf
    whole = arrays if has_lanes else {name: leaf[0] for name, leaf in arrays.items()}
    restored: LaneState = pytrees.to_device(whole, state, device)
    return restored


def drift(number: int, epoch: int, scores: np.ndarray, recorded: Sequence[float] | None) -> str:
    """A line about an epoch that was trained once more; "" where it came to what was recorded.

    >>> drift(3, 2, np.float32([0.5, 0.7]), [0.5, 0.7]), drift(3, 2, np.float32([0.5, 0.7]), None)
    ('', '')
    >>> drift(3, 2, np.float32([0.5, 0.7]), [0.5, 0.8])  # doctest: +ELLIPSIS
    'epoch 2 of trial 3 has a validation loss of 0.8 in the log, and came to 0.7 when it was trained once more. ...'
    """
    if recorded is None or np.allclose(scores, recorded, equal_nan=True, **DRIFT):
        return ""
    before, now = recorded[1], float(scores[1])
    return (
        f"epoch {epoch} of trial {number} has a validation loss of {before:.6g} in the log, and came to {now:.6g} when "
        f"it was trained once more. {CAUSES}"
    )


def updates(snapshot: Snapshot) -> int:
    """How many updates a snapshot's state is into the epoch after its last whole one."""
    return next(int(leaf[1]) for name, leaf in snapshot.state.items() if _PROGRESS.fullmatch(name))
