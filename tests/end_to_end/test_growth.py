"""The ten thousandth trial costs what the first one did: in calls, in memory, and in the growth benchmark."""

from __future__ import annotations

import cProfile
import json
import pstats
import random
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import optuna
import pytest
from counts import IS_LONG

from sweeps.config import parse_config
from sweeps.config.schema import SweepConfig
from sweeps.log.line import decode, encode
from sweeps.log.trials import LoggedTrials
from sweeps.study import Study, StudyEvent

EPOCHS = 4
PRUNERS = ["none", "hyperband", "successive_halving", "median"]


def sweep(sampler: str, pruner: str) -> SweepConfig:
    return parse_config(
        {
            "name": "growth",
            "dataset": {"use": "mnist"},
            "model": {"use": "models.mlp:MLP"},
            "loss": "softmax_cross_entropy",
            "metrics": ["accuracy"],
            "search_space": {
                "epochs": EPOCHS,
                "batch_size": {"type": "categorical", "choices": [32, 64]},
                "learning_rate": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
                "model.hidden": {"type": "int", "low": 16, "high": 512, "log": True},
            },
            "objective": {"metric": "valid_loss", "direction": "minimize"},
            "sampler": {"use": sampler},
            "pruner": {"use": pruner},
            "budget": {"trials": 10_000},
        }
    )


def live(study: Study, trials: int, chance: random.Random, events: list[StudyEvent] | None = None) -> None:
    """So many more trials, one after the other."""
    events = [] if events is None else events
    for _ in range(trials):
        proposal = study.ask()
        assert proposal is not None
        events.append(("ask", *proposal))
        for epoch in range(1, EPOCHS + 1):
            events.append(("report", proposal.number, epoch, chance.random()))
            stop = study.report(*events[-1][1:])
            if stop:
                break
        told: tuple[str, float | None] = ("pruned", None) if stop else ("completed", events[-1][3])
        events.append(("tell", proposal.number, *told))
        study.tell(proposal.number, *told)


def calls(study: Study, trials: int) -> int:
    """How many functions are called for so many trials, of Python and of C."""
    profile = cProfile.Profile()
    profile.runcall(live, study, trials, random.Random(0))
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]


@pytest.mark.parametrize("pruner", PRUNERS)
def test_a_late_trial_takes_as_many_calls_as_an_early_one(pruner: str) -> None:
    study = Study(sweep("random", pruner))
    live(study, 50, random.Random(1))
    early = calls(study, 50)
    live(study, 2000, random.Random(2))
    assert calls(study, 50) < 1.1 * early


def test_a_tpe_proposal_takes_few_more_calls_among_a_thousand_trials() -> None:
    study = Study(sweep("tpe", "hyperband"))
    live(study, 100, random.Random(1))
    early = calls(study, 20)
    live(study, 1000, random.Random(2))
    assert calls(study, 20) < 1.5 * early


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_study_takes_less_memory_than_optunas_own_record_of_such_trials(sampler: str) -> None:
    study, events = Study(sweep(sampler, "median")), list[StudyEvent]()
    live(study, 200, random.Random(0))
    tracemalloc.start()
    try:
        live(study, 500, random.Random(1))
        ours, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    live(study, 500, random.Random(1), events)
    assert ours < optunas_record(events)


def optunas_record(events: list[StudyEvent]) -> int:
    """Bytes of a study of Optuna's in memory with trials as long as those of `events`, as its users write them."""
    theirs = optuna.create_study(storage=optuna.storages.InMemoryStorage(), sampler=optuna.samplers.RandomSampler(0))
    tracemalloc.start()
    try:
        for kind, _, *told in events:
            match kind, told:
                case "ask", _:
                    trial = theirs.ask()
                    trial.suggest_categorical("batch_size", [32, 64])
                    trial.suggest_float("learning_rate", 1e-5, 1e-1, log=True)
                    trial.suggest_int("model.hidden", 16, 512, log=True)
                case "report", [int(epoch), float(value)]:
                    trial.report(value, epoch)
                case "tell", ["pruned", _]:
                    theirs.tell(trial, state=optuna.trial.TrialState.PRUNED)
                case "tell", [_, float(value)]:
                    theirs.tell(trial, value)
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_ten_thousand_trials_would_take_less_than_40_mib_in_a_ledger() -> None:
    """Of four epochs each."""
    chance, logged = random.Random(0), LoggedTrials()
    tracemalloc.start()
    try:
        for number in range(500):
            for record in records(number, chance):
                logged.add(record)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(logged.trials) == 500
    assert 20 * grown < 40 * 2**20


def records(number: int, chance: random.Random) -> list[Any]:
    """What a log has of one trial, read back from its lines."""
    common = {"time": "2026-11-22T08:00:00.000000+00:00", "number": number, "attempt": 1}
    params = {"batch_size": 32, "learning_rate": chance.random(), "model.hidden": 16}
    losses = {"train_loss": chance.random(), "valid_loss": chance.random()}
    epochs = [
        {
            "kind": "epoch",
            **common,
            "repeat": 0,
            "epoch": epoch,
            "iterations": 937 * epoch,
            "examples": 60_000 * epoch,
            **losses,
            "metrics": {"valid_accuracy": chance.random()},
            "seconds": chance.random(),
        }
        for epoch in range(1, EPOCHS + 1)
    ]
    ask = {"kind": "ask", **common, "params": params}
    start = {"kind": "start", **common, "seed": 0, "device": "cpu:0"}
    outcome = {"kind": "outcome", **common, "outcome": "completed", "reason": "", "value": chance.random()}
    return [decode(encode(each)[:-1]) for each in (ask, start, *epochs, outcome)]


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_ten_thousand_trials_are_replayed_in_seconds(sampler: str) -> None:
    events: list[StudyEvent] = []
    live(Study(sweep("random", "hyperband")), 1000, random.Random(0), events)
    started = time.process_time()
    Study.from_events(sweep(sampler, "hyperband"), events)
    assert time.process_time() - started < 0.4  # of the processor's time, for a tenth of them


@pytest.mark.slow
@pytest.mark.parametrize("variant", [pytest.param("random", marks=pytest.mark.long), "tpe_hyperband"])
def test_the_growth_benchmark_says_what_its_trials_took(variant: str) -> None:
    trials = 1000 if IS_LONG else 200
    command = [sys.executable, "-m", "benchmarks.growth", variant, "--trials", str(trials)]
    output = subprocess.run(command, cwd=Path(__file__).parents[2], check=True, capture_output=True, text=True).stdout
    result = json.loads(output.splitlines()[-1])
    assert sum(result["outcomes"].values()) == result["trials"] == trials
    assert len(result["rates"]) == 10
    assert result["memory_growth_mib"] < 0.05 * trials
