"""The samplers that are Optuna's own: gp, cmaes and qmc. No other file imports Optuna.

Nothing is left to Optuna's defaults: every constructor argument is written here with the value that it had in Optuna
5.0.0, and a test fails when a constructor grows one that is not.

Samplers are built anew for each trial, seeded from the sweep's seed and the trial's number: what is proposed then
depends on nothing that a sampler remembers, only on the events of the study. A continued sweep relies on it.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import NopPruner
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, QMCSampler, RandomSampler
from optuna.trial import TrialState

from sweeps.config.schema import SweepConfig
from sweeps.study.arguments import sampler_arguments, seed_of
from sweeps.study.dimensions import Code, Dimension
from sweeps.study.sampling import Draw, Ending

STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "infeasible": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
Space = Mapping[str, BaseDistribution]


class OptunaSampler:
    """An Optuna study in memory."""

    def __init__(self, config: SweepConfig, dimensions: Sequence[Dimension]) -> None:
        self._config = config
        self._distributions = {each.name: distribution(each) for each in dimensions}
        self._unconditional = {each.name for each in dimensions if not each.parameter.when}
        self._running: dict[int, optuna.Trial] = {}
        self._learning = False  # whether any trial is COMPLETE or PRUNED
        self._storage = optuna.storages.InMemoryStorage()
        with quiet():
            self._study = optuna.create_study(
                storage=self._storage,
                sampler=RandomSampler(),  # never asked
                pruner=NopPruner(),  # `pruners` decides; Optuna's samplers do not look at brackets either
                study_name=config.name,
                direction=config.objective.direction,
                load_if_exists=False,
            )

    def begin(self, number: int, fixed: Mapping[str, Code], consult: bool) -> Draw:
        """Ask for the study's next trial, which is `number`."""
        with quiet():
            joint = self._unconditional if self._learning else ()
            space = {name: it for name, it in self._distributions.items() if name in joint}
            self._study.sampler = new_sampler(self._config, space, number)
            if fixed:
                self._study.enqueue_trial(dict(fixed))
            trial = self._running[number] = self._study.ask()
            if consult:
                _ = trial.relative_params  # samples now, whichever parameter is suggested first
        return lambda dimension: self._suggest(trial, dimension.name)

    def settle(self, number: int, codes: Mapping[str, Code]) -> None:
        """Take a running trial for what it is trying.

        GP leaves all that it sampled for it beside its parameters, for other processes to see. Of that, the
        conditional parameters that are not active would keep later trials away from values that no trial has,
        and would have to be sampled again in a replay.
        """
        del codes  # Optuna has seen them drawn
        study_id = self._storage.get_study_id_from_name(self._config.name)
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(study_id, number)
        for key in self._storage.get_trial_system_attrs(trial_id):
            if ":relative_params:" in key:
                self._storage.set_trial_system_attr(trial_id, key, "")

    def tell(self, number: int, ending: Ending) -> None:
        """A pruned trial has the value of its last report."""
        trial, state = self._running.pop(number), STATES[ending.state]
        if ending.last is not None:
            trial.report(ending.last.value, ending.last.epoch)
        self._study.tell(trial, ending.value, state)
        self._learning |= state is not TrialState.FAIL

    def _suggest(self, trial: optuna.Trial, name: str) -> Code:
        with quiet():
            match self._distributions[name]:
                case FloatDistribution() as it:
                    return trial.suggest_float(name, it.low, it.high, log=it.log)
                case IntDistribution() as it:
                    return trial.suggest_int(name, it.low, it.high, step=it.step, log=it.log)
                case other:
                    assert isinstance(other, CategoricalDistribution)
                    return int(trial.suggest_categorical(name, tuple(range(len(other.choices)))))


def distribution(dimension: Dimension) -> BaseDistribution:
    """A dimension's codes in Optuna's form."""
    if dimension.scale is None:
        return CategoricalDistribution(tuple(range(len(dimension.indices))))
    low, high, log, step = dimension.scale
    return IntDistribution(int(low), int(high), log=log, step=step) if step else FloatDistribution(low, high, log=log)


class JointCmaEsSampler(CmaEsSampler):
    """CMA-ES over the numbers that every trial has.

    What the trials so far have in common can include a conditional parameter until the first trial without it ends;
    Optuna's CMA-ES then fails on a pruned trial that lacks it, or falls back to random numbers for good.
    """

    def __init__(self, joint_space: Space, **arguments: Any) -> None:
        super().__init__(**arguments)
        numbers = {name: it for name, it in joint_space.items() if not isinstance(it, CategoricalDistribution)}
        self._joint_space = {name: numbers[name] for name in sorted(numbers) if not numbers[name].single()}

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The joint space, whichever trial asks."""
        del study, trial
        return self._joint_space


def qmc_arguments(config: SweepConfig, seed: int) -> dict[str, Any]:
    """For `QMCSampler`: one sequence for the whole sweep, so its seed is the sweep's and not the trial's.

    A seed for each trial would start a new scrambled sequence each time, and leave plain random numbers.
    """
    return {
        **sampler_arguments(config),
        "seed": seed_of(config.seed, "qmc"),
        "independent_sampler": RandomSampler(seed=seed),
        "warn_asynchronous_seeding": False,
        "warn_independent_sampling": False,
    }


def gp_arguments(config: SweepConfig, seed: int) -> dict[str, Any]:
    """For `GPSampler`."""
    arguments = sampler_arguments(config)
    return {
        "n_startup_trials": arguments["n_startup_trials"],
        "deterministic_objective": arguments["deterministic"],
        "seed": seed,
        "independent_sampler": RandomSampler(seed=seed),
        "constraints_func": None,
        "warn_independent_sampling": False,
    }


def cmaes_arguments(config: SweepConfig, seed: int) -> dict[str, Any]:
    """For `CmaEsSampler`. Optuna advises to count pruned trials under halving pruners, and not under the median's."""
    return {
        **sampler_arguments(config),
        "seed": seed,
        "independent_sampler": RandomSampler(seed=seed),
        "warn_independent_sampling": False,
        "consider_pruned_trials": config.pruner.use in {"hyperband", "successive_halving"},
        "x0": None,
        "restart_strategy": None,
        "inc_popsize": -1,
        "use_separable_cma": False,
        "with_margin": False,
        "lr_adapt": False,
        "source_trials": None,
    }


RECIPES: Mapping[str, tuple[type[BaseSampler], Callable[[SweepConfig, int], dict[str, Any]]]] = {
    "qmc": (QMCSampler, qmc_arguments),
    "gp": (GPSampler, gp_arguments),
    "cmaes": (CmaEsSampler, cmaes_arguments),
}


def new_sampler(config: SweepConfig, joint_space: Space, number: int) -> BaseSampler:
    """The sampler that proposes trial `number`, and no other; `joint_space` is empty before any trial has ended."""
    cls, recipe = RECIPES[config.sampler.use]
    arguments = recipe(config, seed_of(config.seed, number))
    with quiet():
        return JointCmaEsSampler(joint_space, **arguments) if cls is CmaEsSampler else cls(**arguments)


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back what Optuna says about itself: experimental and deprecated arguments, a new study in memory.

    Only for the duration of our own calls, and then put back: a user who also works with Optuna keeps its messages.
    Warnings and log levels are the process's, so another thread's Optuna may lose a line meanwhile.
    """
    logger = logging.getLogger("optuna")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.simplefilter("ignore", FutureWarning)
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)
