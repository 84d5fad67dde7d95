"""The study room, against the real Optuna."""

from __future__ import annotations

import importlib.util
import inspect
import json
import logging
import math
import os
import random
import statistics
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest

from sweeps.config import parse_config, to_yaml
from sweeps.config.names import METHODS
from sweeps.config.schema import SweepConfig
from sweeps.config.values import Value
from sweeps.errors import ConfigError, LogError
from sweeps.study import OUTCOMES, Proposal, Study, StudyEvent
from sweeps.study.arguments import PRUNER_DEFAULTS, SAMPLER_DEFAULTS, seed_of
from sweeps.study.grid import most_trials
from sweeps.study.pruners import new_pruner
from sweeps.study.samplers import RECIPES, new_sampler

HAS_TORCH = importlib.util.find_spec("torch") is not None
needs_torch = pytest.mark.skipif(not HAS_TORCH, reason="sampler gp needs torch, which is not installed")
needs_cmaes = pytest.mark.skipif(importlib.util.find_spec("cmaes") is None, reason="cmaes is not installed")
SAMPLING = [
    "tpe",
    "random",
    "qmc",
    pytest.param("cmaes", marks=needs_cmaes),
    pytest.param("gp", marks=needs_torch),
]
ALL = [*SAMPLING, "grid"]

PLAIN: dict[str, Any] = {
    "epochs": {"type": "int", "low": 1, "high": 9},
    "batch_size": {"type": "categorical", "choices": [32, 64, 128]},
    "learning_rate": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
    "optimizer.b1": {"type": "float", "low": 0.1, "high": 0.95, "step": 0.1},
    "model.hidden": {"type": "categorical", "choices": [[64], [128, 128]]},
}
CONDITIONAL: dict[str, Any] = {
    "optimizer.momentum": {"type": "float", "low": 0.0, "high": 0.9, "when": {"optimizer.use": "sgd"}},
    "epochs": {"type": "int", "low": 1, "high": 9},
    "batch_size": 64,
    "learning_rate": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
    "optimizer.use": {"type": "categorical", "choices": ["sgd", "adam"]},
    "optimizer.b1": {"type": "float", "low": 0.5, "high": 0.95, "when": {"optimizer.use": ["adam"]}},
}
GRID: dict[str, Any] = {
    "epochs": {"type": "int", "low": 1, "high": 9, "step": 4},
    "batch_size": {"type": "categorical", "choices": [32, 64]},
    "learning_rate": {"type": "float", "low": 0.1, "high": 0.35, "step": 0.1},
    "optimizer.use": {"type": "categorical", "choices": ["sgd", "adam"]},
    "optimizer.momentum": {"type": "float", "low": 0.0, "high": 0.9, "step": 0.9, "when": {"optimizer.use": "sgd"}},
}


Use = str | dict[str, Any]  # a name, or a name with arguments


def config(space: dict[str, Any] | None = None, sampler: Use = "tpe", pruner: Use = "none", **more: Any) -> SweepConfig:
    """A config with a search space."""
    tree: dict[str, Any] = {
        "name": "study",
        "dataset": {"use": "mnist"},
        "model": {"use": "models.mlp:MLP"},
        "loss": "softmax_cross_entropy",
        "search_space": PLAIN if space is None else space,
        "objective": {"metric": "valid_loss", "direction": "minimize"},
        "sampler": {"use": sampler} if isinstance(sampler, str) else sampler,
        "pruner": {"use": pruner} if isinstance(pruner, str) else pruner,
    }
    if sampler != "grid":
        tree["budget"] = {"trials": 100}
    return parse_config(tree | more)


def loss(params: dict[str, Value], epoch: int = 1) -> float:
    """A bowl in log learning rate around 1e-3 that deepens a little with every epoch."""
    rate = params["learning_rate"]
    assert isinstance(rate, float)
    return (math.log10(rate) + 3) ** 2 + 1 / epoch


def ask(study: Study) -> Proposal:
    proposal = study.ask()
    assert proposal is not None
    return proposal


def drive(study: Study, events: list[StudyEvent], steps: int, lanes: int = 3, seed: int = 0) -> None:
    """Run several trials at once by chance, and write down what happens, as a log does.

    The choices come from the events so far, so that a replayed study is driven on as the first one would have been.
    """
    params: dict[int, dict[str, Value]] = {}
    epochs: dict[int, int] = {}
    for event in events:
        if event[0] == "ask":
            params[event[1]], epochs[event[1]] = dict(event[2]), 0
        elif event[0] == "report":
            epochs[event[1]] = event[2]
        else:
            del epochs[event[1]]
    while len(events) < steps:
        chance = random.Random(f"{seed}/{len(events)}")
        if len(epochs) < lanes:
            if (proposal := study.ask()) is None:
                return
            events.append(("ask", *proposal))
            params[proposal.number], epochs[proposal.number] = proposal.params, 0
            continue
        number = chance.choice(sorted(epochs))
        fate = chance.random()
        epochs[number] += 1
        value = loss(params[number], epochs[number])
        if fate < 0.6:
            events.append(("report", number, epochs[number], value))
            if study.report(number, epochs[number], value):
                events.append(("tell", number, "pruned", None))
        elif fate < 0.8:
            events.append(("tell", number, "completed", value))
        else:
            outcome = chance.choice(["diverged", "diverged", "failed", "pruned"])
            events.append(("tell", number, outcome, None))
        if events[-1][0] == "tell":
            study.tell(number, events[-1][2], events[-1][3])
            del epochs[number]


def proposals(events: list[StudyEvent]) -> list[StudyEvent]:
    return [event for event in events if event[0] == "ask"]


# What is proposed


@pytest.mark.parametrize("sampler", SAMPLING)
def test_proposals_lie_inside_the_space(sampler: str) -> None:
    study = Study(config(sampler=sampler))
    for _ in range(30):
        number, params = ask(study)
        assert list(params) == list(PLAIN)
        assert type(params["epochs"]) is int
        assert params["epochs"] in range(1, 10)
        assert params["batch_size"] in (32, 64, 128)
        assert type(params["learning_rate"]) is float
        assert 1e-5 <= params["learning_rate"] <= 1e-1
        assert params["optimizer.b1"] in (
            0.1,
            0.2,
            0.3,
            0.4,
            0.5,
            0.6,
            0.7,
            0.8,
            0.9,
        )  # exactly: as they would be written down
        assert params["model.hidden"] in ((64,), (128, 128))
        study.tell(number, "completed", loss(params))


def test_log_ranges_are_sampled_by_their_exponent() -> None:
    study = Study(config(sampler="random"))
    rates = [ask(study).params["learning_rate"] for _ in range(200)]
    assert 0.35 < sum(isinstance(rate, float) and rate < 1e-3 for rate in rates) / 200 < 0.65


@pytest.mark.parametrize("sampler", ALL)
@pytest.mark.parametrize("space", [PLAIN, CONDITIONAL], ids=["plain", "conditional"])
def test_the_same_seed_gives_the_same_proposals(sampler: str, space: dict[str, Any]) -> None:
    space = GRID if sampler == "grid" else space
    first: list[StudyEvent] = []
    second: list[StudyEvent] = []
    drive(Study(config(space, sampler, "hyperband")), first, 60)
    drive(Study(config(space, sampler, "hyperband")), second, 60)
    assert first == second


@pytest.mark.parametrize("sampler", SAMPLING)
def test_another_seed_gives_other_proposals(sampler: str) -> None:
    chosen = {"use": "qmc", "scramble": True} if sampler == "qmc" else {"use": sampler}
    told: list[list[StudyEvent]] = [[], []]
    for seed in (0, 1):
        drive(Study(config(sampler=chosen, seed=seed)), told[seed], 40)
    assert [event[2] for event in proposals(told[0])] != [event[2] for event in proposals(told[1])]


def test_proposals_do_not_depend_on_the_hash_seed_of_the_process() -> None:
    program = (
        "import json, sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_study import *\n"
        "events = []; drive(Study(config(CONDITIONAL, 'tpe', 'hyperband')), events, 120); print(json.dumps(events))"
    )
    command = [sys.executable, "-c", program, str(Path(__file__).parent)]
    outputs = [
        subprocess.run(
            command, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert json.loads(outputs[0]) == json.loads(outputs[1])


def test_scrambled_qmc_spreads_evenly_over_the_whole_sweep() -> None:
    """64 points of one sequence fall once into each 64th of the range; of a new one for each trial they would not."""
    study = Study(config(sampler={"use": "qmc", "scramble": True}, space=PLAIN))
    first = ask(study)
    study.tell(first.number, "completed", 1.0)
    rates = [ask(study).params["learning_rate"] for _ in range(64)]
    cells = {int((math.log10(rate) + 5) / 4 * 64) for rate in rates if isinstance(rate, float)}
    assert len(cells) == 64


@pytest.mark.parametrize("sampler", SAMPLING)
def test_conditional_parameters_are_there_only_when_active(sampler: str) -> None:
    events: list[StudyEvent] = []
    drive(Study(config(CONDITIONAL, sampler)), events, 80)
    for _, _, params, *_ in proposals(events):
        assert isinstance(params, dict)
        own = "optimizer.momentum" if params["optimizer.use"] == "sgd" else "optimizer.b1"
        assert params.keys() == {"epochs", "learning_rate", "optimizer.use", own}


@pytest.mark.parametrize("sampler", ALL)
def test_several_ranges_of_one_parameter_are_proposed_as_parameters_of_their_own_would_be(sampler: str) -> None:
    sgd = {"type": "float", "low": 0.1, "high": 1.0, "when": {"optimizer.use": "sgd"}}
    adam = {"type": "float", "low": 1e-3, "high": 0.5, "log": True, "when": {"optimizer.use": "adam"}}
    if sampler == "grid":
        sgd, adam = {**sgd, "step": 0.3}, {**adam, "log": False, "low": 0.1, "step": 0.2}
    rest = {"epochs": 3, "batch_size": 64, "optimizer.use": {"type": "categorical", "choices": ["sgd", "adam"]}}
    known = [{"optimizer.use": "adam", "model.x": 0.5}]
    first = config({**rest, "model.x": [sgd, adam]}, sampler, enqueue=known)
    apart = [{"optimizer.use": "adam", "model.x_1": 0.5}]
    second = config({**rest, "model.x_0": sgd, "model.x_1": adam}, sampler, enqueue=apart)
    one, other, proposed = Study(first), Study(second), 0
    while proposed < 30 and (proposal := one.ask()) is not None and (expected := other.ask()) is not None:
        number, params = proposal
        assert params.keys() == {"optimizer.use", "model.x"}
        own = "model.x_0" if params["optimizer.use"] == "sgd" else "model.x_1"
        assert {"optimizer.use": params["optimizer.use"], own: params["model.x"]} == expected.params
        for study in (one, other):
            study.tell(number, "completed", abs(float(str(params["model.x"])) - 0.3))
        proposed += 1
    assert proposed == (7 if sampler == "grid" else 30)
    assert most_trials(first) == most_trials(second)


def test_a_study_of_several_ranges_goes_on_from_its_log() -> None:
    ranges = [
        {"type": "float", "low": 0.1, "high": 1.0, "when": {"optimizer.use": "sgd"}},
        {"type": "float", "low": 0.5, "high": 2.0, "when": {"optimizer.use": "adam"}},
    ]
    sweep = config({**CONDITIONAL, "learning_rate": ranges})
    events: list[StudyEvent] = []
    study = Study(sweep)
    for number in range(12):
        params = ask(study).params
        study.tell(number, "completed", float(str(params["learning_rate"])))
        events += [("ask", number, params), ("tell", number, "completed", params["learning_rate"])]
    assert Study.from_events(sweep, events).ask() == study.ask()


def test_choices_come_back_as_the_config_has_them() -> None:
    choices = [1, "1", None, "null", "true", 0.5, [1], "[1]", [[1, 2], "a"], False]
    study = Study(config(PLAIN | {"model.hidden": {"type": "categorical", "choices": choices}}, "random"))
    seen = {json.dumps(ask(study).params["model.hidden"]) for _ in range(150)}
    assert seen == {json.dumps(choice) for choice in choices}


def test_a_step_that_does_not_end_at_high_stays_below_it() -> None:
    space = {"epochs": 1, "batch_size": 1, "learning_rate": {"type": "float", "low": 0.0, "high": 1.0, "step": 0.3}}
    study = Study(config(space, "random", duplicates="repeat"))
    assert {ask(study).params["learning_rate"] for _ in range(60)} == {0.0, 0.3, 0.6, 0.9}


def test_a_space_of_fixed_values_proposes_nothing_to_choose() -> None:
    space = {"epochs": 1, "batch_size": 32, "learning_rate": 0.1}
    study = Study(config(space, "tpe"))
    assert [ask(study) for _ in range(2)] == [(0, {}), (1, {})]


# Enqueued configurations


@pytest.mark.parametrize("sampler", ALL)
def test_enqueued_configurations_come_first_and_in_order(sampler: str) -> None:
    space = GRID if sampler == "grid" else PLAIN
    known = [
        {"epochs": 5, "batch_size": 64, "learning_rate": 0.1, "optimizer.use": "adam"},
        {"learning_rate": 0.2 if sampler == "grid" else 1e-3},
    ]
    if sampler != "grid":
        known[0] = {
            "epochs": 3,
            "batch_size": 64,
            "learning_rate": 0.01,
            "optimizer.b1": 0.9,
            "model.hidden": [128, 128],
        }
    study = Study(config(space, sampler, enqueue=known))
    first, second, third = (ask(study).params for _ in range(3))
    expected = {name: tuple(value) if isinstance(value, list) else value for name, value in known[0].items()}
    assert first == expected
    assert second["learning_rate"] == known[1]["learning_rate"]
    assert second.keys() >= {"epochs", "batch_size"}
    assert third["learning_rate"] != known[1]["learning_rate"]


# The grid


def test_a_grid_is_the_product_once_each_in_order() -> None:
    space = {name: GRID[name] for name in ("epochs", "batch_size", "learning_rate")}
    assert most_trials(config(space, "grid")) == 18
    study = Study(config(space, "grid"))
    found = [tuple(ask(study).params.values()) for _ in range(18)]
    assert found == [(e, b, r) for e in (1, 5, 9) for b in (32, 64) for r in (0.1, 0.2, 0.3)]
    assert study.ask() is None
    assert study.ask() is None


def test_a_grid_counts_inactive_parameters_once() -> None:
    assert most_trials(config(GRID, "grid")) == 18 * 3  # sgd with two momenta, adam without
    study = Study(config(GRID, "grid"))
    found = [tuple(sorted(ask(study).params.items())) for _ in range(54)]
    assert len(set(found)) == 54
    assert sum("optimizer.momentum" in dict(each) for each in found) == 36
    assert study.ask() is None


def test_an_enqueued_point_of_the_grid_is_not_tried_again() -> None:
    on_grid = {"epochs": 5, "batch_size": 64, "learning_rate": 0.3, "optimizer.use": "adam"}
    sweep = config(GRID, "grid", enqueue=[on_grid, {"optimizer.use": "adam"}])
    assert most_trials(sweep) == 54
    study = Study(sweep)
    found = [ask(study).params for _ in range(54)]
    assert found[0] == on_grid
    assert found[1] == {"epochs": 1, "batch_size": 32, "learning_rate": 0.1, "optimizer.use": "adam"}
    assert found.count(on_grid) == 1
    assert study.ask() is None


def test_samplers_other_than_grid_have_no_total() -> None:
    assert most_trials(config()) is None


# Replay


@pytest.mark.rotating
@pytest.mark.parametrize("pruner", ["hyperband", "none", "median"])
@pytest.mark.parametrize("sampler", ALL)
@pytest.mark.parametrize("space", [PLAIN, CONDITIONAL], ids=["plain", "conditional"])
def test_a_replayed_study_goes_on_as_the_uninterrupted_one(sampler: str, space: dict[str, Any], pruner: str) -> None:
    space = GRID if sampler == "grid" else space
    known = [{"epochs": 5, "learning_rate": 0.1}] if sampler == "grid" else [{"learning_rate": 1e-3}, {"epochs": 9}]
    chosen = {"use": sampler} | ({"n_startup_trials": 4} if sampler in {"tpe", "gp", "cmaes"} else {})
    sweep = config(space, chosen, pruner, enqueue=known)
    whole: list[StudyEvent] = []
    drive(Study(sweep), whole, 100)
    assert {event[2] for event in whole if event[0] == "tell"} >= {"completed", "diverged", "pruned", "failed"}
    for cut in (1, 2, 37, 38, 70):
        events = whole[:cut]
        if cut < len(whole) and whole[cut][0] == "tell" and whole[cut][2] == "pruned":
            continue  # the answer to the last report belongs to it
        drive(Study.from_events(sweep, events), events, 100)
        assert events == whole


def test_a_log_of_another_search_space_is_refused() -> None:
    events: list[StudyEvent] = []
    drive(Study(config()), events, 10)
    narrow = PLAIN | {"epochs": {"type": "int", "low": 100, "high": 101}}
    with pytest.raises(LogError, match="epochs must be from 100 to 101, but got"):
        Study.from_events(config(narrow), events)
    with pytest.raises(LogError, match="trial 0 has the parameters"):
        Study.from_events(config(PLAIN | {"model.activation": {"type": "categorical", "choices": ["relu"]}}), events)
    with pytest.raises(LogError, match=r"epochs=.* was to be tried"):
        Study.from_events(config(enqueue=[{"epochs": 1 + proposals(events)[0][2]["epochs"] % 9}]), events)


@pytest.mark.parametrize(
    "events",
    [
        [("ask", 1, {})],
        [("report", 0, 1, 0.5)],
        [("tell", 0, "completed", 0.5)],
        [("ask", 0, {}), ("tell", 0, "completed", None)],
        [("ask", 0, {}), ("tell", 0, "failed", None), ("tell", 0, "failed", None)],
        [("wait", 0)],
    ],
)
def test_a_log_that_contradicts_itself_is_refused(events: list[Any]) -> None:
    fixed = {"epochs": 1, "batch_size": 32, "learning_rate": 0.1}
    with pytest.raises(LogError, match="the log does not fit the config"):
        Study.from_events(config(fixed), events)


# Reports and outcomes


def test_hyperband_stops_the_worse_half_of_separated_curves() -> None:
    study = Study(config(pruner="hyperband", sampler="random"))
    running = [ask(study).number for _ in range(40)]
    stopped: set[int] = set()
    for epoch in range(1, 10):
        for number in running:
            # Good ones first: a size compares with those that reached it before.
            if number not in stopped and study.report(number, epoch, number + 1 / epoch):
                stopped.add(number)
    assert {number for number in running if number >= 20} <= stopped
    assert 0 not in stopped


@pytest.mark.parametrize(("renamed", "is_same"), [({"name": "another"}, True), ({"seed": 1}, False)])
def test_a_new_name_changes_nothing_and_a_new_seed_deals_other_trials_to_the_brackets(
    renamed: dict[str, Any], is_same: bool
) -> None:
    first, second = config(pruner="hyperband"), config(pruner="hyperband", **renamed)
    stopped = [
        [pruner.report(number, 1, float(number)) for number in range(40)]
        for pruner in (new_pruner(first), new_pruner(second))
    ]
    assert (stopped[0] == stopped[1]) == is_same


def test_without_a_pruner_nothing_stops() -> None:
    study = Study(config(sampler="random"))
    for number in [ask(study).number for _ in range(10)]:
        assert not any(study.report(number, epoch, 10.0 * number + epoch) for epoch in range(1, 10))


def test_the_median_pruner_leaves_its_warm_up_epochs_alone() -> None:
    study = Study(config(sampler="random", pruner={"use": "median", "n_startup_trials": 2, "n_warmup_steps": 2}))
    for _ in range(3):
        number = ask(study).number
        assert not any(study.report(number, epoch, 1.0) for epoch in range(1, 6))
        study.tell(number, "completed", 1.0)
    bad = ask(study).number
    assert [study.report(bad, epoch, 9.0) for epoch in (1, 2, 3)] == [False, False, True]


def test_a_repeated_epoch_is_answered_as_before() -> None:
    study = Study(config(pruner="successive_halving", sampler="random"))
    good, bad = ask(study).number, ask(study).number
    study.report(good, 1, 0.0)
    assert study.report(bad, 1, 9.0)
    assert study.report(bad, 1, 9.0)
    assert not study.report(good, 1, 9.0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_not_recorded(value: float) -> None:
    study = Study(config(pruner="successive_halving", sampler="random"))
    number = ask(study).number
    assert study.report(number, 1, value) is False
    assert study.report(number, 1, 0.5) is False  # still the first report of epoch 1
    with pytest.raises(ValueError, match="must have a finite value"):
        study.tell(number, "completed", value)
    study.tell(number, "diverged", value)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_ended_trial_takes_no_more_news(outcome: str) -> None:
    study = Study(config(sampler="random"))
    number = ask(study).number
    study.tell(number, outcome, 0.5 if outcome == "completed" else None)
    with pytest.raises(ValueError, match="trial 0 has already ended"):
        study.tell(number, outcome, 0.5)
    with pytest.raises(ValueError, match="trial 0 has already ended"):
        study.report(number, 1, 0.5)
    with pytest.raises(ValueError, match="trial 1 was never asked for"):
        study.report(1, 1, 0.5)


def test_unknown_outcomes_and_epoch_zero_are_refused() -> None:
    study = Study(config(sampler="random"))
    number = ask(study).number
    with pytest.raises(ValueError, match="must be one of completed, pruned"):
        study.tell(number, "done", None)
    with pytest.raises(ValueError, match="epochs count from 1"):
        study.report(number, 0, 0.5)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_tpe_takes_a_late_divergence_for_worse_than_an_early_stop(direction: str) -> None:
    """High learning rates look best until they diverge late; TPE must not go on proposing them."""
    sign = 1 if direction == "minimize" else -1
    objective = {"metric": "valid_loss", "direction": direction}
    study = Study(config(sampler={"use": "tpe", "n_startup_trials": 20}, objective=objective))
    late = []
    for number in range(60):
        params = ask(study).params
        rate = params["learning_rate"]
        assert isinstance(rate, float)
        if rate > 1e-3:
            for epoch in range(1, 9):
                study.report(number, epoch, -100.0 * sign)
            study.tell(number, "diverged", None)
        else:
            study.report(number, 1, sign * (math.log10(rate) + 4) ** 2)
            study.tell(number, "pruned", None)
        if number >= 30:
            late.append(rate)
    assert sum(rate <= 1e-3 for rate in late) > 24


@needs_cmaes
def test_cmaes_moves_away_from_where_trials_diverge() -> None:
    space = {name: PLAIN[name] for name in ("epochs", "batch_size", "learning_rate")}
    study = Study(config(space, "cmaes", enqueue=[{"epochs": 3, "batch_size": 32, "learning_rate": 1e-4}]))
    late = []
    for number in range(80):
        params = ask(study).params
        rate = params["learning_rate"]
        assert isinstance(rate, float)
        study.tell(number, *(("diverged", None) if rate > 1e-3 else ("completed", 1.0 - math.log10(rate))))
        if number >= 50:
            late.append(rate)
    assert sum(rate <= 1e-3 for rate in late) > 20


@needs_cmaes
def test_cmaes_outlives_pruned_trials_that_lack_a_conditional_parameter() -> None:
    known = [{"optimizer.use": use} for use in ("sgd", "sgd", "adam", "adam", "adam", "adam", "adam", "adam")]
    study = Study(config(CONDITIONAL, {"use": "cmaes", "popsize": 4}, "hyperband", enqueue=known))
    rates = []
    for number in range(60):
        params = ask(study).params
        rates.append(params["learning_rate"])
        study.report(number, 1, loss(params))
        study.tell(number, *(("completed", loss(params)) if params["optimizer.use"] == "sgd" else ("pruned", None)))
    spread = [statistics.pstdev(math.log10(rate) for rate in part) for part in (rates[:20], rates[40:])]
    assert spread[1] < spread[0] / 2  # it has closed in, and is no longer random


def test_tpe_finds_better_points_than_random_on_average() -> None:
    def best(sampler: str, seed: int) -> float:
        study = Study(config(sampler=sampler, seed=seed))
        found = []
        for _ in range(40):
            number, params = ask(study)
            found.append(loss(params) + (float(str(params["optimizer.b1"])) - 0.7) ** 2)
            study.tell(number, "completed", found[-1])
        return min(found) - 1.0

    mean = {sampler: statistics.mean(best(sampler, seed) for seed in range(8)) for sampler in ("tpe", "random")}
    assert mean["tpe"] < mean["random"] / 2


# Optuna held still


@pytest.mark.parametrize("sampler", RECIPES)
def test_every_argument_of_a_sampler_is_pinned(sampler: str) -> None:
    cls, recipe = RECIPES[sampler]
    assert recipe(config(sampler=sampler), 0).keys() == inspect.signature(cls).parameters.keys()


def test_arguments_of_the_config_reach_optuna() -> None:
    sweep = config(sampler={"use": "gp", "n_startup_trials": 3, "deterministic": True})
    arguments = RECIPES["gp"][1](sweep, 5)
    assert (arguments["n_startup_trials"], arguments["deterministic_objective"], arguments["seed"]) == (3, True, 5)


def test_optuna_is_imported_to_search_and_not_to_look_at_a_config_or_to_walk_a_grid() -> None:
    program = (
        "import sys\n"
        "from sweeps.config import Component, parse_config\n"
        "from sweeps.config.names import METHODS\n"
        "from sweeps.study import Study, refusal\n"
        "for use in METHODS['sampler']: refusal(Component(use=use), Component(use='hyperband'))\n"
        "assert Study(parse_config(sys.argv[1])).ask()\n"
        "assert 'optuna' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, to_yaml(config(GRID, "grid", "hyperband"))], check=True)


def test_seeds_are_the_same_on_every_machine() -> None:
    assert seed_of(0, 0) == 1735201683
    assert len({seed_of(seed, number) for seed in range(20) for number in range(20)}) == 400


@pytest.mark.parametrize("sampler", ALL)
def test_optuna_says_nothing(sampler: str) -> None:
    said: list[logging.LogRecord] = []
    listener = logging.Handler()
    listener.emit = said.append  # type: ignore[method-assign]
    logging.getLogger("optuna").addHandler(listener)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            drive(Study(config(GRID if sampler == "grid" else CONDITIONAL, sampler, "hyperband")), [], 60)
    finally:
        logging.getLogger("optuna").removeHandler(listener)
    assert said == []


def test_optunas_own_log_level_and_warnings_are_left_alone() -> None:
    before = logging.getLogger("optuna").level
    ask(Study(config(CONDITIONAL)))
    assert logging.getLogger("optuna").level == before
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        optuna.samplers.TPESampler(multivariate=True, group=True)


# The rest of the config


@pytest.mark.parametrize("section", ["sampler", "pruner"])
def test_every_method_of_the_config_has_its_defaults_here(section: str) -> None:
    defaults = {"sampler": SAMPLER_DEFAULTS, "pruner": PRUNER_DEFAULTS}[section]
    assert {name: set(arguments) for name, arguments in defaults.items()} == {
        name: set(options) for name, options in METHODS[section].items()
    }


@pytest.mark.parametrize(("sampler", "package"), [("gp", "torch"), ("cmaes", "cmaes"), ("qmc", "scipy")])
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    sampler: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=f"pip install .*{package}"):
        Study(config(sampler=sampler))


@needs_cmaes
def test_cmaes_takes_its_deprecated_sigma_without_a_warning() -> None:
    sweep = config(sampler={"use": "cmaes", "sigma0": 0.3, "popsize": 4})
    assert new_sampler(sweep, {}, 0) is not None
