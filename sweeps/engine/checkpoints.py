"""Checkpoints: where each lane stood, in `checkpoints/`, so that a trial goes on and need not begin again.

A checkpoint changes no result. It only says where a trial's training can be taken up; without it, or with a damaged
one, the same epochs are trained once more. A file is one trial's and depends on no lane and no neighbour. Of each trial
the last two are kept, the older one until the newer is on the disk; none of a trial that has ended.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sweeps.engine.workers import Workers
from sweeps.errors import ResultsError
from sweeps.storage import npz
from sweeps.storage.paths import CHECKPOINT, checkpoint_file
from sweeps.storage.retry import GIVE_UP_S, LOGGER

if TYPE_CHECKING:
    from sweeps.engine.programs import LaneTrial  # JAX, which a reader of checkpoints need not have

GENERATIONS = 2
MOST_TIME = 1 / 20
"""Writing never takes more of the time than this; larger lanes are kept less often."""
STATE = "state."
AT_ONCE, ALONE, PAUSED = -1, -2, -3
"""In the place of a lane group: states that are written now, the best trial that is trained again, paused trials."""


class Snapshot(NamedTuple):
    """A lane between two calls. `state` has the leaves of its LaneState, by names that `pytrees.to_host` gave them.

    `epoch` whole epochs are done, the last of which came to `scores` (f32 `[2 + metrics]`, empty before the first) in
    `seconds`; the state may be further. `ints` and `floats` are the trial's values.
    """

    number: int
    epoch: int
    scores: np.ndarray
    seconds: float
    ints: np.ndarray
    floats: np.ndarray
    state: Mapping[str, np.ndarray]


class Kept(NamedTuple):
    """A checkpoint's file, and what its name says."""

    path: Path
    number: int
    attempt: int
    epoch: int


def kept(folder: Path) -> list[Kept]:
    """The checkpoints in a folder, by trial, the latest last. Files of other names are passed over."""
    found = ((path, CHECKPOINT.fullmatch(path.name)) for path in _listed(folder))
    every = [Kept(path, *map(int, match.groups())) for path, match in found if match]
    return sorted(every, key=lambda each: each[1:])


class Checkpoints:
    """Those of one run, written by a thread of their own; a refused write gives one warning, and holds nothing up.

    `config` is the fingerprint of the config under which the run's trials are trained. A lane group's lanes are kept
    every `seconds`, counted from the end of the last time. `notes` are lines about damaged files.
    """

    def __init__(self, folder: Path, config: str, seconds: float) -> None:
        self._folder, self._config, self._seconds = folder, config, seconds
        self._files: dict[int, list[Path]] = {}
        self._due: dict[int, float] = {}
        self._pool = Workers(1, "checkpoints")
        self._is_behind = self._is_left = False
        self.notes: list[str] = []

    def retain(self, numbers: Iterable[int]) -> None:
        """Look through the folder once, before anything else: what is not of these trials is removed."""
        wanted = set(numbers)
        for each in kept(self._folder):
            self._files.setdefault(each.number, []).append(each.path)
        self.drop([number for number in self._files if number not in wanted])

    def find(self, lane_trial: LaneTrial, attempt: int, epochs: int) -> Snapshot | None:
        """Where a trial's attempt can be taken up that has `epochs` whole epochs in the log; None for its beginning.

        At most one epoch ahead of the log: what came before that one would be lost.
        """
        self._settle()  # what is being written is looked for too
        for path in reversed(self._files.get(lane_trial.number, [])):
            match = CHECKPOINT.fullmatch(path.name)
            if match is None or int(match[2]) != attempt or int(match[3]) > epochs + 1:
                continue  # of another past: the log has lost what led to it
            try:
                snapshot = self._read(path)
            except ResultsError as error:
                self.notes.append(
                    f"{error}. Trial {lane_trial.number} goes on from an earlier one, or from its first epoch"
                )
                continue
            if snapshot is not None and _is_of(snapshot, lane_trial):
                return snapshot
        return None

    def due(self, group: int) -> float:
        """When the lane group's lanes are to be kept next, in `time.monotonic()` seconds."""
        return self._due.setdefault(group, time.monotonic() + self._seconds)

    def keep(self, group: int, snapshots: Sequence[tuple[int, Snapshot]]) -> None:
        """Have a lane group's lanes written, each with its trial's attempt. Their epochs must be in the log by now."""
        self._due[group] = math.inf  # until these are written
        self._pool.submit(self._keep, group, snapshots)

    def keep_now(self, snapshots: Sequence[tuple[int, Snapshot]]) -> None:
        """The same, and wait until they are on the disk, but not for ever."""
        self._pool.submit(self._keep, AT_ONCE, snapshots)
        self._settle()

    def move_to(self, folder: Path) -> None:
        """Write to another folder from now on, and leave to itself what is in this one."""
        self._folder, self._files = folder, {}

    def drop(self, numbers: Iterable[int]) -> None:
        """Remove the checkpoints of trials whose outcome is on the disk."""
        for number in numbers:
            # In this order: what was being written a moment ago is among the files now.
            if math.inf in self._due.values() or number in self._files:
                self._pool.submit(self._drop, number)

    def drop_all(self) -> None:
        """Remove all of them: the sweep is complete, and that is on the disk."""
        self._pool.submit(self._drop_all)

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for what is being written, but not for ever; leave no empty folder."""
        self._settle()
        self._pool.close()
        with suppress(OSError):
            self._folder.rmdir()

    def _settle(self) -> None:
        """Wait for all that the thread has to do. A disk that does not answer is left, and waited for once only."""
        if self._is_left:
            return
        try:
            self._pool.submit(lambda: None).result(timeout=GIVE_UP_S)
        except TimeoutError:
            self._is_left = True
            LOGGER.warning("checkpoints are not on the disk after %g s, and are left: older ones count", GIVE_UP_S)

    def _read(self, path: Path) -> Snapshot | None:
        found, about = npz.read(path)
        if about["config"] != self._config:
            return None
        state = {name.removeprefix(STATE): array for name, array in found.items() if name.startswith(STATE)}
        values = (found["scores"], float(about["seconds"]), found["ints"], found["floats"])
        return Snapshot(int(about["number"]), int(about["epoch"]), *values, state)

    def _keep(self, group: int, snapshots: Sequence[tuple[int, Snapshot]]) -> None:
        started = time.monotonic()
        for attempt, snapshot in snapshots:
            self._write(attempt, snapshot)
        ended = time.monotonic()
        self._due[group] = ended + max(self._seconds, (ended - started) / MOST_TIME)

    def _write(self, attempt: int, snapshot: Snapshot) -> None:
        number, epoch = snapshot.number, snapshot.epoch
        path = checkpoint_file(self._folder, number, attempt, epoch)
        about = {"number": number, "epoch": epoch, "seconds": snapshot.seconds, "config": self._config}
        held = {"scores": snapshot.scores, "ints": snapshot.ints, "floats": snapshot.floats}
        if not self._folder.parent.is_dir():
            return  # the whole folder is gone, which the log's next flush tells of; it must not be made anew here
        try:
            npz.write(path, {**held, **{STATE + name: leaf for name, leaf in snapshot.state.items()}}, about)
        except ResultsError as error:
            if not self._is_behind:
                LOGGER.warning("%s. The sweep goes on; checkpoints follow when they can be written", error)
            self._is_behind = True
            return
        self._is_behind = False
        *older, newest = [*(each for each in self._files.get(number, []) if each != path), path]
        for each in older[: 1 - GENERATIONS]:
            _remove(each)
        self._files[number] = [*older[1 - GENERATIONS :], newest]

    def _drop_all(self) -> None:
        for number in list(self._files):
            self._drop(number)

    def _drop(self, number: int) -> None:
        for path in self._files.pop(number, []):
            _remove(path)


def _is_of(snapshot: Snapshot, lane_trial: LaneTrial) -> bool:
    """Whether it is this trial's, with the values that it has by the log."""
    return (
        snapshot.number == lane_trial.number
        and np.array_equal(snapshot.ints, lane_trial.ints)
        and np.array_equal(snapshot.floats, lane_trial.floats)
    )


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []  # it is made when the first checkpoint is; one that may not be read is as good as none


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # a leftover is harmless, and is removed another time
