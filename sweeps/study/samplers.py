"""Samplers and pruners: from a config's words to Optuna's objects. The rule: nothing is left to Optuna's defaults.

A default that changes in a new Optuna would change what a sweep proposes, so every constructor argument is written
here with the value that it had in Optuna 5.0.0, and a test fails when a constructor grows one that is not.

Samplers are built anew for each trial, seeded from the sweep's seed and the trial's number: what is proposed then
depends on nothing that a sampler remembers, only on what the study has been told. A continued sweep relies on it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, QMCSampler, RandomSampler, TPESampler

from sweeps.config.schema import SweepConfig
from sweeps.config.space import epochs_high
from sweeps.config.wording import Fault

Space = Mapping[str, BaseDistribution]

# What a config that leaves an argument out means. `methods` holds which values each can have.
SAMPLER_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "tpe": {"n_startup_trials": 10, "n_ei_candidates": 24},
    "random": {},
    "grid": {},
    "qmc": {"qmc_type": "sobol", "scramble": False},
    "gp": {"n_startup_trials": 10, "deterministic": False},
    "cmaes": {"n_startup_trials": 1, "popsize": None, "sigma0": None},
}
PRUNER_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "hyperband": {"min_resource": 1, "reduction_factor": 3},
    # Optuna's own default, "auto", guesses the first rung from the trials that happen to be complete.
    "successive_halving": {"min_resource": 1, "reduction_factor": 4, "min_early_stopping_rate": 0},
    "median": {"n_startup_trials": 5, "n_warmup_steps": 0, "interval_steps": 1},
}
PACKAGES = {"qmc": ("scipy",), "gp": ("scipy", "torch"), "cmaes": ("cmaes",)}


def method_arguments(config: SweepConfig) -> dict[str, Any]:
    """The sampler's arguments, as the config says or by default."""
    return {**SAMPLER_DEFAULTS[config.sampler.use], **config.sampler.arguments}


def missing_packages(config: SweepConfig) -> Fault | None:
    """What is wrong when the sampler needs packages that are not installed; they are looked for, not imported."""
    needed = PACKAGES.get(config.sampler.use, ())
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if not missing:
        return None
    rule = f"sampler `{config.sampler.use}` needs {' and '.join(missing)}, not installed here"
    return Fault(("sampler", "use"), rule, advice=f"Run `pip install {' '.join(missing)}`")


def seed_of(seed: int, *parts: int | str) -> int:
    """A seed in [0, 2**32) from its arguments alone: the same in every process and on every machine."""
    text = "/".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")


class KnownSpace(BaseSampler):
    """A sampler that is told the joint search space, instead of working it out from all finished trials at each ask."""

    def __init__(self, joint_space: Space, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._joint_space = {name: joint_space[name] for name in sorted(joint_space) if not joint_space[name].single()}

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The joint space, whichever trial asks."""
        del study, trial
        return self._joint_space


class KnownSpaceTPESampler(KnownSpace, TPESampler):
    """For spaces without conditions. The intersection that Optuna computes is then the whole space as soon as one trial
    has finished, and empty before; a test compares the two. At 5,000 trials this saves half of an ask.
    """


class KnownSpaceCmaEsSampler(KnownSpace, CmaEsSampler):
    """CMA-ES over the numbers that every trial has.

    What the trials so far have in common can include a conditional parameter until the first trial without it ends;
    Optuna's CMA-ES then fails on a pruned trial that lacks it, or falls back to random numbers for good.
    """

    def __init__(self, joint_space: Space, **arguments: Any) -> None:
        numbers = {name: it for name, it in joint_space.items() if not isinstance(it, CategoricalDistribution)}
        super().__init__(numbers, **arguments)


class Occasion(NamedTuple):
    """For whom a sampler is built: the config, whether any parameter has a `when:`, and the trial's own seed."""

    config: SweepConfig
    conditional: bool
    seed: int


def tpe_arguments(occasion: Occasion) -> dict[str, Any]:
    """For `TPESampler`.

    With `when:`, a joint model of what all trials have in common would leave every conditional parameter to be
    drawn on its own. `group` makes one joint model for each set of parameters that appear together, which is what
    `when:` means; without `when:` there is one such set, and it would only cost time.
    """
    return {
        **method_arguments(occasion.config),
        "seed": occasion.seed,
        "multivariate": True,
        "group": occasion.conditional,
        "constant_liar": True,  # lanes are running trials: do not propose their neighbourhood again
        # Deprecated by Optuna, which warns about anything but None. In 5.0.0 None means: prior on and of weight 1,
        # magic clip on, endpoints off, gamma min(ceil(0.1 n), 25), equal weights for the last 25 and a ramp before.
        "consider_prior": None,
        "prior_weight": None,
        "consider_magic_clip": None,
        "consider_endpoints": None,
        "gamma": None,
        "weights": None,
        "warn_independent_sampling": None,
        "constraints_func": None,
    }


def qmc_arguments(occasion: Occasion) -> dict[str, Any]:
    """For `QMCSampler`: one sequence for the whole sweep, so its seed is the sweep's and not the trial's.

    A seed for each trial would start a new scrambled sequence each time, and leave plain random numbers.
    """
    return {
        **method_arguments(occasion.config),
        "seed": seed_of(occasion.config.seed, "qmc"),
        "independent_sampler": RandomSampler(seed=occasion.seed),
        "warn_asynchronous_seeding": False,
        "warn_independent_sampling": False,
    }


def gp_arguments(occasion: Occasion) -> dict[str, Any]:
    """For `GPSampler`."""
    arguments = method_arguments(occasion.config)
    return {
        "n_startup_trials": arguments["n_startup_trials"],
        "deterministic_objective": arguments["deterministic"],
        "seed": occasion.seed,
        "independent_sampler": RandomSampler(seed=occasion.seed),
        "constraints_func": None,
        "warn_independent_sampling": False,
    }


def cmaes_arguments(occasion: Occasion) -> dict[str, Any]:
    """For `CmaEsSampler`. Optuna advises to count pruned trials under halving pruners, and not under the median's."""
    return {
        **method_arguments(occasion.config),
        "seed": occasion.seed,
        "independent_sampler": RandomSampler(seed=occasion.seed),
        "warn_independent_sampling": False,
        "consider_pruned_trials": occasion.config.pruner.use in {"hyperband", "successive_halving"},
        "x0": None,
        "restart_strategy": None,
        "inc_popsize": -1,
        "use_separable_cma": False,
        "with_margin": False,
        "lr_adapt": False,
        "source_trials": None,
    }


def random_arguments(occasion: Occasion) -> dict[str, Any]:
    """For `RandomSampler`; also for the grid, which hands every parameter to Optuna and leaves nothing to sample."""
    return {"seed": occasion.seed}


RECIPES: Mapping[str, tuple[type[BaseSampler], Callable[[Occasion], dict[str, Any]]]] = {
    "tpe": (TPESampler, tpe_arguments),
    "random": (RandomSampler, random_arguments),
    "grid": (RandomSampler, random_arguments),
    "qmc": (QMCSampler, qmc_arguments),
    "gp": (GPSampler, gp_arguments),
    "cmaes": (CmaEsSampler, cmaes_arguments),
}


def new_sampler(config: SweepConfig, space: Space, number: int) -> BaseSampler:
    """The sampler that proposes trial `number`, and no other.

    `space` is what can be modelled: all searched parameters, or none before the first trial has finished.
    """
    parameters = config.parameters()
    conditional = any(parameter.when for parameter in parameters.values())
    joint = {name: distribution for name, distribution in space.items() if not parameters[name].when}
    cls, recipe = RECIPES[config.sampler.use]
    arguments = recipe(Occasion(config, conditional, seed_of(config.seed, number)))
    with quiet():
        if cls is TPESampler and not conditional:
            return KnownSpaceTPESampler(joint, **arguments)
        if cls is CmaEsSampler:
            return KnownSpaceCmaEsSampler(joint, **arguments)
        return cls(**arguments)


def pruner_arguments(config: SweepConfig) -> tuple[type[BasePruner], dict[str, Any]]:
    """The pruner's class and all its arguments. Optuna's step is our epoch: the first is 1, and uses one epoch."""
    arguments = {**PRUNER_DEFAULTS[config.pruner.use], **config.pruner.arguments}
    match config.pruner.use:
        case "hyperband":
            # "auto" would wait for the first complete trial, and then take its length for the longest.
            return HyperbandPruner, {**arguments, "max_resource": epochs_high(config), "bootstrap_count": 0}
        case "successive_halving":
            return SuccessiveHalvingPruner, {**arguments, "bootstrap_count": 0}
        case "median":
            # Optuna counts steps from 0: its warm-up of n steps protects one epoch fewer than n.
            warmup = arguments["n_warmup_steps"] + 1
            return MedianPruner, {**arguments, "n_warmup_steps": warmup, "n_min_trials": 1}
        case _:
            return NopPruner, {}


def new_pruner(config: SweepConfig) -> BasePruner:
    """The pruner of the whole sweep."""
    cls, arguments = pruner_arguments(config)
    return cls(**arguments)


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
