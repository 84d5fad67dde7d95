"""The scheduler: every lane group of a sweep, and the threads that advance them.

The rule: events come in the order of the lane groups' virtual times, which count modelled work. So what the sampler
learns before it proposes a trial does not depend on how fast this machine happened to be, and neither do the tables.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from sweeps.engine.checkpoints import Checkpoints, Snapshot
from sweeps.engine.devices import Policy
from sweeps.engine.lane_group import LaneEpoch, LaneGroup
from sweeps.engine.memory import TooManyLanesError, fewer_lanes, is_out_of_memory
from sweeps.engine.programs import LaneTrial, Programs
from sweeps.engine.restore import Past
from sweeps.log.placement import LanePlace, Placement
from sweeps.training.program_key import ProgramKey

MOST_EXTRA_GROUPS = 8
"""A vmapped lane group holds trials of one program; so many more may be made for programs that find no room."""


class ShortageError(Exception):
    """Memory did not suffice, and fewer lanes advance from now on: the trials that rode can be placed again.

    `began` says whether they had begun to train.
    """

    def __init__(self, began: bool) -> None:
        super().__init__("there is not enough memory for so many lanes")
        self.began = began


class _Advance(NamedTuple):
    """An epoch under way, and how many lane groups were allowed to advance when it began.

    Without a future it is held back: it has its place in the order of events, and never comes to anything.
    """

    future: Future[list[LaneEpoch]] | None
    at_once: int


class Scheduler:
    """Lane groups on devices. Use as a context manager: leaving it stops every device within a call's length."""

    def __init__(self, policy: Policy, programs: Programs, checkpoints: Checkpoints | None = None) -> None:
        self._policy, self._programs, self._checkpoints = policy, programs, checkpoints
        self._pools = {device: ThreadPoolExecutor(policy.threads_per_device) for device in policy.devices}
        self._stop = threading.Event()
        self._advancing: dict[int, _Advance] = {}
        self._now = 0.0
        self._at_once = policy.groups + (0 if policy.is_mapped else MOST_EXTRA_GROUPS)
        self.groups = [self._group(index) for index in range(policy.groups)]

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
        running = group.program if group.occupied else None
        if not group.occupied:
            group.virtual_time = max(group.virtual_time, self._now)
        program = running or self._programs.program(lane_trial.program_key, group.device)
        group.admit(lane_trial, program, past)
        return group

    def put_back(self, lane_trial: LaneTrial, place: LanePlace, past: Past) -> bool:
        """Give a trial the lane that it had in an earlier run; False where this scheduler has no such lane for it."""
        while place.group >= len(self.groups) and list(self._another_group()):
            pass
        if place.group >= len(self.groups):
            return False
        group = self.groups[place.group]
        if any(other.program_key != lane_trial.program_key for other in group.occupied):
            return False
        program = group.program if group.occupied else None
        program = program or self._programs.program(lane_trial.program_key, group.device)
        is_taken = program is group.program and group.lanes[place.lane : place.lane + 1] != [None]
        if place.lane >= (program.lane_count or 1) or is_taken:
            return False
        group.admit(lane_trial, program, past, place.lane)
        return True

    def resume(self, placement: Placement, *, is_held: bool) -> None:
        """Take up the virtual times of an earlier run, and set out with whoever had; `is_held` as in `start`."""
        self._now = placement.now
        for group in self.groups:
            group.virtual_time = placement.virtual_times.get(group.index, 0.0)
            late = [
                lane
                for lane, lane_trial in enumerate(group.lanes)
                if lane_trial is not None and placement.places[lane_trial.number].virtual_time != group.virtual_time
            ]
            if late:  # the run ended while this lane group's epoch was dealt with, lane by lane
                group.awaited = late
                self._set_out(group, group.virtual_time, is_held=is_held)
            elif group.occupied and group.index not in placement.resting:
                self._set_out(group, group.next_virtual_time(), is_held=is_held)

    def start(self, *, is_held: bool = False) -> None:
        """Set every resting lane group that has trials to its next epoch, the one that is furthest behind first.

        Where they are held, none begins; but they take their places in the order of events, and no trial is placed with
        them any more. So what is dealt with until `earliest` comes to one of them is what would have been in any case.
        """
        resting = [each for each in self.groups if each.occupied and each.index not in self._advancing]
        free = max(self._at_once - len(self._advancing), 0)
        for group in sorted(resting, key=lambda each: (each.virtual_time, each.index))[:free]:
            self._set_out(group, group.next_virtual_time(), is_held=is_held)

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
        """Where all lanes stand, those included whose epoch nobody has collected. Not while any advances."""
        broken = {index for index, advance in self._advancing.items() if _has_failed(advance.future)}
        whole = [group for group in self.groups if group.index not in broken]
        return [snapshot for group in whole for snapshot in group.snapshot()]

    def collect(self, group: LaneGroup) -> list[LaneEpoch]:
        """What an ended epoch came to. The lane group rests from here on.

        Raises:
            ShortageError: memory did not suffice; there are fewer lanes from now on, and its lanes are empty.
            Exception: whatever else ended the epoch, from compilation or the device; its lanes are empty now.
        """
        self._now = group.virtual_time
        advance, lane_trials = self._advancing.pop(group.index), group.occupied
        assert advance.future is not None
        try:
            return advance.future.result()
        except Exception as error:
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

    def __enter__(self) -> Scheduler:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for pool in self._pools.values():
            pool.shutdown(wait=True, cancel_futures=True)

    def _set_out(self, group: LaneGroup, virtual_time: float, *, is_held: bool) -> None:
        group.virtual_time, future = virtual_time, None
        if not is_held:
            if self._checkpoints is not None:
                group.keep_at = self._checkpoints.due(group.index)
            future = self._pools[group.device].submit(group.advance, self._stop)
        self._advancing[group.index] = _Advance(future, self._at_once)

    def _future(self, group: LaneGroup) -> Future[list[LaneEpoch]]:
        future = self._advancing[group.index].future
        assert future is not None
        return future

    def _have_fewer_lanes(self, error: Exception, lanes: int, program_key: ProgramKey) -> bool:
        """Go on with fewer lanes of a vmapped program, if that may help."""
        fewer = fewer_lanes(error, lanes)
        if fewer is not None:
            self._programs.shrink(program_key, fewer)
        return fewer is not None

    def _have_fewer_at_once(self, error: Exception, at_once: int) -> bool:
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

    def _will_have_room(self, lane_trial: LaneTrial) -> bool:
        return any(
            group.program is not None and all(other.program_key == lane_trial.program_key for other in group.occupied)
            for group in self.groups
        )

    def _another_group(self) -> Iterator[LaneGroup]:
        if self._policy.is_mapped or len(self.groups) >= self._policy.groups + MOST_EXTRA_GROUPS:
            return
        group = self._group(len(self.groups))
        self.groups.append(group)
        yield group

    def _group(self, index: int) -> LaneGroup:
        device = self._policy.devices[index % len(self._policy.devices)]
        return LaneGroup(index, device, self._policy.lanes_per_group)


def _has_failed(future: Future[list[LaneEpoch]] | None) -> bool:
    """Whether an epoch ended in an error, which leaves no state; one that never began has not."""
    return future is not None and not future.cancelled() and future.exception() is not None
