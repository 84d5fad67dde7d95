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
from sweeps.study.duplicates import Tried
from sweeps.study.outcomes import Ending
from sweeps.study.priors import preferred
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
REDRAWS = 5
"""How often a sampler is asked again for a trial. One that has found its place comes to the same again and again."""
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

    def ask(
        self,
        number: int,
        known: Mapping[str, Value],
        tried: Tried,
        *,
        consult: bool,
        settled: Mapping[str, Value] | None = None,
    ) -> dict[str, Value]:
        """The active parameters of trial `number`: what is `known` as it is, the rest from the sampler.

        `consult` is False where nothing is left open. What has been `tried` is drawn again: so many times by the
        sampler, then at random. `settled` is what a trial of the log has: the sampler is asked as it was then, and the
        trial has that, whatever the answer.

        Raises: SweepError where a sampler of the user's fails.
        """

        def chosen() -> dict[str, Value]:
            trial_id, drawn = self._ask(number, known, tried, consult=consult, settled=settled)
            if settled is not None and drawn != settled:
                self._replace(trial_id, settled)
            self._share(trial_id)
            return drawn

        return self._guarded(self._config.sampler, chosen)

    def restore(self, number: int, params: Mapping[str, Value]) -> None:
        """Trial `number` is running with `params`, and no sampler need know."""
        study_id = self._storage.get_study_id_from_name(self.study.study_name)
        trial_id = self._ids[number] = self._storage.create_new_trial(study_id)
        for each, value in self._held(params):
            self._set(trial_id, each, each.encode(value))
        self._share(trial_id)

    def learn(self, params: Mapping[str, Value], ending: Ending) -> None:
        """A trial of an earlier sweep, which has ended; the trials of this one come after it in the study."""
        held = list(self._held(params))
        last, state = ending.last, STATES[ending.state]
        trial = optuna.trial.create_trial(
            state=state,
            value=last.value if ending.value is None and last is not None else ending.value,
            params={each.key: each.encode(value) for each, value in held},
            distributions={each.key: each.distribution for each, _ in held},
            intermediate_values={last.epoch: last.value} if last is not None and ending.state != "complete" else {},
            system_attrs={"constraints:finite": 1.0} if ending.state == "infeasible" else {},
        )
        self.study.add_trial(trial)
        self._is_learning |= state is not TrialState.FAIL

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
        theirs = self._storage.get_trial(trial_id).number  # which is higher where there are trials of earlier sweeps
        self._guarded(self._config.sampler, lambda: self.study.tell(theirs, ending.value, state))
        self._is_learning |= state is not TrialState.FAIL

    def _ask(
        self,
        number: int,
        known: Mapping[str, Value],
        tried: Tried,
        *,
        consult: bool,
        settled: Mapping[str, Value] | None,
    ) -> tuple[int, dict[str, Value]]:
        """A new trial's id in the storage, and its parameters."""
        self.study.sampler = self._samplers.of(number, is_learning=self._is_learning)
        if known:
            self.study.enqueue_trial({each.key: each.encode(value) for each, value in self._held(known)})
        trial = self.study.ask()
        trial_id = self._ids[number] = trial._trial_id  # which has no public name
        liked = {} if known else preferred(self._config, number, 0)
        chosen = self._draw(trial, trial_id, liked, consult=consult)

        def is_one_too_many() -> bool:
            return consult and chosen != settled and tried.has(chosen)

        for redraw in range(1, 2 * REDRAWS + 1):
            if not is_one_too_many():
                break
            if redraw > REDRAWS and (another := tried.another(number, known)) is not None:
                self._replace(trial_id, another)
                return trial_id, another
            self.study.sampler = self._samplers.of(
                number, is_learning=self._is_learning, redraw=redraw, at_random=redraw > REDRAWS
            )
            self._clear(trial_id)
            liked = {} if known else preferred(self._config, number, redraw)
            chosen = self._draw(optuna.Trial(self.study, trial_id), trial_id, liked, consult=consult)
        return trial_id, chosen

    def _draw(
        self, trial: optuna.Trial, trial_id: int, liked: Mapping[str, Value], *, consult: bool
    ) -> dict[str, Value]:
        """The active parameters of a trial: those that are `liked`, by key, and the rest from the sampler."""
        if consult:
            _ = trial.relative_params  # samples now, whichever parameter is suggested first
        chosen: dict[str, Value] = {}
        for each in self._dimensions:
            if not active(self._config, chosen, each.key):
                continue
            given = None if each.key in liked else each.suggest(trial)
            chosen[each.name] = each.decode(given) if each.key not in liked else liked[each.key]
            exact = each.encode(chosen[each.name])
            if each.key in liked or exact != given:
                self._set(trial_id, each, exact)
        self._forget_what_was_sampled(trial_id)
        return chosen

    def _replace(self, trial_id: int, params: Mapping[str, Value]) -> None:
        self._clear(trial_id)
        for each, value in self._held(params):
            self._set(trial_id, each, each.encode(value))

    def _clear(self, trial_id: int) -> None:
        """Take back the parameters of a running trial, which the storage in memory gives out as it holds it."""
        trial = self._storage.get_trial(trial_id)
        trial.params, trial.distributions = {}, {}

    def _held(self, values: Mapping[str, Value]) -> Iterator[tuple[Dimension, Value]]:
        """Values by name, each with its dimension: of several ranges the one that holds among them."""
        keys = {key_for(self._config.search_space, values, name): name for name in values}
        return ((each, values[keys[each.key]]) for each in self._dimensions if each.key in keys)

    def _set(self, trial_id: int, dimension: Dimension, value: Any) -> None:
        internal = dimension.distribution.to_internal_repr(value)
        self._storage.set_trial_param(trial_id, dimension.key, internal, dimension.distribution)

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
