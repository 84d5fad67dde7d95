"""A study as Optuna alone runs it: its own storage, samplers and pruners. What `sweeps.study` is compared with.

Every trial has a sampler of its own, seeded as `sweeps.study` seeds it, and the trial then holds the parameters that
the compared study gave it: the two never drift apart, so each proposal is compared after the same past.
"""

from __future__ import annotations

from collections.abc import Mapping

import optuna
from optuna.trial import TrialState

from sweeps.config.schema import SweepConfig
from sweeps.config.space import active, epochs_high
from sweeps.config.values import Value
from sweeps.study.arguments import pruner_arguments, sampler_arguments, seed_of
from sweeps.study.dimensions import dimensions_of
from sweeps.study.pruners import study_name
from sweeps.study.quiet import quiet


def tpe(config: SweepConfig, seed: int) -> optuna.samplers.BaseSampler:
    """TPE as `sweeps.study.tpe` means it; what is not said here is None, or deprecated."""
    conditional = any(parameter.when for parameter in config.parameters().values())
    return optuna.samplers.TPESampler(
        **sampler_arguments(config), seed=seed, multivariate=True, group=conditional, constant_liar=True
    )


def uniform(config: SweepConfig, seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


SAMPLERS = {"tpe": tpe, "random": uniform}


def pruner(config: SweepConfig) -> optuna.pruners.BasePruner:
    """The config's pruner. Optuna's step is our epoch: the first is 1, and uses one epoch."""
    arguments = pruner_arguments(config)
    match config.pruner.use:
        case "hyperband":
            return optuna.pruners.HyperbandPruner(**arguments, max_resource=epochs_high(config), bootstrap_count=0)
        case "successive_halving":
            return optuna.pruners.SuccessiveHalvingPruner(**arguments, bootstrap_count=0)
        case "median":
            # Optuna counts steps from 0: its warm-up of n steps protects one epoch fewer than n.
            warmup = arguments.pop("n_warmup_steps") + 1
            return optuna.pruners.MedianPruner(**arguments, n_warmup_steps=warmup, n_min_trials=1)
    return optuna.pruners.NopPruner()


class OptunaAlone:
    """Ask, settle, report, tell."""

    def __init__(self, config: SweepConfig) -> None:
        self._config = config
        self._dimensions = {each.key: each for each in dimensions_of(config)}
        with quiet():
            self._study = optuna.create_study(
                pruner=pruner(config), study_name=study_name(config), direction=config.objective.direction
            )
        self._trials: dict[int, optuna.Trial] = {}

    def ask(self, number: int) -> dict[str, Value]:
        """What Optuna proposes for the next trial."""
        with quiet():
            self._study.sampler = SAMPLERS[self._config.sampler.use](self._config, seed_of(self._config.seed, number))
            trial = self._trials[number] = self._study.ask()
            trial.should_prune()  # Hyperband deals trials to brackets from its first question on
            _ = trial.relative_params
            chosen: dict[str, Value] = {}
            for key, dimension in self._dimensions.items():
                if active(self._config, chosen, key):
                    chosen[dimension.name] = dimension.decode(dimension.suggest(trial))
        return chosen

    def settle(self, number: int, params: Mapping[str, Value]) -> None:
        """The running trial has `params` instead of what Optuna proposed, and nothing else."""
        storage, trial_id = self._study._storage, self._trials[number]._trial_id
        for key in storage.get_trial_system_attrs(trial_id):
            storage.set_trial_system_attr(trial_id, key, "")
        frozen = storage.get_trial(trial_id)
        frozen.params.clear()
        frozen.distributions.clear()
        for key, dimension in self._dimensions.items():
            if active(self._config, params, key):
                given, value = dimension.distribution, dimension.encode(params[dimension.name])
                storage.set_trial_param(trial_id, key, given.to_internal_repr(value), given)

    def report(self, number: int, epoch: int, value: float) -> bool:
        self._trials[number].report(value, epoch)
        return self._trials[number].should_prune()

    def tell(self, number: int, outcome: str, value: float | None) -> None:
        trial = self._trials.pop(number)
        if outcome == "diverged":
            with quiet():
                trial.set_constraint("finite", 1.0)
        states = {"completed": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "diverged": TrialState.PRUNED}
        with quiet():
            self._study.tell(trial, value, states.get(outcome, TrialState.FAIL))
