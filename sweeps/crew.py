"""The crew: every population of a sweep, and the threads that advance them.

The rule: events come in the order of the populations' clocks, which count modelled work. So what the sampler learns
before it proposes a trial does not depend on how fast this machine happened to be, and neither do the tables.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

from sweeps.devices import Policy
from sweeps.population import LaneEpoch, Population
from sweeps.programs import Occupant, Programs

MOST_EXTRA_POPULATIONS = 8
"""A vmapped population holds trials of one program; so many more may be made for programs that find no room."""


class Crew:
    """Populations on devices. Use as a context manager: leaving it stops every device within a call's length."""

    def __init__(self, policy: Policy, programs: Programs) -> None:
        self._policy, self._programs = policy, programs
        self._pools = {device: ThreadPoolExecutor(policy.threads_per_device) for device in policy.devices}
        self._stop = threading.Event()
        self._futures: dict[int, Future[list[LaneEpoch]]] = {}
        self._now = 0.0
        self.populations = [self._population(index) for index in range(policy.populations)]

    @property
    def lanes(self) -> int:
        return sum(len(population.lanes) for population in self.populations)

    @property
    def busy(self) -> int:
        return sum(len(population.occupied) for population in self.populations)

    def place(self, occupant: Occupant) -> Population | None:
        """Give a trial a lane of a population that is not advancing; None while there is none for its program."""
        resting = [population for population in self.populations if population.index not in self._futures]
        fitting = [population for population in resting if population.has_room(occupant)]
        if not fitting and not self._will_have_room(occupant):
            fitting = list(self._another_population())
        if not fitting:
            return None
        # The fullest first: lanes that advance together cost less than lanes in turns.
        population = max(fitting, key=lambda each: (len(each.occupied), -each.clock, -each.index))
        if not population.occupied:
            population.clock = max(population.clock, self._now)
        population.admit(occupant, self._programs.program(occupant.signature, population.device))
        return population

    def start(self) -> None:
        """Set every resting population that has trials to its next epoch, the one that is furthest behind first."""
        resting = [each for each in self.populations if each.occupied and each.index not in self._futures]
        for population in sorted(resting, key=lambda each: (each.clock, each.index)):
            population.clock = population.next_clock()
            self._futures[population.index] = self._pools[population.device].submit(population.advance, self._stop)

    def earliest(self) -> Population | None:
        """The advancing population whose epoch ends first by the clock; None when all rest."""
        advancing = [self.populations[index] for index in self._futures]
        return min(advancing, key=lambda each: (each.clock, each.index), default=None)

    def is_ready(self, population: Population, timeout_s: float) -> bool:
        """Wait for a population's epoch for a while; whether it has ended."""
        return bool(wait([self._futures[population.index]], timeout=timeout_s).done)

    def collect(self, population: Population) -> list[LaneEpoch]:
        """What an ended epoch came to. The population rests from here on.

        Raises:
            Exception: whatever ended the epoch instead, from compilation or the device; its lanes are empty now.
        """
        self._now = population.clock
        try:
            return self._futures.pop(population.index).result()
        except Exception:
            population.clear()
            raise

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for pool in self._pools.values():
            pool.shutdown(wait=True, cancel_futures=True)

    def _will_have_room(self, occupant: Occupant) -> bool:
        return any(
            population.program is not None
            and all(other.signature == occupant.signature for other in population.occupied)
            for population in self.populations
        )

    def _another_population(self) -> Iterator[Population]:
        mapped = self._policy.lanes_per_population is None
        if mapped or len(self.populations) >= self._policy.populations + MOST_EXTRA_POPULATIONS:
            return
        population = self._population(len(self.populations))
        self.populations.append(population)
        yield population

    def _population(self, index: int) -> Population:
        device = self._policy.devices[index % len(self._policy.devices)]
        return Population(index, device, self._policy.lanes_per_population)
