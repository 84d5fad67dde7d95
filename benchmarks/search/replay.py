"""A search without training: the real study asks, is told of looked-up losses, and pauses, stops and promotes."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.search.tasks import Task
from sweeps.config import SweepConfig, parse_config
from sweeps.study import Study

OWN = {"batch_size", "learning_rate"}
"""Parameters that a config calls as the tasks do; the others are arguments of the model."""
ENDLESS = 10**6


def config_of(task: Task, arm: Mapping[str, Any], seed: int) -> SweepConfig:
    """The config of a search over a task's hyperparameters; its budget is the replay's to keep."""
    pauses = isinstance(arm["pruner"], Mapping) and arm["pruner"]["use"] in {"waves", "asha"}
    epochs = {"type": "int", "low": 1, "high": task.longest} if pauses else task.longest
    fixed = {"batch_size": 64} if "batch_size" not in task.space else {}
    searched = {name if name in OWN else f"model.{name}": dict(entry) for name, entry in task.space.items()}
    return parse_config(
        {
            "name": "replay",
            "seed": seed,
            "dataset": "mnist",
            "model": "models.mlp:MLP",
            "loss": "softmax_cross_entropy",
            "search_space": {"epochs": epochs, **fixed, **searched},
            "objective": {"metric": "valid_loss", "direction": "minimize"},
            "budget": {"trials": ENDLESS},
            **arm,
        }
    )


class Replay:
    """One search on one task, in so many lanes whose epochs all take the same time.

    `best` has the least loss that any trial has come to after each epoch of the budget, f64 `[budget]`; NaN before the
    first. `epochs` has those of each trial.
    """

    def __init__(self, task: Task, config: SweepConfig, lanes: int, budget: int) -> None:
        self._task, self._study = task, Study(config)
        self._losses: dict[int, np.ndarray] = {}
        self.epochs: dict[int, int] = {}
        self.best = np.full(budget, math.nan)
        order, running, now = itertools.count(), list[tuple[int, int, int]](), 0
        for used in range(budget):
            while len(running) < lanes and (number := self._next()) is not None:
                heapq.heappush(running, (now + 1, next(order), number))
            if not running:
                self.best[used:] = self.best[used - 1]
                return
            now, _, number = heapq.heappop(running)
            goes_on, loss = self._epoch(number)
            self.best[used] = np.fmin(self.best[used - 1] if used else math.nan, loss)
            if goes_on:
                heapq.heappush(running, (now + 1, next(order), number))
            for loser in self._study.losers():
                self._study.tell(loser, "pruned", None)

    def _next(self) -> int | None:
        promoted = self._study.promote()
        if promoted is not None or not self._study.may_ask:
            return promoted
        proposal = self._study.ask()
        assert proposal is not None
        params = {name.rpartition(".")[2]: value for name, value in proposal.params.items()}
        self._losses[proposal.number], self.epochs[proposal.number] = self._task.losses(params), 0
        return proposal.number

    def _epoch(self, number: int) -> tuple[bool, float]:
        """One more epoch of a trial: whether it goes on in its lane, and its loss."""
        self.epochs[number] += 1
        epoch, loss = self.epochs[number], float(self._losses[number][self.epochs[number] - 1])
        if not math.isfinite(loss):
            self._study.tell(number, "diverged", None)
            return False, math.nan
        stop = self._study.report(number, epoch, loss)
        if epoch == self._task.longest:
            self._study.tell(number, "completed", loss)
        elif stop:
            self._study.tell(number, "pruned", None)
        return epoch < self._task.longest and not stop and not self._study.waits(number), loss
