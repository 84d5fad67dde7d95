"""Trials of an earlier sweep that fit this one, and what a sampler makes of them."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from test_study import CONDITIONAL, PLAIN, ask, config, drive, needs_torch

from sweeps.errors import ConfigError
from sweeps.study import Study, StudyEvent
from sweeps.study.arguments import seed_of
from sweeps.study.dimensions import dimensions_of
from sweeps.study.quiet import quiet
from sweeps.study.warm_start import fitting

SPACE: dict[str, Any] = {
    "epochs": {"type": "int", "low": 1, "high": 9},
    "batch_size": {"type": "int", "low": 16, "high": 128},
    "learning_rate": {"type": "float", "low": 0.0, "high": 1.0},
}


def earlier(count: int) -> list[tuple[dict[str, Any], float]]:
    """Parameters and values of a made-up sweep, whose best learning rate is 0.2."""
    rates = [(7 * number % 31) / 31 for number in range(count)]
    return [
        ({"epochs": 1 + number % 9, "batch_size": 16 + 5 * number % 100, "learning_rate": rate}, abs(rate - 0.2))
        for number, rate in enumerate(rates)
    ]


def test_tpe_learns_as_optunas_own_does_from_trials_that_are_added_to_its_study() -> None:
    sweep = config(SPACE, {"use": "tpe", "n_startup_trials": 5})
    ours = Study(sweep)
    with quiet():
        theirs = optuna.create_study()
    for index, (params, value) in enumerate(earlier(20)):
        state = ("completed", "pruned", "diverged")[index % 3 if index % 4 == 0 else 0]
        ours.learn(params, state, value, 2)
        theirs.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState.COMPLETE if state == "completed" else optuna.trial.TrialState.PRUNED,
                value=value,
                params=params,
                distributions={each.key: each.distribution for each in dimensions_of(sweep)},
                intermediate_values={2: value},
                system_attrs={"constraints:finite": 1.0} if state == "diverged" else {},
            )
        )
    for number in range(12):
        params = ask(ours).params
        with quiet():
            theirs.sampler = optuna.samplers.TPESampler(
                n_startup_trials=5, seed=seed_of(0, number), multivariate=True, constant_liar=True
            )
            trial = theirs.ask()
            expected = {each.name: each.suggest(trial) for each in dimensions_of(sweep)}
            theirs.tell(trial, expected["learning_rate"])
        assert params == pytest.approx(expected, abs=1e-9)
        ours.tell(number, "completed", expected["learning_rate"])


@pytest.mark.parametrize("sampler", ["tpe", "optuna.samplers:TPESampler", pytest.param("gp", marks=needs_torch)])
def test_the_first_trials_are_near_what_was_good_before(sampler: str) -> None:
    space = {"epochs": 1, "batch_size": 32, "learning_rate": SPACE["learning_rate"]}
    near, far = Study(config(space, sampler)), Study(config(space, sampler))
    for params, value in earlier(30):
        near.learn({"learning_rate": params["learning_rate"]}, "completed", value, 1)
    rates = [[float(str(ask(study).params["learning_rate"])) for _ in range(6)] for study in (near, far)]
    assert sum(abs(rate - 0.2) < 0.15 for rate in rates[0]) > sum(abs(rate - 0.2) < 0.15 for rate in rates[1])


@pytest.mark.parametrize("sampler", ["tpe", "optuna.samplers:TPESampler", pytest.param("gp", marks=needs_torch)])
@pytest.mark.parametrize("space", [PLAIN, CONDITIONAL], ids=["plain", "conditional"])
def test_a_replayed_study_that_has_learnt_goes_on_as_the_uninterrupted_one(sampler: str, space: dict[str, Any]) -> None:
    source: list[StudyEvent] = []
    drive(Study(config(space, "random", seed=5)), source, 60)
    params = {event[1]: event[2] for event in source if event[0] == "ask"}
    learnt: list[StudyEvent] = [
        ("learn", params[event[1]], event[2], event[3] if event[2] == "completed" else 3.0, 4)
        for event in source
        if event[0] == "tell" and event[2] in ("completed", "pruned", "diverged")
    ]
    sweep = config(space, sampler, "hyperband")
    whole: list[StudyEvent] = []
    drive(Study.from_events(sweep, learnt), whole, 60)
    for cut in (5, 30):
        events = whole[:cut]
        if whole[cut][0] == "tell" and whole[cut][2] == "pruned":
            continue  # the answer to the last report belongs to it
        drive(Study.from_events(sweep, [*learnt, *events]), events, 60)
        assert events == whole
    without: list[StudyEvent] = []
    drive(Study(sweep), without, 60)
    assert without != whole


SEARCHED = {"type": "categorical", "choices": ["sgd", "adam"]}
MOMENTUM = {"type": "float", "low": 0.0, "high": 0.9, "when": {"optimizer.use": "sgd"}}


@pytest.mark.parametrize(
    ("values", "fitted"),
    [
        ({"epochs": 3, "batch_size": 64, "learning_rate": 0.5}, {"epochs": 3, "learning_rate": 0.5}),
        ({"epochs": 3.0, "learning_rate": 1}, {"epochs": 3, "learning_rate": 1.0}),
        ({"epochs": 3, "model.width": 9}, {"epochs": 3}),
        ({"epochs": 10}, "epochs is 10, which must be from 1 to 9 here"),
        ({"epochs": 3, "batch_size": 32}, "batch_size is 32, which is fixed at 64 here"),
        ({"model.width": 9}, "none of its parameters is searched here"),
        ({"optimizer.use": "sgd", "optimizer.momentum": 0.5}, {"optimizer.use": "sgd", "optimizer.momentum": 0.5}),
        ({"optimizer.use": "adam", "optimizer.momentum": 0.5}, {"optimizer.use": "adam"}),
        ({"optimizer.use": "lion"}, "optimizer.use is 'lion', which must be one of ['sgd', 'adam'] here"),
    ],
)
def test_a_trial_fits_with_values_that_it_could_have_here(values: dict[str, Any], fitted: Any) -> None:
    space = {**SPACE, "batch_size": 64, "optimizer.use": SEARCHED, "optimizer.momentum": MOMENTUM}
    assert fitting(config(space), values) == fitted


def test_gp_needs_all_parameters_of_a_trial() -> None:
    values = {"epochs": 3, "learning_rate": 0.5}
    assert fitting(config(SPACE, "gp"), values) == "batch_size is missing, and gp needs all parameters"
    assert fitting(config(SPACE, "tpe"), values) == values


def test_tpe_searches_a_parameter_that_the_earlier_trials_lack() -> None:
    study = Study(config({**SPACE, "model.x": {"type": "float", "low": 5.0, "high": 6.0}}))
    for params, value in earlier(30):
        study.learn(params, "completed", value, 1)
    found = []
    for number in range(30):
        params = ask(study).params
        found.append(float(str(params["model.x"])))
        study.tell(number, "completed", abs(found[-1] - 5.2))
    assert all(5.0 <= value <= 6.0 for value in found)
    assert sum(abs(value - 5.2) < 0.2 for value in found[20:]) >= 6


@pytest.mark.parametrize("sampler", ["random", "grid", "qmc", "cmaes"])
def test_a_sampler_that_cannot_learn_from_others_is_refused(sampler: str) -> None:
    space = {"epochs": {"type": "int", "low": 1, "high": 3}, "batch_size": 32, "learning_rate": 0.1}
    with pytest.raises(ConfigError, match=f"warm_start: the sampler `{sampler}` .*Use `tpe` or `gp`, or remove it"):
        config(space, sampler, budget={"trials": 3}, warm_start="results/other")


@pytest.mark.parametrize("pruner", ["waves", "asha"])
def test_beside_a_pruner_that_pauses_trials_nothing_is_learnt_from_others(pruner: str) -> None:
    with pytest.raises(ConfigError, match=f"warm_start: the pruner `{pruner}` .*Use another pruner, or remove it"):
        config(SPACE, pruner=pruner, warm_start="results/other")
