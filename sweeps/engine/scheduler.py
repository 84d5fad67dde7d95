"""The scheduler: every lane group of a sweep, and the threads that advance them.

Epochs come back in the order of the lane groups' virtual times, which count modelled work. So what the sampler learns
before it proposes a trial does not depend on how fast this machine happened to be, and neither do the tables.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, wait
from typing import Any, NamedTuple

import jax

from sweeps.engine.checkpoints import Checkpoints, Snapshot
from sweeps.engine.device_lanes import DeviceLanes
from sweeps.engine.devices import Policy
from sweeps.engine.lane_group import LaneGroup
from sweeps.engine.memory import TooManyLanesError, fewer_lanes, is_out_of_memory
from sweeps.engine.orders import Answer, LaneTrainer, Orders
from sweeps.engine.programs import LaneTrial, Programs
from sweeps.engine.restore import Past
from sweeps.engine.workers import Workers
from sweeps.log.placement import LanePlace, Placement
from sweeps.training.program_key import ProgramKey

MOST_EXTRA_GROUPS = 8
"""A vmapped lane group holds trials of one program; so many more may be made for programs that find no room."""


ANSWER_S = 5.0
"""So long a thread may take to end its device call when the run ends; a compilation or a device that hangs is left."""
COPY_S = 30.0
"""So long it may take to copy all lanes to the host."""


class ShortageError(Exception):
    """Memory did not suffice, and fewer lanes advance from now on: their trials can be placed again.

    `began` says whether they had begun to train.
    """

    def __init__(self, began: bool) -> None:
        super().__init__("there is not enough memory for so many lanes")
        self.began = began


class _Advance(NamedTuple):
    """An epoch under way, and how many lane groups were allowed to advance when it began.

    Without a future it is held back: it has its place in the order of events, and never comes to anything.
    """

    future: Future[Answer] | None
    at_once: int


class Scheduler:
    """Lane groups on devices. Use as a context manager: leaving it stops every device within a call's length.

    A thread that does not answer for `ANSWER_S` is left to itself. `left` then has a line about each.
    """

    def __init__(self, policy: Policy, programs: Programs, checkpoints: Checkpoints | None = None) -> None:
        self._policy, self._programs, self._checkpoints = policy, programs, checkpoints
        self._pools = {device: Workers(policy.threads_per_device, "lanes") for device in policy.devices}
        self._stop = threading.Event()
        self._advancing: dict[int, _Advance] = {}
        self._now = 0.0
        self._at_once = policy.groups + (0 if policy.is_mapped else MOST_EXTRA_GROUPS)
        self.groups: list[LaneGroup] = []
        self._trainers: list[LaneTrainer] = []  # of each group, its device side
        self.left: list[str] = []
        for _ in range(policy.groups):
            self._add_group()

    @property
    def lanes(self) -> int:
        return sum(len(group.lanes) for group in self.groups)

    @property
    def busy(self) -> int:
        return sum(len(group.occupied) for group in self.groups)

    def place(self, lane_trial: LaneTrial, past: Past | None = None) -> LaneGroup | None:
        """Give a trial a lane of a lane group that is not advancing; None while there is none for its program."""
        resting = [group for group in self.groups if group.index not in self._advancing]
        fitting = [group for group in resting if group.has_room(lane_trial)]
        if sum(1 for group in self.groups if group.occupied) >= self._at_once:
            fitting = [group for group in fitting if group.occupied]
        elif not fitting and not self._will_have_room(lane_trial):
            fitting = list(self._another_group())
        if not fitting:
            return None
        # The fullest first: lanes that advance together cost less than lanes in turns.
        group = max(fitting, key=lambda each: (len(each.occupied), -each.virtual_time, -each.index))
        if not group.occupied:
            group.virtual_time = max(group.virtual_time, self._now)
        group.admit(lane_trial, self._lane_count(group, lane_trial), past)
        return group

    def put_back(self, lane_trial: LaneTrial, place: LanePlace, past: Past) -> bool:
        """Give a trial the lane that it had in an earlier run; False where this scheduler has no such lane for it."""
        while place.group >= len(self.groups) and list(self._another_group()):
            pass
        if place.group >= len(self.groups):
            return False
        group = self.groups[place.group]
        lane_count = self._lane_count(group, lane_trial)
        if not group.runs(lane_trial.program_key):
            return False
        if not group.has_free(place.lane, lane_trial.program_key, lane_count):
            return False
        group.admit(lane_trial, lane_count, past, place.lane)
        return True

    def retire(self, group: LaneGroup, lane: int) -> None:
        """Free a lane of a group that rests."""
        group.retire(lane)

    def pause(self, group: LaneGroup, lane: int) -> Answer:
        """Free a lane of a group that rests, for a trial that will go on: its snapshot, or a note why there is none."""
        answer = self._trainers[group.index].advance(Orders(copied=(lane,)))
        group.retire(lane)
        return answer

    def params(self, number: int) -> Any:
        """The parameters of a trial whose group rests, as NumPy arrays; None where the trial has no lane."""
        for group, trainer in zip(self.groups, self._trainers, strict=True):
            lane = group.lane_of(number)
            if lane is not None:
                return trainer.params(lane)
        return None

    def resume(self, placement: Placement, *, is_held: bool) -> None:
        """Go on from an earlier run, once its trials are in their lanes; `is_held` as in `start`.

        A group that had set out and whose epoch had not come back sets out again, for the same virtual time. Where the
        earlier run ended between two lanes of an epoch, the others alone are awaited.
        """
        self._now = placement.now
        for group in self.groups:
            group.virtual_time = placement.virtual_times.get(group.index, 0.0)
            numbers = placement.awaited.get(group.index, set())
            lanes = [lane for lane, each in enumerate(group.lanes) if each is not None and each.number in numbers]
            if lanes:
                is_unsaid = group.index in placement.unsaid
                virtual_time = group.next_virtual_time() if is_unsaid else group.virtual_time
                group.awaited = lanes
                self._set_out(group, virtual_time, is_held=is_held)

    def start(self, *, is_held: bool = False) -> list[tuple[int, float]]:
        """Set every resting lane group that has trials to its next epoch, the one that is furthest behind first.

        Where they are held, none begins; but they take their places in the order of events, and no trial is placed with
        them any more. So what is dealt with until `earliest` comes to one of them is what would have been in any case.

        Returns: the groups that set out, each with the virtual time of its epoch's end.
        """
        resting = [each for each in self.groups if each.occupied and each.index not in self._advancing]
        free = max(self._at_once - len(self._advancing), 0)
        starting = sorted(resting, key=lambda each: (each.virtual_time, each.index))[:free]
        for group in starting:
            self._set_out(group, group.next_virtual_time(), is_held=is_held)
        return [(group.index, group.virtual_time) for group in starting]

    def earliest(self) -> LaneGroup | None:
        """The advancing lane group whose epoch ends first in virtual time; None when all rest, or that one is held."""
        advancing = [self.groups[index] for index in self._advancing]
        first = min(advancing, key=lambda each: (each.virtual_time, each.index), default=None)
        return first if first is not None and self._advancing[first.index].future is not None else None

    def is_ready(self, group: LaneGroup, timeout_s: float) -> bool:
        """Wait for a lane group's epoch for a while; whether it has ended."""
        return bool(wait([self._future(group)], timeout=timeout_s).done)

    def is_still(self, timeout_s: float) -> bool:
        """Wait for all epochs under way for a while; whether they have ended."""
        futures = [advance.future for advance in self._advancing.values() if advance.future is not None]
        return not wait(futures, timeout=timeout_s).not_done

    def snapshots(self) -> list[Snapshot]:
        """Where all lanes stand, those included whose epoch was not collected, but for those that do not answer.

        Only once the scheduler was left.
        """
        useless = {index for index, advance in self._advancing.items() if not _has_answered(advance.future)}
        found: list[Snapshot] = []
        copying = threading.Thread(target=self._copy, args=(useless, found), daemon=True)
        copying.start()
        copying.join(COPY_S)
        if copying.is_alive():
            self.left.append(f"not all lanes could be copied in {COPY_S:g} s: some trials go on from earlier epochs")
        return list(found)

    def collect(self, group: LaneGroup) -> Answer:
        """What an ended epoch came to. The lane group rests from here on.

        Raises:
            ShortageError: memory did not suffice; there are fewer lanes from now on, and its lanes are empty.
            Exception: what else ended the epoch, from compilation or the device; its lanes are empty now.
        """
        self._now = group.virtual_time
        advance, lane_trials = self._advancing.pop(group.index), group.occupied
        assert advance.future is not None
        try:
            answer = advance.future.result()
        except (Exception, SystemExit) as error:  # a user's model may raise either
            lanes = group.lane_count
            group.clear()
            is_helped = (
                self._have_fewer_at_once(error, advance.at_once)
                if lanes is None
                else self._have_fewer_lanes(error, lanes, lane_trials[0].program_key)
            )
            if is_helped:
                self._forget_the_idle()
                raise ShortageError(began=not isinstance(error, TooManyLanesError)) from error
            raise
        group.count(answer.epochs)
        return answer

    def __enter__(self) -> Scheduler:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for pool in self._pools.values():
            pool.close()
        futures = {index: advance.future for index, advance in self._advancing.items() if advance.future is not None}
        wait([future for future in futures.values() if not future.done()], timeout=ANSWER_S)
        for index in sorted(index for index, future in futures.items() if not future.done()):
            group = self.groups[index]
            trials = ", ".join(str(lane_trial.number) for lane_trial in group.occupied)
            self.left.append(
                f"lane group {index} on {group.device.platform}:{group.device.id} has not answered for {ANSWER_S:g} s "
                f"and is left: trial {trials} goes on from its last checkpoint"
            )

    def _copy(self, useless: set[int], found: list[Snapshot]) -> None:
        for group, trainer in zip(self.groups, self._trainers, strict=True):
            found += group.not_begun()
            if group.index not in useless:
                # The device side may not know yet that a trial has ended.
                numbers = {lane_trial.number for lane_trial in group.occupied}
                answer = trainer.advance(Orders(snapshots_after_s=0.0))
                found += [snapshot for snapshot in answer.snapshots if snapshot.number in numbers]
                self.left += answer.notes

    def _set_out(self, group: LaneGroup, virtual_time: float, *, is_held: bool) -> None:
        group.virtual_time, future = virtual_time, None
        if not is_held:
            due = math.inf if self._checkpoints is None else self._checkpoints.due(group.index)
            orders = group.take_orders(max(due - time.monotonic(), 0.0))
            future = self._pools[group.device].submit(self._trainers[group.index].advance, orders)
        self._advancing[group.index] = _Advance(future, self._at_once)

    def _future(self, group: LaneGroup) -> Future[Answer]:
        future = self._advancing[group.index].future
        assert future is not None
        return future

    def _lane_count(self, group: LaneGroup, lane_trial: LaneTrial) -> int | None:
        """A group keeps the lanes that it has as long as trials are in them, also where new ones would be fewer."""
        return group.lane_count if group.occupied else self._programs.lane_count(lane_trial.program_key)

    def _have_fewer_lanes(self, error: BaseException, lanes: int, program_key: ProgramKey) -> bool:
        """Go on with fewer lanes of a vmapped program, if that may help."""
        fewer = fewer_lanes(error, lanes)
        if fewer is not None:
            self._programs.shrink(program_key, fewer)
        return fewer is not None

    def _have_fewer_at_once(self, error: BaseException, at_once: int) -> bool:
        """Go on with fewer mapped lanes at once, if that may help; with one, once the others have ended."""
        fewer = fewer_lanes(error, at_once)
        if fewer is not None:
            self._at_once = min(self._at_once, fewer)
        return fewer is not None or (is_out_of_memory(error) and self.busy > 0)

    def _forget_the_idle(self) -> None:
        """Free what lane groups without a trial still hold of their last."""
        for group in self.groups:
            if not group.occupied:
                group.clear()
                self._trainers[group.index].advance(Orders(forgets=True))

    def _will_have_room(self, lane_trial: LaneTrial) -> bool:
        return any(group.runs(lane_trial.program_key) for group in self.groups)

    def _another_group(self) -> Iterator[LaneGroup]:
        if not self._policy.is_mapped and len(self.groups) < self._policy.groups + MOST_EXTRA_GROUPS:
            yield self._add_group()

    def _add_group(self) -> LaneGroup:
        index = len(self.groups)
        device = self._policy.devices[index % len(self._policy.devices)]
        self.groups.append(LaneGroup(index, device, self._policy.lanes_per_group))
        self._trainers.append(self._trainer(device))
        return self.groups[index]

    def _trainer(self, device: jax.Device) -> LaneTrainer:
        return DeviceLanes(self._programs, device, self._stop)


def _has_answered(future: Future[Answer] | None) -> bool:
    """Whether there is a state: an epoch that never began has left it, one that is under way or has failed has not."""
    if future is None or future.cancelled():
        return True
    return future.done() and future.exception() is None
