"""The crew: every population of a sweep, and the threads that advance them.

The rule: events come in the order of the populations' clocks, which count modelled work. So what the sampler learns
before it proposes a trial does not depend on how fast this machine happened to be, and neither do the tables.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from sweeps.engine.checkpoints import Checkpoints, Snapshot
from sweeps.engine.devices import Policy
from sweeps.engine.lane_group import LaneEpoch, Population
from sweeps.engine.memory import TooManyLanesError, fewer_lanes, is_out_of_memory
from sweeps.engine.programs import Occupant, Programs
from sweeps.engine.restore import Past
from sweeps.log.placement import Formation, Place
from sweeps.training.program_key import Signature

MOST_EXTRA_POPULATIONS = 8
"""A vmapped population holds trials of one program; so many more may be made for programs that find no room."""


class ShortageError(Exception):
    """Memory did not suffice, and fewer lanes advance from now on: the trials that rode can be placed again.

    `began` says whether they had begun to train.
    """

    def __init__(self, began: bool) -> None:
        super().__init__("there is not enough memory for so many lanes")
        self.began = began


class _Advance(NamedTuple):
    """An epoch under way, and how many populations were allowed to advance when it began.

    Without a future it is held back: it has its place in the order of events, and never comes to anything.
    """

    future: Future[list[LaneEpoch]] | None
    at_once: int


class Crew:
    """Populations on devices. Use as a context manager: leaving it stops every device within a call's length."""

    def __init__(self, policy: Policy, programs: Programs, checkpoints: Checkpoints | None = None) -> None:
        self._policy, self._programs, self._checkpoints = policy, programs, checkpoints
        self._pools = {device: ThreadPoolExecutor(policy.threads_per_device) for device in policy.devices}
        self._stop = threading.Event()
        self._advancing: dict[int, _Advance] = {}
        self._now = 0.0
        self._at_once = policy.populations + (0 if policy.is_mapped else MOST_EXTRA_POPULATIONS)
        self.populations = [self._population(index) for index in range(policy.populations)]

    @property
    def lanes(self) -> int:
        return sum(len(population.lanes) for population in self.populations)

    @property
    def busy(self) -> int:
        return sum(len(population.occupied) for population in self.populations)

    def place(self, occupant: Occupant, past: Past | None = None) -> Population | None:
        """Give a trial a lane of a population that is not advancing; None while there is none for its program."""
        resting = [population for population in self.populations if population.index not in self._advancing]
        fitting = [population for population in resting if population.has_room(occupant)]
        if sum(1 for population in self.populations if population.occupied) >= self._at_once:
            fitting = [population for population in fitting if population.occupied]
        elif not fitting and not self._will_have_room(occupant):
            fitting = list(self._another_population())
        if not fitting:
            return None
        # The fullest first: lanes that advance together cost less than lanes in turns.
        population = max(fitting, key=lambda each: (len(each.occupied), -each.clock, -each.index))
        riding = population.program if population.occupied else None
        if not population.occupied:
            population.clock = max(population.clock, self._now)
        program = riding or self._programs.program(occupant.signature, population.device)
        population.admit(occupant, program, past)
        return population

    def put_back(self, occupant: Occupant, place: Place, past: Past) -> bool:
        """Give a trial the lane that it had in an earlier run; False where this crew has no such lane for it."""
        while place.population >= len(self.populations) and list(self._another_population()):
            pass
        if place.population >= len(self.populations):
            return False
        population = self.populations[place.population]
        if any(other.signature != occupant.signature for other in population.occupied):
            return False
        program = population.program if population.occupied else None
        program = program or self._programs.program(occupant.signature, population.device)
        is_taken = program is population.program and population.lanes[place.lane : place.lane + 1] != [None]
        if place.lane >= (program.lane_count or 1) or is_taken:
            return False
        population.admit(occupant, program, past, place.lane)
        return True

    def resume(self, formation: Formation, *, is_held: bool) -> None:
        """Take up the clocks of an earlier run, and set out with whoever had; `is_held` as in `start`."""
        self._now = formation.now
        for population in self.populations:
            population.clock = formation.clocks.get(population.index, 0.0)
            late = [
                lane
                for lane, occupant in enumerate(population.lanes)
                if occupant is not None and formation.places[occupant.number].clock != population.clock
            ]
            if late:  # the run ended while this population's epoch was dealt with, lane by lane
                population.awaited = late
                self._set_out(population, population.clock, is_held=is_held)
            elif population.occupied and population.index not in formation.resting:
                self._set_out(population, population.next_clock(), is_held=is_held)

    def start(self, *, is_held: bool = False) -> None:
        """Set every resting population that has trials to its next epoch, the one that is furthest behind first.

        Where they are held, none begins; but they take their places in the order of events, and no trial is placed with
        them any more. So what is dealt with until `earliest` comes to one of them is what would have been in any case.
        """
        resting = [each for each in self.populations if each.occupied and each.index not in self._advancing]
        free = max(self._at_once - len(self._advancing), 0)
        for population in sorted(resting, key=lambda each: (each.clock, each.index))[:free]:
            self._set_out(population, population.next_clock(), is_held=is_held)

    def earliest(self) -> Population | None:
        """The advancing population whose epoch ends first by the clock; None when all rest, or that one is held."""
        advancing = [self.populations[index] for index in self._advancing]
        first = min(advancing, key=lambda each: (each.clock, each.index), default=None)
        return first if first is not None and self._advancing[first.index].future is not None else None

    def is_ready(self, population: Population, timeout_s: float) -> bool:
        """Wait for a population's epoch for a while; whether it has ended."""
        return bool(wait([self._future(population)], timeout=timeout_s).done)

    def is_still(self, timeout_s: float) -> bool:
        """Wait for all epochs under way for a while; whether they have ended."""
        futures = [advance.future for advance in self._advancing.values() if advance.future is not None]
        return not wait(futures, timeout=timeout_s).not_done

    def snapshots(self) -> list[Snapshot]:
        """Where all lanes stand, those included whose epoch nobody has collected. Not while any advances."""
        broken = {index for index, advance in self._advancing.items() if _has_failed(advance.future)}
        whole = [population for population in self.populations if population.index not in broken]
        return [snapshot for population in whole for snapshot in population.snapshot()]

    def collect(self, population: Population) -> list[LaneEpoch]:
        """What an ended epoch came to. The population rests from here on.

        Raises:
            ShortageError: memory did not suffice; there are fewer lanes from now on, and its lanes are empty.
            Exception: whatever else ended the epoch, from compilation or the device; its lanes are empty now.
        """
        self._now = population.clock
        advance, riding = self._advancing.pop(population.index), population.occupied
        assert advance.future is not None
        try:
            return advance.future.result()
        except Exception as error:
            lanes = population.lane_count
            population.clear()
            is_helped = (
                self._have_fewer_at_once(error, advance.at_once)
                if lanes is None
                else self._have_fewer_lanes(error, lanes, riding[0].signature)
            )
            if is_helped:
                self._forget_the_idle()
                raise ShortageError(began=not isinstance(error, TooManyLanesError)) from error
            raise

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for pool in self._pools.values():
            pool.shutdown(wait=True, cancel_futures=True)

    def _set_out(self, population: Population, clock: float, *, is_held: bool) -> None:
        population.clock, future = clock, None
        if not is_held:
            if self._checkpoints is not None:
                population.keep_at = self._checkpoints.due(population.index)
            future = self._pools[population.device].submit(population.advance, self._stop)
        self._advancing[population.index] = _Advance(future, self._at_once)

    def _future(self, population: Population) -> Future[list[LaneEpoch]]:
        future = self._advancing[population.index].future
        assert future is not None
        return future

    def _have_fewer_lanes(self, error: Exception, lanes: int, signature: Signature) -> bool:
        """Go on with fewer lanes of a vmapped program, if that may help."""
        fewer = fewer_lanes(error, lanes)
        if fewer is not None:
            self._programs.shrink(signature, fewer)
        return fewer is not None

    def _have_fewer_at_once(self, error: Exception, at_once: int) -> bool:
        """Go on with fewer mapped lanes at once, if that may help; with one, once the others have ended."""
        fewer = fewer_lanes(error, at_once)
        if fewer is not None:
            self._at_once = min(self._at_once, fewer)
        return fewer is not None or (is_out_of_memory(error) and self.busy > 0)

    def _forget_the_idle(self) -> None:
        """Free what populations without a trial still hold of their last."""
        for population in self.populations:
            if not population.occupied:
                population.clear()

    def _will_have_room(self, occupant: Occupant) -> bool:
        return any(
            population.program is not None
            and all(other.signature == occupant.signature for other in population.occupied)
            for population in self.populations
        )

    def _another_population(self) -> Iterator[Population]:
        if self._policy.is_mapped or len(self.populations) >= self._policy.populations + MOST_EXTRA_POPULATIONS:
            return
        population = self._population(len(self.populations))
        self.populations.append(population)
        yield population

    def _population(self, index: int) -> Population:
        device = self._policy.devices[index % len(self._policy.devices)]
        return Population(index, device, self._policy.lanes_per_population)


def _has_failed(future: Future[list[LaneEpoch]] | None) -> bool:
    """Whether an epoch ended in an error, which leaves no state; one that never began has not."""
    return future is not None and not future.cancelled() and future.exception() is not None
