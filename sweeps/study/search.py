"""The study as Optuna has it: a real one in memory, fed by the events of a sweep.

It holds every trial with its parameters, its last report (all of them, where a pruner of Optuna's asks) and its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from typing import Any, TypeVar

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import NopPruner
from optuna.trial import TrialState

from sweeps.config.names import OWN
from sweeps.config.schema import Component, SweepConfig
from sweeps.config.space import active, key_for
from sweeps.config.values import Value
from sweeps.errors import SweepError
from sweeps.study.dimensions import Dimension, dimensions_of
from sweeps.study.outcomes import Ending
from sweeps.study.pruners import study_name
from sweeps.study.quiet import quiet
from sweeps.study.rungs import Rungs
from sweeps.study.samplers import Samplers, own_pruner
from sweeps.user_code import failed

STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "infeasible": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
SILENT = frozenset({"random", "tpe"})
"""Samplers that have nothing to say, so that nothing need be held back, which takes a while."""
Answer = TypeVar("Answer")


class Search:
    """`ask` or `restore` come in the order of trial numbers, and each trial is told of once."""

    def __init__(self, config: SweepConfig, rungs: Rungs | None = None) -> None:
        self._config = config
        self._dimensions = dimensions_of(config)
        self._samplers = Samplers(config, self._dimensions, rungs)
        self._has_own_pruner = bool(OWN.fullmatch(config.pruner.use))
        self._storage = optuna.storages.InMemoryStorage()
        self._ids: dict[int, int] = {}  # of running trials, in the storage
        self._shared: dict[frozenset[str], dict[str, BaseDistribution]] = {}
        self._is_learning = False  # whether any trial is COMPLETE or PRUNED
        with quiet():
            self.study = optuna.create_study(
                storage=self._storage,
                sampler=self._samplers.of(0, is_learning=False),
                pruner=own_pruner(config.pruner) if self._has_own_pruner else NopPruner(),
                study_name=study_name(config),
                direction=config.objective.direction,
                load_if_exists=False,
            )

    def ask(self, number: int, known: Mapping[str, Value], *, consult: bool) -> dict[str, Value]:
        """The active parameters of trial `number`: what is `known` as it is, the rest from the sampler.

        `consult` is False where nothing is left open.

        Raises: SweepError where a sampler of the user's fails.
        """
        return self._guarded(self._config.sampler, lambda: self._ask(number, known, consult=consult))

    def restore(self, number: int, params: Mapping[str, Value]) -> None:
        """Trial `number` is running with `params`, and no sampler need know."""
        self._storage.create_new_trial(self._storage.get_study_id_from_name(self.study.study_name))
        trial_id = self._begin(number)
        for each, value in self._held(params):
            self._set(trial_id, each, each.encode(value))
        self._share(trial_id)

    def report(self, number: int, epoch: int, value: float) -> bool:
        """As a pruner of the sweep: whether Optuna's stops a trial after an epoch.

        Raises: SweepError where a pruner of the user's fails.
        """
        self._storage.set_trial_intermediate_value(self._ids[number], epoch, value)
        trial = self._storage.get_trial(self._ids[number])
        return self._guarded(self._config.pruner, lambda: bool(self.study.pruner.prune(self.study, trial)))

    def end(self, number: int, completed: bool) -> None:
        """As a pruner of the sweep, which looks at the study."""

    def tell(self, number: int, ending: Ending) -> None:
        """A trial has ended. A pruned one has the value of its last report.

        Raises: SweepError where a sampler of the user's fails.
        """
        trial_id, state = self._ids.pop(number), STATES[ending.state]
        if ending.last is not None and ending.state != "complete" and not self._has_own_pruner:
            self._storage.set_trial_intermediate_value(trial_id, ending.last.epoch, ending.last.value)
        if ending.state == "infeasible":
            self._storage.set_trial_system_attr(trial_id, "constraints:finite", 1.0)
        self._guarded(self._config.sampler, lambda: self.study.tell(number, ending.value, state))
        self._is_learning |= state is not TrialState.FAIL

    def _ask(self, number: int, known: Mapping[str, Value], *, consult: bool) -> dict[str, Value]:
        self.study.sampler = self._samplers.of(number, is_learning=self._is_learning)
        if known:
            self.study.enqueue_trial({each.key: each.encode(value) for each, value in self._held(known)})
        trial = self.study.ask()
        trial_id = self._begin(number)
        if consult:
            _ = trial.relative_params  # samples now, whichever parameter is suggested first
        chosen: dict[str, Value] = {}
        for each in self._dimensions:
            if active(self._config, chosen, each.key):
                given = each.suggest(trial)
                chosen[each.name] = each.decode(given)
                exact = each.encode(chosen[each.name])
                if exact != given:
                    self._set(trial_id, each, exact)
        self._forget_what_was_sampled(trial_id)
        self._share(trial_id)
        return chosen

    def _held(self, values: Mapping[str, Value]) -> Iterator[tuple[Dimension, Value]]:
        """Values by name, each with its dimension: of several ranges the one that holds among them."""
        keys = {key_for(self._config.search_space, values, name): name for name in values}
        return ((each, values[keys[each.key]]) for each in self._dimensions if each.key in keys)

    def _set(self, trial_id: int, dimension: Dimension, value: Any) -> None:
        internal = dimension.distribution.to_internal_repr(value)
        self._storage.set_trial_param(trial_id, dimension.key, internal, dimension.distribution)

    def _begin(self, number: int) -> int:
        study_id = self._storage.get_study_id_from_name(self.study.study_name)
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(study_id, number)
        self._ids[number] = trial_id
        return trial_id

    def _share(self, trial_id: int) -> None:
        """Have trials of the same parameters hold one and the same distributions, which take half of their memory.

        A storage in memory gives out the very trial that it holds.
        """
        trial = self._storage.get_trial(trial_id)
        trial.distributions = self._shared.setdefault(frozenset(trial.params), trial.distributions)

    def _forget_what_was_sampled(self, trial_id: int) -> None:
        """Take a running trial for what it is trying.

        GP and TPE leave all that they sampled for it beside its parameters, for other processes to see. Of that, the
        conditional parameters that are not active would keep later trials away from values that no trial has,
        and would have to be sampled again in a replay.
        """
        for key in self._storage.get_trial_system_attrs(trial_id):
            if ":relative_params:" in key:
                self._storage.set_trial_system_attr(trial_id, key, "")

    def _guarded(self, component: Component, call: Callable[[], Answer]) -> Answer:
        """The answer; what a user's own code raises is one line."""
        try:
            with nullcontext() if component.use in SILENT else quiet():
                return call()
        except (Exception, SystemExit) as error:
            if not OWN.fullmatch(component.use) or isinstance(error, SweepError):
                raise
            raise SweepError(failed(component.use, error)) from error
