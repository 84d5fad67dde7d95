"""Ways to train trials: in the lanes of a scheduler, alone in a program, and in the plain loop of `reference.py`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
import reference

from sweeping import compiled
from sweeps.config import SweepConfig, space
from sweeps.datasets.loading import Datasets
from sweeps.engine.devices import Policy
from sweeps.engine.program import Program
from sweeps.engine.programs import LaneTrial, Programs
from sweeps.engine.scheduler import Scheduler
from sweeps.training.lane import LaneState, LaneValues
from sweeps.training.losses import build_loss, decision_threshold, outputs_needed
from sweeps.training.metrics import build_metric
from sweeps.training.models import build_model
from sweeps.training.optimizers import constructor

Params = Mapping[str, Any]
CPU = jax.devices("cpu")[0]


class Trained(NamedTuple):
    """What a trial came to: `scores` f32 `[epochs, 2 + metrics]` and its parameters after the last epoch."""

    scores: np.ndarray
    params: Any


def use_policy(monkeypatch: pytest.MonkeyPatch, policy_of: Callable[[SweepConfig], Policy]) -> None:
    """Make sweeps, and what is said of them before, use the policy that a function gives for a config."""
    for module in ("devices", "programs"):
        monkeypatch.setattr(f"sweeps.engine.{module}.choose_policy", lambda config, *_: policy_of(config))


def mapped(lanes: int, threads: int = 2) -> Policy:
    """Lanes one after the other, as on a CPU."""
    return Policy((CPU,), min(threads, lanes), lanes, None)


def vmapped(lanes: int, groups: int = 1) -> Policy:
    """Lanes side by side, as on a GPU."""
    return Policy((CPU,), 1, groups, lanes)


def make_programs(config: SweepConfig, policy: Policy) -> Programs:
    return Programs(config, Datasets(), policy)


def shared_programs(config: SweepConfig, policy: Policy) -> Programs:
    """The same programs for every test with the same config and as many lanes in a lane group: they compile once."""
    return _kept_programs(config, policy.lanes_per_group)


@functools.cache
def _kept_programs(config: SweepConfig, lanes: int | None) -> Programs:
    return make_programs(config, mapped(1) if lanes is None else vmapped(lanes))


def forget_programs() -> None:
    """Let go of the programs that tests share."""
    _kept_programs.cache_clear()
    compiled.forget()


def lane_trial(programs: Programs, config: SweepConfig, number: int, params: Params) -> LaneTrial:
    return programs.lane_trial(number, space.resolve(config, params))


def train_in_lanes(programs: Programs, policy: Policy, lane_trials: Sequence[LaneTrial]) -> dict[int, Trained]:
    """Train trials to their last epochs, each in the next lane that is free, whatever becomes of their losses."""
    waiting, scores, params = list(lane_trials), {each.number: [] for each in lane_trials}, {}
    epochs = {each.number: each.epochs for each in lane_trials}
    with Scheduler(policy, programs) as scheduler:
        while True:
            waiting = [each for each in waiting if scheduler.place(each) is None]
            scheduler.start()
            group = scheduler.earliest()
            if group is None:
                return {number: Trained(np.stack(rows), params[number]) for number, rows in scores.items()}
            while not scheduler.is_ready(group, 1):
                pass
            for epoch in scheduler.collect(group).epochs:
                scores[epoch.number].append(epoch.scores)
                if epoch.epoch == epochs[epoch.number]:
                    params[epoch.number] = scheduler.params(epoch.number)
                    scheduler.retire(group, epoch.lane)


def refer(config: SweepConfig, number: int, params: Params, chunk_rows: int | None = None) -> Trained:
    """The same trial in the plain loop."""
    trial = space.resolve(config, params)
    dataset = Datasets().get(trial.dataset.use, trial.dataset.arguments)
    outputs = outputs_needed(trial.loss.use, dataset, trial.loss.arguments)
    threshold = decision_threshold(trial.loss.use, trial.loss.arguments)
    rate = {} if trial.learning_rate is None else {"learning_rate": trial.learning_rate}
    trained, epochs = reference.train(
        dataset,
        build_model(trial.model.use, trial.model.arguments, dataset.input_shape, outputs, dataset.input_dtype),
        build_loss(trial.loss.use, trial.loss.arguments),
        tuple(build_metric(metric, threshold) for metric in config.metrics),
        constructor(trial.optimizer.use)(**trial.optimizer.arguments, **rate),
        seed=config.seed if trial.seed is None else trial.seed,
        number=number if trial.seed is None else 0,
        batch_size=trial.batch_size,
        epochs=trial.epochs,
        chunk_rows=chunk_rows,
        augmentation=trial.augmentation,
    )
    scores = np.array([(epoch.train_loss, epoch.valid_loss, *epoch.metrics) for epoch in epochs], np.float32)
    return Trained(scores, jax.tree.map(np.asarray, trained))


def lane_values(lane_trials: Sequence[LaneTrial]) -> LaneValues:
    """The values of a vmapped program whose lanes hold these trials."""
    return LaneValues(*(np.stack([getattr(each, name) for each in lane_trials]) for name in ("ints", "floats")))


class Single(NamedTuple):
    """One trial alone in a mapped program, to be taken a call at a time."""

    program: Program
    values: LaneValues
    state: LaneState

    def call(self, limit: int) -> tuple[Single, Any]:
        """At most about `limit` parts further; the trial, and the program's report."""
        state, report = self.program.epoch(self.state, self.values, self.program.feed.open()(0), limit)
        return self._replace(state=state), report

    def whole_epoch(self) -> Single:
        return self.call(2**30)[0]


def single(config: SweepConfig, number: int = 0, params: Params | None = None) -> Single:
    """A trial at its start, in a mapped program."""
    programs = shared_programs(config, mapped(1))
    return restart(programs, lane_trial(programs, config, number, params or {}))


def restart(programs: Programs, trial_in_lane: LaneTrial) -> Single:
    """A trial at its start, in the program that others of its program key have used."""
    program = programs.program(trial_in_lane.program_key, CPU)
    program.compile()
    values = LaneValues(trial_in_lane.ints, trial_in_lane.floats)
    return Single(program, values, program.init(values))
