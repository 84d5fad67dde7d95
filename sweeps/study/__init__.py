"""The study: which trial comes next, and when one has seen enough. Optuna stays behind this room.

The rule: everything here can be rebuilt from the log. An ask depends on the sweep's seed, the trial's number and the
events so far, and on nothing else, so `Study.replay` continues as if the process had never stopped.

How Optuna is told of an outcome, and why:

    completed                  COMPLETE with its value
    pruned                     PRUNED. TPE ranks these after all complete trials, the longest-lived first. GP learns
                               from complete trials only and would propose the same spot again, so for gp it is
                               COMPLETE with its last value.
    diverged                   PRUNED and marked as infeasible, which TPE ranks behind everything else: by its last
                               finite value alone, a trial that fell apart late would rank as the best of the pruned.
                               GP and CMA-ES know no such mark: COMPLETE with the worst value so far, or FAIL when
                               there is none yet.
    out_of_memory, timed_out,  FAIL: nothing is learnt from them
    interrupted, failed
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import optuna
from optuna.trial import TrialState

from sweeps.config.schema import SweepConfig
from sweeps.config.space import active
from sweeps.config.values import Value
from sweeps.errors import Complaint, ConfigError, LogError
from sweeps.study.dimensions import dimensions_of
from sweeps.study.grid import grid, grid_size
from sweeps.study.samplers import missing_packages, new_pruner, new_sampler, quiet

OUTCOMES = ("completed", "pruned", "diverged", "out_of_memory", "timed_out", "interrupted", "failed")

StudyEvent = tuple[object, ...]
"""("ask", number, params), ("report", number, epoch, value) or ("tell", number, outcome, value)."""


class Proposal(NamedTuple):
    """A trial to train: its number, counting from 0, and the searched parameters that are active in it."""

    number: int
    params: dict[str, Value]


class Report(NamedTuple):
    """The last recorded report of a running trial, and what the pruner made of it."""

    epoch: int
    value: float
    stop: bool


class Study:
    """Ask, report, tell. For one thread at a time.

    Raises ConfigError when the sampler needs a package that is not installed.
    """

    def __init__(self, config: SweepConfig) -> None:
        if fault := missing_packages(config):
            raise ConfigError([Complaint("config", ".".join(map(str, fault.path)), *fault[1:])])
        self._config = config
        self._dimensions = dimensions_of(config)
        self._space = {each.name: each.distribution for each in self._dimensions}
        self._known = self._known_configurations()
        self._asked = 0
        self._running: dict[int, optuna.Trial] = {}
        self._latest: dict[int, Report] = {}  # of each running trial
        self._worst: float | None = None
        self._learning = False  # whether any trial is COMPLETE or PRUNED
        self._storage = optuna.storages.InMemoryStorage()
        with quiet():
            self._study = optuna.create_study(
                storage=self._storage,
                sampler=new_sampler(config, {}, 0),
                pruner=new_pruner(config),
                study_name=config.name,  # Hyperband deals trials to brackets by study name and number
                direction=config.objective.direction,
                load_if_exists=False,
            )

    @property
    def total(self) -> int | None:
        """How many trials a grid has, those of `enqueue` that lie off it included; None for other samplers."""
        return grid_size(self._config) if self._config.sampler.use == "grid" else None

    def ask(self) -> Proposal | None:
        """The next trial: enqueued configurations first, then the sampler's. None when a grid is used up."""
        known = next(self._known, None)
        if known is None and self._config.sampler.use == "grid":
            return None
        return self._propose(known, consult=self._leaves_open(known or {}))

    def report(self, number: int, epoch: int, value: float) -> bool:
        """The objective after `epoch` (from 1) of a running trial. True: the pruner says stop.

        A value that is not finite is not recorded and answers False: the caller retires the trial as diverged.
        A trial that starts over repeats epochs; the first report of each counts, and its answer is given again.

        Raises ValueError for a trial that is not running, or an epoch below 1.
        """
        trial = self._trial(number)
        if epoch < 1:
            raise ValueError(f"epochs count from 1, but trial {number} reports epoch {epoch}")
        latest = self._latest.get(number, Report(0, 0.0, False))
        if epoch <= latest.epoch:
            return latest.stop and epoch == latest.epoch
        if not math.isfinite(value):
            return False
        trial.report(value, epoch)
        stop = trial.should_prune()
        self._latest[number] = Report(epoch, value, stop)
        return stop

    def tell(self, number: int, outcome: str, value: float | None) -> None:
        """How a running trial ended; `value` is the objective of a completed one, and otherwise not looked at.

        Raises ValueError for a trial that is not running, an unknown outcome, or a completed trial without a
        finite value.
        """
        trial = self._trial(number)
        if outcome not in OUTCOMES:
            raise ValueError(f"outcome must be one of {', '.join(OUTCOMES)}, but got {outcome!r}")
        if outcome == "completed" and (value is None or not math.isfinite(value)):
            raise ValueError(f"a completed trial must have a finite value, but trial {number} has {value}")
        state, told = self._verdict(number, outcome, value)
        if outcome == "diverged" and state is TrialState.PRUNED:
            trial.set_constraint("finite", 1.0)
        self._study.tell(trial, told, state)
        self._running.pop(number)
        self._latest.pop(number, None)
        self._learning |= state is not TrialState.FAIL
        if told is not None:
            worse = min if self._config.objective.direction == "maximize" else max
            self._worst = told if self._worst is None else worse(self._worst, told)

    def _verdict(self, number: int, outcome: str, value: float | None) -> tuple[TrialState, float | None]:
        """Optuna's state and value for an outcome, by the table above."""
        sampler = self._config.sampler.use
        if outcome == "diverged" and sampler in {"gp", "cmaes"}:
            return (TrialState.FAIL, None) if self._worst is None else (TrialState.COMPLETE, self._worst)
        if outcome == "pruned" and sampler == "gp" and number in self._latest:
            return TrialState.COMPLETE, self._latest[number].value
        if outcome == "completed":
            return TrialState.COMPLETE, value
        return (TrialState.PRUNED if outcome in {"pruned", "diverged"} else TrialState.FAIL), None

    @classmethod
    def replay(cls, config: SweepConfig, events: Iterable[StudyEvent]) -> Study:
        """The study after `events`, in the order of the log: its next ask is the one that would have come next.

        The log is believed: parameters are taken from it, also where another machine's arithmetic or another
        version of a library would have proposed others now.

        Raises LogError for events that contradict each other or the config.
        """
        study = cls(config)
        for event in events:
            try:
                study._follow(event)
            except ValueError as error:
                raise LogError(f"the log does not fit the config: {error}") from error
        return study

    def _follow(self, event: StudyEvent) -> None:
        match event:
            case ("ask", int(number), Mapping() as params):
                self._restore(number, params)
            case ("report", int(number), int(epoch), (int() | float()) as value):
                self.report(number, epoch, value)
            case ("tell", int(number), str(outcome), (int() | float() | None) as value):
                self.tell(number, outcome, value)
            case _:
                raise ValueError(f"no such event: {event}")

    def _restore(self, number: int, params: Mapping[str, Value]) -> None:
        if number != self._asked:
            raise ValueError(f"trials must be numbered in order, but {number} was asked for after {self._asked - 1}")
        known = next(self._known, {})
        # Asking leaves traces beside the parameters: QMC's place in its sequence, CMA-ES's state. Ask again for them;
        # the other samplers leave none that last, and asking them again would take long.
        lasting = self._config.sampler.use in {"qmc", "cmaes"}
        restored = self._propose(params, consult=lasting and self._leaves_open(known))
        if restored.params.keys() != params.keys():
            names = f"{', '.join(params)}, but the search space makes it {', '.join(restored.params)}"
            raise ValueError(f"trial {number} has the parameters {names}")
        for name in restored.params.keys() & known.keys():
            if restored.params[name] != known[name]:
                raise ValueError(
                    f"trial {number} has {name}={restored.params[name]}, but {known[name]} was to be tried"
                )

    def _known_configurations(self) -> Iterator[Mapping[str, Value]]:
        if self._config.sampler.use == "grid":
            return grid(self._config)
        return iter(self._config.enqueue)

    def _leaves_open(self, known: Mapping[str, Value]) -> bool:
        return not self._space.keys() <= known.keys()

    def _propose(self, known: Mapping[str, Value] | None, consult: bool) -> Proposal:
        """Start trial `_asked`: what is `known` as it is, the rest from the sampler."""
        number = self._asked
        if known is not None:
            fixed = {each.name: each.encode(known[each.name]) for each in self._dimensions if each.name in known}
        with quiet():
            self._study.sampler = new_sampler(self._config, self._space if self._learning else {}, number)
            if known is not None:
                self._study.enqueue_trial(fixed)
            trial = self._study.ask()
            if consult:
                _ = trial.relative_params  # samples now, whichever parameter is suggested first
            params = self._suggest(trial)
        self._forget_inactive(number)
        self._asked += 1
        self._running[number] = trial
        return Proposal(number, params)

    def _forget_inactive(self, number: int) -> None:
        """Take a running trial for what it is trying.

        TPE and GP leave all that they sampled for it beside its parameters, for other processes to see. Of that, the
        conditional parameters that are not active would keep later trials away from values that nobody is trying,
        and would have to be sampled again in a replay.
        """
        study_id = self._storage.get_study_id_from_name(self._config.name)
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(study_id, number)
        for key in self._storage.get_trial_system_attrs(trial_id):
            if ":relative_params:" in key:
                self._storage.set_trial_system_attr(trial_id, key, "")

    def _suggest(self, trial: optuna.Trial) -> dict[str, Value]:
        chosen: dict[str, Value] = {}
        for dimension in self._dimensions:
            if active(self._config, chosen, dimension.name):
                chosen[dimension.name] = dimension.suggest(trial)
        return {name: chosen[name] for name in self._config.search_space if name in chosen}

    def _trial(self, number: int) -> optuna.Trial:
        if number not in self._running:
            story = "has already ended" if 0 <= number < self._asked else "was never asked for"
            raise ValueError(f"trial {number} {story}")
        return self._running[number]
