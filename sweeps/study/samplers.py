"""Who proposes a trial: a sampler of Optuna's for each name, or one by its dotted name.

Nothing is left to Optuna's defaults: every constructor argument is written here with the value that it had in Optuna
5.0.0, and a test fails when a constructor grows one that is not.

Samplers are built anew for each trial, seeded from the sweep's seed and the trial's number: what is proposed then
depends on nothing that a sampler remembers, only on the events of the study. A continued sweep relies on it. TPE alone
is kept, for it remembers nothing but columns of the study's trials.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, QMCSampler, RandomSampler

from sweeps.config.names import OWN
from sweeps.config.schema import Component, SweepConfig
from sweeps.config.wording import Fault
from sweeps.errors import SweepError
from sweeps.study.arguments import sampler_arguments, seed_of
from sweeps.study.dimensions import Dimension
from sweeps.study.quiet import quiet
from sweeps.study.rung_tpe import RungTpeSampler
from sweeps.study.rungs import Rungs
from sweeps.study.tpe import ColumnTpeSampler
from sweeps.user_code import failed, locate

Space = Mapping[str, BaseDistribution]
Made = TypeVar("Made")
INSTEAD: Mapping[type[BaseSampler], str] = {
    optuna.samplers.GridSampler: "grid",
    optuna.samplers.BruteForceSampler: "grid",
    QMCSampler: "qmc",
}
"""Samplers that cannot be made anew for each trial, or that end the study, and the name of what does their work."""


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


class Samplers:
    """The samplers of a sweep, by the number of the trial that they propose."""

    def __init__(self, config: SweepConfig, dimensions: Sequence[Dimension], rungs: Rungs | None = None) -> None:
        self._config = config
        self._space = {each.key: each.distribution for each in dimensions}
        self._unconditional = {each.key: each.distribution for each in dimensions if not each.parameter.when}
        with quiet():
            self._tpe = self._new_tpe(rungs) if config.sampler.use == "tpe" else None

    def _new_tpe(self, rungs: Rungs | None) -> ColumnTpeSampler:
        arguments = sampler_arguments(self._config)
        if rungs is not None:
            return RungTpeSampler(self._space, rungs, **arguments)
        return ColumnTpeSampler(self._space, **arguments)

    def of(self, number: int, *, is_learning: bool, redraw: int = 0, at_random: bool = False) -> BaseSampler:
        """The sampler that proposes trial `number`; `is_learning` is whether any trial has ended that counts.

        A `redraw` above 0 is another draw for the same trial.
        """
        config = self._config
        seed = seed_of(config.seed, number, redraw) if redraw else seed_of(config.seed, number)
        if at_random or config.sampler.use in {"random", "grid"}:
            return RandomSampler(seed=seed)
        if self._tpe is not None:
            self._tpe.trial_seed = seed
            return self._tpe
        if OWN.fullmatch(config.sampler.use):
            return own_sampler(config.sampler, seed)
        return new_sampler(config, self._unconditional if is_learning else {}, seed)


def new_sampler(config: SweepConfig, joint_space: Space, seed: int) -> BaseSampler:
    """A sampler of `RECIPES` for one draw, with its seed; `joint_space` is empty before any trial has ended."""
    cls, recipe = RECIPES[config.sampler.use]
    arguments = recipe(config, seed)
    with quiet():
        return JointCmaEsSampler(joint_space, **arguments) if cls is CmaEsSampler else cls(**arguments)


def own_sampler(component: Component, seed: int) -> BaseSampler:
    """The sampler that a dotted name makes. Raises: SweepError where it makes none."""
    maker = locate(component.use, SweepError)
    seeded = {"seed": seed} if "seed" in _parameters(maker) else {}
    return _made(maker, component, seeded, BaseSampler)  # type: ignore[type-abstract]


def own_pruner(component: Component) -> BasePruner:
    """The pruner that a dotted name makes. Raises: SweepError where it makes none."""
    return _made(locate(component.use, SweepError), component, {}, BasePruner)  # type: ignore[type-abstract]


def _parameters(maker: Any) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(maker).parameters
    except (TypeError, ValueError):
        return {}


def _made(maker: Any, component: Component, more: Mapping[str, Any], kind: type[Made]) -> Made:
    try:
        with quiet():
            made = maker(**component.arguments, **more)
    except (Exception, SystemExit) as error:
        raise SweepError(failed(component.use, error)) from error
    if not isinstance(made, kind):
        wanted = f"{kind.__module__.partition('._')[0]}.{kind.__name__}"
        raise SweepError(f"{component.use} must make a {wanted}, but made {type(made).__name__}")
    return made


def own_refusal(sampler: Component | None, pruner: Component | None) -> Fault | None:
    """Why a sampler or a pruner by its dotted name cannot search here; None where it can, or there is none."""
    for section, component in (("sampler", sampler), ("pruner", pruner)):
        if component is not None and OWN.fullmatch(component.use):
            try:
                fault = _own_fault(section, component)
            except SweepError as error:
                return Fault((section, "use"), str(error))
            if fault is not None:
                return fault
    return None


def _own_fault(section: str, component: Component) -> Fault | None:
    if section == "pruner":
        own_pruner(component)
        return None
    maker = locate(component.use, SweepError)
    if "seed" in component.arguments:
        rule = "must not be given: each trial has a sampler of its own, seeded from the sweep's `seed` and its number"
        return Fault(("sampler", "seed"), rule, advice="Remove it")
    for kind, name in INSTEAD.items():
        if isinstance(maker, type) and issubclass(maker, kind):
            rule = f"{component.use} cannot search here, where each trial has a sampler of its own"
            return Fault(("sampler", "use"), rule, advice=f"Use `{name}`, which does its work")
    own_sampler(component, 0)
    return None
