"""Values that a person takes for good: tried first, drawn around early on, and forgotten where they are bad."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest
from test_study import ask, config, drive, needs_torch

from sweeps.config.parameters import Choices, FloatRange, IntRange
from sweeps.errors import ConfigError
from sweeps.study import Study, StudyEvent
from sweeps.study.priors import near, preferred

SPACE: dict[str, Any] = {
    "epochs": {"type": "int", "low": 1, "high": 9, "prior": 7},
    "batch_size": {"type": "categorical", "choices": [32, 64, 128], "prior": 64},
    "learning_rate": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True, "prior": 1e-3},
    "optimizer.b1": {"type": "float", "low": 0.1, "high": 0.95, "step": 0.1},
}


@pytest.mark.parametrize("sampler", ["tpe", "random", pytest.param("gp", marks=needs_torch)])
def test_the_first_trial_that_is_not_enqueued_has_all_priors(sampler: str) -> None:
    study = Study(config(SPACE, sampler, enqueue=[{"epochs": 1}]))
    assert ask(study).params["epochs"] == 1
    first = ask(study).params
    assert (first["epochs"], first["batch_size"], first["learning_rate"]) == (7, 64, 1e-3)
    assert list(first) == list(SPACE)


def test_a_prior_holds_in_the_range_that_a_trial_has() -> None:
    rates = [
        {"type": "float", "low": 0.1, "high": 1.0, "prior": 0.5, "when": {"optimizer.use": "sgd"}},
        {"type": "float", "low": 1e-3, "high": 1e-1, "prior": 1e-2, "when": {"optimizer.use": "adam"}},
    ]
    uses = {"type": "categorical", "choices": ["sgd", "adam"]}
    space = {"epochs": 1, "batch_size": 8, "optimizer.use": uses, "learning_rate": rates}
    firsts = [ask(Study(config(space, "random", seed=seed))).params for seed in range(8)]
    assert {values["optimizer.use"] for values in firsts} == {"sgd", "adam"}
    assert all(values["learning_rate"] == {"sgd": 0.5, "adam": 1e-2}[values["optimizer.use"]] for values in firsts)


def test_around_a_prior_values_are_those_of_a_cut_off_normal_distribution() -> None:
    """Quartiles of a standard normal distribution are at 0.6745 standard deviations, each a quarter of the range."""
    number = FloatRange(type="float", low=-1000.0, high=1000.0, prior=0.0)
    inside = 0.9545  # of a normal distribution within two standard deviations, which the ends are away
    normal = statistics.NormalDist(0, 500.0)
    for quantile in (0.1, 0.25, 0.5, 0.8):
        expected = normal.inv_cdf((1 - inside) / 2 + quantile * inside)
        assert near(number, quantile) == pytest.approx(expected, abs=0.5)
    rate = FloatRange(type="float", low=1e-5, high=1e-1, log=True, prior=1e-3)
    assert near(rate, 0.5) == pytest.approx(1e-3)
    assert near(rate, 0.9) == pytest.approx(1e-3**2 / near(rate, 0.1))
    at_end = IntRange(type="int", low=1, high=64, log=True, prior=64)
    assert {near(at_end, part / 1000) for part in range(1000)} <= set(range(1, 65))
    stepped = FloatRange(type="float", low=0.0, high=0.3, step=0.1, prior=0.1)
    assert {near(stepped, part / 1000) for part in range(1000)} == {0.0, 0.1, 0.2, 0.3}
    choices = Choices(type="categorical", choices=["a", "b", "c"], prior="b")
    drawn = [near(choices, (part + 0.5) / 600) for part in range(600)]
    assert [drawn.count(choice) for choice in ("a", "b", "c")] == [100, 400, 100]


def test_of_a_hundred_trials_some_sixteen_go_by_the_priors() -> None:
    """The sum of 5 / (5 + n) for n from 0 to 99 is 15.7, and fewer of the later trials are among them."""
    sweeps = [config(SPACE, seed=seed) for seed in range(40)]
    by_prior = [[bool(preferred(sweep, number, 0)) for number in range(100)] for sweep in sweeps]
    expected = sum(5 / (5 + number) for number in range(100))
    assert statistics.mean(map(sum, by_prior)) == pytest.approx(expected, abs=2.0)
    assert sum(sum(each[:20]) for each in by_prior) > sum(sum(each[20:60]) for each in by_prior)
    assert preferred(config(), 0, 0) == {}


@pytest.mark.parametrize("sampler", ["tpe", "random", "optuna.samplers:TPESampler"])
def test_a_replayed_study_with_priors_goes_on_as_the_uninterrupted_one(sampler: str) -> None:
    sweep = config(SPACE, sampler, "median", enqueue=[{"epochs": 9}])
    whole: list[StudyEvent] = []
    drive(Study(sweep), whole, 80)
    for cut in (2, 20, 41):
        events = whole[:cut]
        if whole[cut][0] == "tell" and whole[cut][2] == "pruned":
            continue  # the answer to the last report belongs to it
        drive(Study.from_events(sweep, events), events, 80)
        assert events == whole


BOWL: dict[str, Any] = {
    "epochs": 1,
    "batch_size": 32,
    "learning_rate": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
    "model.x": {"type": "float", "low": 0.0, "high": 1.0},
    "model.y": {"type": "float", "low": 0.0, "high": 1.0},
    "model.z": {"type": "categorical", "choices": ["a", "b", "c", "d"]},
}
GOOD = {"learning_rate": 2e-4, "model.x": 0.25, "model.y": 0.7, "model.z": "c"}
BAD = {"learning_rate": 9e-2, "model.x": 0.95, "model.y": 0.05, "model.z": "a"}


def bowl(params: dict[str, Any]) -> float:
    """Its least value, 0, is near the good priors and far from the bad ones."""
    far = (math.log10(params["learning_rate"]) + 3.5) / 4, params["model.x"] - 0.3, params["model.y"] - 0.8
    return sum(each**2 for each in far) + 0.1 * (params["model.z"] != "c")


def best_after(trials: tuple[int, ...], sampler: str, priors: dict[str, Any], seed: int) -> list[float]:
    """The best value of a search after so many trials."""
    space = {name: {**each, "prior": priors[name]} if name in priors else each for name, each in BOWL.items()}
    study, found = Study(config(space, sampler, seed=seed)), []
    for _ in range(max(trials)):
        number, params = ask(study)
        found.append(bowl(params))
        study.tell(number, "completed", found[-1])
    return [min(found[:count]) for count in trials]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_good_priors_help_and_bad_ones_cost_little(sampler: str) -> None:
    after, seeds = (12, 40, 60), range(8)
    medians = {
        name: [
            statistics.median(each)
            for each in zip(*(best_after(after, sampler, priors, seed) for seed in seeds), strict=True)
        ]
        for name, priors in {"none": {}, "good": GOOD, "bad": BAD}.items()
    }
    assert medians["good"][0] < medians["none"][0] / 3
    # With bad ones, 60 trials come to what 40 without priors do.
    assert medians["bad"][2] <= medians["none"][1]


@pytest.mark.parametrize("sampler", ["grid", "qmc", "cmaes"])
def test_a_sampler_that_cannot_prefer_anything_takes_no_prior(sampler: str) -> None:
    space = {"epochs": 1, "batch_size": SPACE["batch_size"], "learning_rate": 0.1}
    with pytest.raises(ConfigError, match=rf"search_space.batch_size.prior: the sampler `{sampler}` .*takes no prior"):
        config(space, sampler, budget={"trials": 3})


def test_a_pruner_that_decides_how_far_trials_go_leaves_epochs_no_prior() -> None:
    with pytest.raises(ConfigError, match=r"search_space\.epochs\.prior: the pruner `waves` decides how far"):
        config(SPACE, pruner="waves")
