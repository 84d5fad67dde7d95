"""When a running trial is stopped. The decisions are Optuna's, from tables that a report only adds to.

Optuna 5.0.0 looks through all trials at every report. Here a report costs a search in a sorted table, however many
trials there were; a test compares the decisions with those of Optuna's own pruners.

Inside, less is better: every value is multiplied by `sign`, which is -1 where the objective is maximized.
"""

from __future__ import annotations

import math
import zlib
from array import array
from bisect import bisect_right, insort
from collections import defaultdict
from itertools import accumulate
from typing import Any, Protocol

from sweeps.config.schema import SweepConfig
from sweeps.config.space import epochs_high
from sweeps.study.arguments import pruner_arguments


class Pruner(Protocol):
    """Reports come with rising epochs, and end with the trial."""

    def report(self, number: int, epoch: int, value: float) -> bool:
        """The finite objective of a running trial after `epoch`, from 1; whether the trial should stop."""

    def end(self, number: int, completed: bool) -> None:
        """A trial is over; whether others may be compared with it as a whole."""


class Never:
    """Stops nothing."""

    def report(self, number: int, epoch: int, value: float) -> bool:
        del number, epoch, value
        return False

    def end(self, number: int, completed: bool) -> None:
        pass


class Halving(Never):
    """Asynchronous successive halving (Li et al., 2020, arXiv:1810.05934).

    A trial reaches size r after `min_resource * factor ** (rate + r)` epochs. It goes on when its value is among the
    best `1 / factor` of all that have reached the size so far, its own included, or the best of fewer than `factor`.
    """

    def __init__(self, sign: int, min_resource: int, factor: int, rate: int) -> None:
        self._sign, self._min_resource, self._factor, self._rate = sign, min_resource, factor, rate
        self._rungs: list[array[float]] = []
        self._reached: dict[int, int] = {}  # sizes, of each running trial

    def report(self, number: int, epoch: int, value: float) -> bool:
        size = self._reached.get(number, 0)
        while epoch >= self._min_resource * self._factor ** (self._rate + size):
            if size == len(self._rungs):
                self._rungs.append(array("d"))
            values = self._rungs[size]
            insort(values, self._sign * value)
            size += 1
            self._reached[number] = size
            if self._sign * value > values[max(len(values) // self._factor, 1) - 1]:
                return True
        return False

    def end(self, number: int, completed: bool) -> None:
        del completed
        self._reached.pop(number, None)


class Hyperband(Never):
    """Brackets of successive halving that start late and later (Li et al., 2018, arXiv:1603.06560).

    Trials are dealt to brackets by a checksum of `name` and their number, in proportion to the brackets' shares in the
    paper. There is no bracket, and nothing stops, where no trial can have `min_resource` epochs.
    """

    def __init__(self, sign: int, name: str, max_resource: int, min_resource: int, factor: int) -> None:
        self._name = name
        count = math.floor(math.log(max_resource / min_resource, factor)) + 1
        self._brackets = [Halving(sign, min_resource, factor, rate) for rate in range(count)]
        shares = [math.ceil(count * factor**rest / (rest + 1)) for rest in reversed(range(count))]
        self._ends = list(accumulate(shares))

    def report(self, number: int, epoch: int, value: float) -> bool:
        return bool(self._brackets) and self._bracket(number).report(number, epoch, value)

    def end(self, number: int, completed: bool) -> None:
        if self._brackets:
            self._bracket(number).end(number, completed)

    def _bracket(self, number: int) -> Halving:
        place = zlib.crc32(f"{self._name}_{number}".encode()) % self._ends[-1]
        return self._brackets[bisect_right(self._ends, place)]


class Median(Never):
    """Stops a trial whose best value so far is worse than the median, at the same epoch, of the completed trials."""

    def __init__(self, sign: int, startup: int, warmup: int, interval: int) -> None:
        self._sign, self._startup, self._warmup, self._interval = sign, startup, warmup, interval
        self._completed = 0
        self._table: defaultdict[int, array[float]] = defaultdict(lambda: array("d"))  # sorted values, by epoch
        self._running: defaultdict[int, dict[int, float]] = defaultdict(dict)  # values by epoch, of each trial
        self._best: dict[int, float] = {}  # value so far, of each running trial

    def report(self, number: int, epoch: int, value: float) -> bool:
        curve, score = self._running[number], self._sign * value
        previous = next(reversed(curve), -1)
        curve[epoch] = score
        best = self._best[number] = min(score, self._best.get(number, score))
        values = self._table.get(epoch)
        if self._completed < self._startup or not values or epoch < self._warmup:
            return False
        decided_at = epoch - (epoch - self._warmup) % self._interval
        return previous < decided_at and best > _median(values)

    def end(self, number: int, completed: bool) -> None:
        curve = self._running.pop(number, {})
        self._best.pop(number, None)
        if completed:
            self._completed += 1
            for epoch, value in curve.items():
                insort(self._table[epoch], value)


def _median(values: array[float]) -> float:
    low, high = values[(len(values) - 1) // 2], values[len(values) // 2]
    return high - (high - low) * 0.5


def study_name(config: SweepConfig) -> str:
    """What an Optuna study is called that prunes as the sweep does: of the seed alone, so a sweep may be renamed."""
    return f"seed-{config.seed}"


def new_pruner(config: SweepConfig) -> Pruner:
    """The pruner of the whole sweep."""
    arguments: dict[str, Any] = pruner_arguments(config)
    sign = config.objective.sign
    match config.pruner.use:
        case "hyperband":
            resources = epochs_high(config), arguments["min_resource"], arguments["reduction_factor"]
            return Hyperband(sign, study_name(config), *resources)
        case "successive_halving":
            rate = arguments["min_early_stopping_rate"]
            return Halving(sign, arguments["min_resource"], arguments["reduction_factor"], rate)
        case "median":
            # Steps count from 0 in the argument's meaning: a warm-up of n protects the epochs 1 to n.
            warmup = arguments["n_warmup_steps"] + 1
            return Median(sign, arguments["n_startup_trials"], warmup, arguments["interval_steps"])
        case _:
            return Never()
