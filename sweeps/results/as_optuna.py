"""A sweep's log as an Optuna study, for Optuna's plots, its dashboard and its importances.

Trials have Optuna's states and values: a pruned trial has that of its last report, a diverged one is pruned and breaks
the constraint `finite`. Steps are epochs, from 1. Times are UTC without a zone, as in the tables.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from sweeps.config import Choices, SweepConfig
from sweeps.config.parameters import Parameter, name_of
from sweeps.config.space import key_for
from sweeps.errors import ResultsError
from sweeps.log.trials import LoggedTrial, LoggedTrials
from sweeps.results.columns import text, utc_time
from sweeps.study.dimensions import Label, distribution, labels
from sweeps.study.quiet import quiet

LEAST_COMPLETED = 20
"""So many completed trials are needed to say what a parameter matters."""
LEAST_GOOD = 5
"""Optuna advises so many trials above the quantile that importances are about."""
_UNKNOWN_TIME = datetime(1970, 1, 1)
_LOST = "damage to the log has lost it"


def study_of(logged: LoggedTrials, config: SweepConfig) -> optuna.Study:
    """A study in memory with all trials, each under its number. Its user attribute `metric` is the objective."""
    with quiet():
        study = optuna.create_study(
            storage=optuna.storages.InMemoryStorage(), study_name=config.name, direction=config.objective.direction
        )
        fill(study, logged, config)
    return study


def fill(study: optuna.Study, logged: LoggedTrials, config: SweepConfig) -> None:
    """Add all trials to a study that has none."""
    study.set_user_attr("metric", config.objective.metric)
    study.add_trials(_trials(logged, config))


def importances(study: optuna.Study) -> dict[str, float]:
    """How much each parameter decides whether a trial is among the best tenth, in parts of 1, the most first.

    PED-ANOVA (Watanabe et al., 2023, arXiv:2304.10255): it needs no other package, takes conditional parameters, and
    looks at completed trials only. Of fewer than 50 of them the best five are looked at in place of a tenth.

    Raises: ResultsError where fewer than `LEAST_COMPLETED` trials have completed.
    """
    completed = len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
    if completed < LEAST_COMPLETED:
        rule = f"importances need {LEAST_COMPLETED} completed trials"
        raise ResultsError(f"{rule}, but {study.study_name} has {completed}")
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=max(0.1, LEAST_GOOD / completed))
    with quiet():
        return optuna.importance.get_param_importances(study, evaluator=evaluator)


class _SeenParameter:
    """A parameter of a sweep's trials, or one of its several ranges; the config may have changed between them.

    Its distribution is the config's, made wide enough for what trials have had. Where they have had other kinds of
    values than the config says now, it is a choice of all of them.
    """

    def __init__(self, parameter: Parameter | None, values: Sequence[Any]) -> None:
        self._labels: Mapping[str, Label] = {}
        known = list(parameter.choices) if isinstance(parameter, Choices) else []
        self._text = text if len(set(map(text, known))) == len(known) else json.dumps
        ranged = _range_over(parameter, values)
        if ranged is None:
            # In the config's order and in its types, for a table has all values of mixed types as text.
            by_text = {self._text(value): value for value in (*known, *values, *known)}
            self._labels = dict(zip(by_text, labels(list(by_text.values())), strict=True))
        self.distribution = ranged or CategoricalDistribution(list(self._labels.values()))

    def encode(self, value: Any) -> Any:
        """A trial's value as Optuna has it."""
        if self._labels:
            return self._labels[self._text(value)]
        return int(value) if isinstance(self.distribution, IntDistribution) else float(value)


class _SeenSpace:
    """The parameters of all trials under the names that Optuna has for them.

    Optuna takes several ranges under one name, and its importances tell them apart, as long as all are of one kind and
    one scale, and choices are the same. Others are parameters of their own, by their keys in `config.parameters()`.
    """

    def __init__(self, config: SweepConfig, trials: Sequence[Mapping[str, Any]]) -> None:
        self._space, parameters = config.search_space, config.parameters()
        values: dict[str, list[Any]] = defaultdict(list)
        for params in trials:
            for name, value in params.items():
                values[key_for(self._space, params, name)].append(value)
        self._seen = {key: _SeenParameter(parameters.get(key), given) for key, given in values.items()}
        kept = {key: each.distribution for key, each in self._seen.items()}
        first = {name_of(key): it for key, it in reversed(kept.items())}
        self._apart = {name_of(key) for key, it in kept.items() if not _go_together(it, first[name_of(key)])}

    def of(self, params: Mapping[str, Any]) -> Iterator[tuple[str, _SeenParameter, Any]]:
        """A trial's parameters: what Optuna calls each, how it has been seen, and its value."""
        for name, value in params.items():
            key = key_for(self._space, params, name)
            yield key if name in self._apart else name, self._seen[key], value


def _go_together(one: BaseDistribution, other: BaseDistribution) -> bool:
    """Whether Optuna takes both under one name."""
    try:
        optuna.distributions.check_distribution_compatibility(one, other)
    except ValueError:
        return False
    return True


def _range_over(parameter: Parameter | None, values: Sequence[Any]) -> BaseDistribution | None:
    """A range of numbers that holds the parameter's own and all `values`; None where there is no such range."""
    if isinstance(parameter, Choices) or any(isinstance(it, bool) or not isinstance(it, int | float) for it in values):
        return None
    if parameter is not None and all(map(parameter.contains, values)):
        return distribution(parameter)
    numbers = [*values, *([parameter.low, parameter.high] if parameter is not None else [])]
    low, high = min(numbers), max(numbers)
    is_log = parameter is not None and parameter.log and low > 0
    if all(isinstance(it, int) for it in numbers):
        return IntDistribution(low, high, log=is_log)
    return FloatDistribution(low, high, log=is_log)


def _trials(logged: LoggedTrials, config: SweepConfig) -> Iterator[FrozenTrial]:
    seen = _SeenSpace(config, [trial.params for trial in logged.trials.values()])
    for number in range(max(logged.trials, default=-1) + 1):
        lost = LoggedTrial(number, ending={"outcome": "failed", "reason": _LOST})
        yield _frozen(logged.trials.get(number, lost), seen, config.objective.metric)


def _frozen(trial: LoggedTrial, seen: _SeenSpace, metric: str) -> FrozenTrial:
    rows = dict(sorted(trial.epochs_of(trial.repeat).items()))
    curve = {epoch: row.figure(metric) for epoch, row in rows.items()}
    state, value = _ending(trial, curve)
    complete = utc_time(trial.ending.get("time"))
    start = utc_time(trial.start.get("time")) or complete or _UNKNOWN_TIME
    return FrozenTrial(
        number=trial.number,
        trial_id=-1,  # a storage gives its own
        state=state,
        value=value,
        datetime_start=None if state is TrialState.WAITING else start,
        datetime_complete=(complete or start) if state.is_finished() else None,
        params={name: parameter.encode(value) for name, parameter, value in seen.of(trial.params)},
        distributions={name: parameter.distribution for name, parameter, _ in seen.of(trial.params)},
        user_attrs={
            "outcome": trial.outcome,
            "reason": str(trial.ending.get("reason") or ""),
            "epochs": trial.epochs_run,
            "seconds": math.fsum(row.seconds for row in rows.values()) if trial.is_whole else None,
        },
        system_attrs={"constraints:finite": 1.0} if trial.outcome == "diverged" else {},
        intermediate_values=curve,
    )


def _ending(trial: LoggedTrial, curve: Mapping[int, float]) -> tuple[TrialState, float | None]:
    """The state, and the value where Optuna has one; a completed trial whose value the log has lost has failed."""
    state, last = TrialState[trial.state], curve[max(curve)] if curve else math.nan
    if state is TrialState.COMPLETE:
        return (TrialState.FAIL, None) if math.isnan(trial.value) else (state, trial.value)
    return state, last if state is TrialState.PRUNED and not math.isnan(last) else None
