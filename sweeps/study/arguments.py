"""What a config leaves out: arguments of samplers and pruners, and seeds.

A default that changes in a new version would change what a sweep proposes, so all of them are written here, with the
values that they had in Optuna 5.0.0. `config/names.py` holds which values each can have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from sweeps.config.rungs import DEFAULTS as RUNGS
from sweeps.config.schema import SweepConfig

SAMPLER_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "tpe": {"n_startup_trials": 10, "n_ei_candidates": 24},
    "random": {},
    "grid": {"shuffle": False},
    "qmc": {"qmc_type": "sobol", "scramble": False},
    "gp": {"n_startup_trials": 10, "deterministic": False},
    "cmaes": {"n_startup_trials": 1, "popsize": None, "sigma0": None},
}
PRUNER_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    **RUNGS,
    "hyperband": {"min_resource": 1, "reduction_factor": 3},
    # Optuna's own default, "auto", guesses the first size from the trials that happen to be complete.
    "successive_halving": {"min_resource": 1, "reduction_factor": 4, "min_early_stopping_rate": 0},
    "median": {"n_startup_trials": 5, "n_warmup_steps": 0, "interval_steps": 1},
}


def sampler_arguments(config: SweepConfig) -> dict[str, Any]:
    """The sampler's arguments, as the config says or by default."""
    return {**SAMPLER_DEFAULTS.get(config.sampler.use, {}), **config.sampler.arguments}


def pruner_arguments(config: SweepConfig) -> dict[str, Any]:
    """The pruner's arguments, as the config says or by default."""
    return {**PRUNER_DEFAULTS.get(config.pruner.use, {}), **config.pruner.arguments}


def seed_of(seed: int, *parts: int | str) -> int:
    """A seed in [0, 2**32) from its arguments alone: the same in every process and on every machine."""
    text = "/".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")
