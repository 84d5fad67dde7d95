"""Proposals and decisions beside those of Optuna itself, over random search spaces, methods and lives of trials.

The two agree exactly in choices, whole numbers and decisions to stop. Real numbers agree to 1e-9: the logarithms and
tails of a normal distribution are computed in another way. For the same reason, rounding may choose differently among
candidates that are exactly as good as one another, such as two whole numbers as far from the only one that was seen;
so TPE's model of whole numbers is compared once a few trials have ended.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Any

import pytest
from counts import part
from optuna_alone import OptunaAlone

from sweeps.config import parse_config
from sweeps.config.schema import SweepConfig
from sweeps.config.values import Value
from sweeps.study import Study

BATCH_SIZES: list[Any] = [
    8,
    {"type": "categorical", "choices": [8, 16, 32]},
    {"type": "int", "low": 1, "high": 4096, "log": True},
    {"type": "int", "low": 1, "high": 4000},
    {"type": "int", "low": 8, "high": 64, "step": 8},
]
EPOCHS: list[Any] = [
    3,
    {"type": "int", "low": 1, "high": 9},
    {"type": "int", "low": 1, "high": 27, "log": True},
]
RATES: list[Any] = [
    {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
    {"type": "float", "low": 0.0, "high": 1.0},
    {"type": "float", "low": 0.0, "high": 1.0, "step": 0.125},
]
MORE: list[Any] = [
    {"type": "categorical", "choices": ["one"]},
    {"type": "categorical", "choices": list("abcdef")},
    {"type": "float", "low": -3.0, "high": 7.0},
    {"type": "float", "low": 2.0, "high": 2.0},
    {"type": "int", "low": -5, "high": 5},
]
WHEN: dict[str, Any] = {
    "model.kind": {"type": "categorical", "choices": ["a", "b", "c"]},
    "model.x": {"type": "float", "low": 0.0, "high": 1.0, "when": {"model.kind": "a"}},
    "model.y": {"type": "int", "low": 0, "high": 20, "when": {"model.kind": ["a", "b"]}},
    "model.z": {"type": "categorical", "choices": [1, 2, 3], "when": {"model.kind": ["b", "c"]}},
    "model.w": [
        {"type": "float", "low": 0.0, "high": 1.0, "when": {"model.kind": "a"}},
        {"type": "float", "low": 0.5, "high": 50.0, "log": True, "when": {"model.kind": "b"}},
        {"type": "categorical", "choices": ["p", "q"], "when": {"model.kind": "c"}},
    ],
}
PRUNERS: dict[str, dict[str, list[int]]] = {
    "none": {},
    "hyperband": {"reduction_factor": [2, 3, 4], "min_resource": [1, 2]},
    "successive_halving": {"reduction_factor": [2, 4], "min_resource": [1, 2], "min_early_stopping_rate": [0, 1]},
    "median": {"n_startup_trials": [0, 3], "n_warmup_steps": [0, 2], "interval_steps": [1, 2, 3]},
}
TPE = {"n_startup_trials": [3, 10], "n_ei_candidates": [1, 7, 24]}


def sweep(sampler: str, pruner: str, chance: random.Random, /, **more: Any) -> SweepConfig:
    """A random search space, and random arguments."""
    space = {"epochs": chance.choice(EPOCHS), "batch_size": chance.choice(BATCH_SIZES)}
    space["learning_rate"] = chance.choice(RATES)
    space |= {f"model.more_{index}": chance.choice(MORE) for index in range(chance.randrange(4))}
    if chance.random() < 0.5:
        space |= WHEN
    arguments = {"sampler": TPE if sampler == "tpe" else {}, "pruner": PRUNERS[pruner]}
    drawn = {section: {name: chance.choice(of) for name, of in each.items()} for section, each in arguments.items()}
    tree = {
        "name": f"sweep-{chance.randrange(100)}",
        "seed": chance.randrange(1000),
        "dataset": {"use": "mnist"},
        "model": {"use": "models.mlp:MLP"},
        "loss": "softmax_cross_entropy",
        "search_space": space,
        "objective": {"metric": "valid_loss", "direction": chance.choice(["minimize", "maximize"])},
        "sampler": {"use": sampler, **drawn["sampler"]},
        "pruner": {"use": pruner, **drawn["pruner"]},
        "budget": {"trials": 100},
        "duplicates": "repeat",  # as Optuna does
    }
    return parse_config(tree | more)


def compare(config: SweepConfig, chance: random.Random, trials: int, lanes: int = 4) -> Counter[str]:
    """Run both through the same lives of trials; how often each outcome came up."""
    ours, theirs = Study(config), OptunaAlone(config)
    epochs: dict[int, int] = {}
    seen: Counter[str] = Counter()
    digits = chance.choice([0, 9])  # with 0, many values are the same
    asked = 0
    while asked < trials:
        if len(epochs) < lanes:
            proposal = ours.ask()
            assert proposal is not None
            assert_close(proposal.params, theirs.ask(proposal.number))
            theirs.settle(*proposal)
            epochs[proposal.number], asked = 0, asked + 1
            continue
        number, fate = chance.choice(sorted(epochs)), chance.random()
        epochs[number] += 1
        value = round(chance.gauss(number % 7, 1), digits)
        told: tuple[str, float | None] = ("completed", value)
        if fate < 0.6:
            stop = ours.report(number, epochs[number], value)
            assert stop == theirs.report(number, epochs[number], value)
            if not stop:
                continue
            told = ("pruned", None)
        elif fate > 0.85:
            told = (chance.choice(["diverged", "failed", "pruned"]), None)
        ours.tell(number, *told)
        theirs.tell(number, *told)
        del epochs[number]
        seen["stopped" if fate < 0.6 else told[0]] += 1
    return seen


def assert_close(ours: dict[str, Value], theirs: dict[str, Value]) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        other = theirs[name]
        if isinstance(value, float) and isinstance(other, float):
            assert math.isclose(value, other, rel_tol=1e-9, abs_tol=1e-12), name
        else:
            assert value == other, name


@pytest.mark.rotating
@pytest.mark.parametrize("pruner", PRUNERS)
@pytest.mark.parametrize("seed", range(6))
def test_tpe_proposes_what_optunas_tpe_proposes(seed: int, pruner: str) -> None:
    chance = random.Random(f"{seed}/{pruner}")
    seen = compare(sweep("tpe", pruner, chance), chance, 60)
    assert seen["completed"] > 0
    assert seen["diverged"] + seen["failed"] + seen["pruned"] > 0


@pytest.mark.parametrize("seed", range(4))
def test_tpe_without_startup_trials_proposes_what_optunas_tpe_proposes(seed: int) -> None:
    chance = random.Random(f"at once/{seed}")
    space = {"epochs": 3, "batch_size": 8, "learning_rate": RATES[0], "model.more": MORE[2]}
    sampler = {"use": "tpe", "n_startup_trials": 0}
    compare(sweep("tpe", "none", chance, search_space=space, sampler=sampler), chance, 40)


@pytest.mark.slow
@pytest.mark.parametrize("seed", part(200, 10))
def test_tpe_proposes_what_optunas_tpe_proposes_in_many_more_studies(seed: int) -> None:
    chance = random.Random(f"more/{seed}")
    compare(sweep("tpe", chance.choice(list(PRUNERS)), chance), chance, 60)


@pytest.mark.slow
@pytest.mark.parametrize("seed", part(2, 1))
def test_tpe_proposes_the_same_among_hundreds_of_trials(seed: int) -> None:
    """Then its kernels are weighed in several blocks, and most have the least width."""
    chance = random.Random(f"long/{seed}")
    compare(sweep("tpe", "none", chance, search_space=SPACES[seed]), chance, 500)


SPACES: list[dict[str, Any]] = [
    {"epochs": EPOCHS[1], "batch_size": BATCH_SIZES[2], "learning_rate": RATES[0], "model.more": MORE[1]},
    {"epochs": EPOCHS[2], "batch_size": BATCH_SIZES[3], "learning_rate": RATES[2], **WHEN},
]


@pytest.mark.parametrize("seed", range(6))
def test_random_draws_what_optunas_random_sampler_draws(seed: int) -> None:
    chance = random.Random(f"random/{seed}")
    compare(sweep("random", "none", chance), chance, 60)


@pytest.mark.parametrize("pruner", [name for name in PRUNERS if name != "none"])
def test_pruners_decide_what_optunas_pruners_decide(pruner: str) -> None:
    chances = [random.Random(f"{pruner}/{seed}") for seed in range(12)]
    seen = sum((compare(sweep("random", pruner, chance), chance, 120) for chance in chances), Counter[str]())
    assert min(seen["stopped"], seen["completed"]) > 50
