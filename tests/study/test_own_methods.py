"""Samplers and pruners by their dotted names: Optuna's other ones, and a user's."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from test_study import CONDITIONAL, GRID, PLAIN, ask, config, drive, loss, proposals

from sweeps.cli import main
from sweeps.errors import ConfigError, SweepError
from sweeps.study import Study, StudyEvent
from sweeps.study.arguments import seed_of
from sweeps.study.dimensions import dimensions_of
from sweeps.study.quiet import quiet

OWN = """\
import optuna

class Lowest(optuna.samplers.BaseSampler):
    '''The lower end of every range; no argument `seed`.'''

    def __init__(self, factor=1.0):
        self.factor = factor

    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_relative(self, study, trial, search_space):
        return {}

    def sample_independent(self, study, trial, name, distribution):
        choices = getattr(distribution, "choices", None)
        return choices[0] if choices else distribution.low

class Broken(Lowest):
    def sample_independent(self, study, trial, name, distribution):
        raise ValueError(f"no idea of {name}")

def narrowed(seed):
    return optuna.samplers.PartialFixedSampler({"batch_size": 64}, optuna.samplers.TPESampler(seed=seed))

def nothing():
    return 3

class Third(optuna.pruners.BasePruner):
    def __init__(self, at=3):
        self.at = at

    def prune(self, study, trial):
        return trial.last_step == self.at and trial.intermediate_values[self.at] > 0

class Wrong(optuna.pruners.BasePruner):
    def prune(self, study, trial):
        return 1 / 0
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "own_methods.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop("own_methods", None)


def test_a_sampler_by_its_dotted_name_proposes_what_it_proposes_in_optuna_alone() -> None:
    """NSGA-II, seeded as the study seeds it; its generations need what it leaves in the study."""
    space = {"epochs": 3, "batch_size": 32, "learning_rate": {"type": "float", "low": 0.0, "high": 1.0}}
    space["model.x"] = {"type": "categorical", "choices": ["a", "b"]}
    sweep = config(space, {"use": "optuna.samplers:NSGAIISampler", "population_size": 4}, duplicates="repeat")
    ours = Study(sweep)
    with quiet():
        theirs = optuna.create_study()
    for number in range(20):
        proposal = ask(ours)
        with quiet():
            theirs.sampler = optuna.samplers.NSGAIISampler(population_size=4, seed=seed_of(sweep.seed, number))
            trial = theirs.ask()
            given = {each.name: each.suggest(trial) for each in dimensions_of(sweep)}
            value = abs(given["learning_rate"] - 0.3) + (given["model.x"] == "a")
            theirs.tell(trial, value)
        assert proposal.params == given
        ours.tell(number, "completed", value)


@pytest.mark.parametrize("space", [PLAIN, CONDITIONAL], ids=["plain", "conditional"])
@pytest.mark.parametrize(
    ("sampler", "pruner"),
    [
        ({"use": "optuna.samplers:NSGAIISampler", "population_size": 5}, "none"),
        ({"use": "optuna.samplers:TPESampler", "n_startup_trials": 4}, "optuna.pruners:HyperbandPruner"),
        ("own_methods:Lowest", {"use": "optuna.pruners:PercentilePruner", "percentile": 50.0}),
        ("tpe", "optuna.pruners:SuccessiveHalvingPruner"),
        ("grid", "own_methods:Third"),
    ],
)
def test_a_replayed_study_goes_on_as_the_uninterrupted_one(sampler: Any, pruner: Any, space: Any) -> None:
    sweep = config(
        GRID if sampler == "grid" else space, sampler, pruner, enqueue=[] if sampler == "grid" else [{"epochs": 9}]
    )
    whole: list[StudyEvent] = []
    drive(Study(sweep), whole, 90)
    for cut in (1, 37, 60):
        events = whole[:cut]
        if whole[cut][0] == "tell" and whole[cut][2] == "pruned":
            continue  # the answer to the last report belongs to it
        drive(Study.from_events(sweep, events), events, 90)
        assert events == whole


def test_a_users_sampler_sees_names_and_values_and_its_answers_come_back_exactly() -> None:
    study = Study(config(sampler={"use": "own_methods:Lowest", "factor": 2.0}))
    assert ask(study).params == {
        "epochs": 1,
        "batch_size": 32,
        "learning_rate": 1e-5,
        "optimizer.b1": 0.1,
        "model.hidden": (64,),
    }


def test_a_users_sampler_sees_each_of_several_ranges_as_a_parameter_and_a_trial_has_one() -> None:
    rates = [
        {"type": "float", "low": 0.1, "high": 1.0, "when": {"optimizer.use": "sgd"}},
        {"type": "float", "low": 1e-3, "high": 1.0, "log": True, "when": {"optimizer.use": "adam"}},
    ]
    uses = {"type": "categorical", "choices": ["adam", "sgd"]}
    space = {"epochs": 3, "batch_size": 32, "optimizer.use": uses, "learning_rate": rates}
    study = Study(config(space, "own_methods:Lowest", enqueue=[{"optimizer.use": "sgd", "learning_rate": 0.5}]))
    assert ask(study).params == {"optimizer.use": "sgd", "learning_rate": 0.5}
    assert ask(study).params == {"optimizer.use": "adam", "learning_rate": 1e-3}
    with pytest.raises(SweepError, match=r"no idea of learning_rate\[1\]"):
        Study(config({**space, "optimizer.use": "adam"}, "own_methods:Broken")).ask()


def test_a_new_name_of_the_sweep_changes_no_decision_of_a_pruner_by_its_dotted_name() -> None:
    """Optuna's hyperband deals trials to brackets by the name of their study."""
    decisions = []
    for name in ("one", "another"):
        pruner = {"use": "optuna.pruners:HyperbandPruner", "min_resource": 1, "max_resource": 9}
        study = Study(config(sampler="random", pruner=pruner, name=name))
        decisions.append([study.report(ask(study).number, 1, float(number)) for number in range(40)])
    assert decisions[0] == decisions[1]
    assert set(decisions[0]) == {True, False}


def test_a_function_may_put_samplers_together() -> None:
    study = Study(config(sampler="own_methods:narrowed"))
    found = [ask(study).params for _ in range(6)]
    assert {each["batch_size"] for each in found} == {64}
    assert len({each["learning_rate"] for each in found}) == 6  # each trial has its own seed


def test_a_users_pruner_sees_the_reports_and_decides() -> None:
    study = Study(config(sampler="random", pruner={"use": "own_methods:Third", "at": 2}))
    bad, good = ask(study).number, ask(study).number
    assert [study.report(bad, epoch, 1.0) for epoch in (1, 2)] == [False, True]
    assert [study.report(good, epoch, -1.0) for epoch in (1, 2, 3)] == [False, False, False]
    study.tell(bad, "pruned", None)
    study.tell(good, "completed", -1.0)


def test_trials_that_diverged_break_a_constraint_that_optunas_sampler_heeds() -> None:
    study = Study(config(sampler={"use": "optuna.samplers:TPESampler", "n_startup_trials": 15}))
    late = []
    for number in range(45):
        rate = ask(study).params["learning_rate"]
        assert isinstance(rate, float)
        if rate > 1e-3:
            study.report(number, 1, -100.0)
            study.tell(number, "diverged", None)
        else:
            study.tell(number, "completed", (math.log10(rate) + 4) ** 2)
        if number >= 25:
            late.append(rate)
    assert sum(rate <= 1e-3 for rate in late) > 15


@pytest.mark.parametrize(
    ("section", "method", "said"),
    [
        ("sampler", {"use": "optuna.samplers:GridSampler"}, "cannot search here, .* Use `grid`, which does its work"),
        ("sampler", {"use": "optuna.samplers:BruteForceSampler"}, "cannot search here, .* Use `grid`"),
        ("sampler", {"use": "optuna.samplers:QMCSampler"}, "cannot search here, .* Use `qmc`"),
        ("sampler", {"use": "optuna.samplers:TPESampler", "seed": 1}, "sampler.seed: must not be given"),
        ("sampler", {"use": "optuna.samplers:TPESampler", "n_trials": 1}, "unexpected keyword argument 'n_trials'"),
        ("sampler", {"use": "optuna.samplers:PartialFixedSampler"}, "missing 2 required positional arguments"),
        ("sampler", {"use": "optuna.samplers:Nothing"}, "module optuna.samplers has no 'Nothing'"),
        ("sampler", {"use": "nowhere.at_all:X"}, "nowhere"),
        ("sampler", {"use": "own_methods:nothing"}, "must make a optuna.samplers.BaseSampler, but made int"),
        ("pruner", {"use": "own_methods:Lowest"}, "must make a optuna.pruners.BasePruner, but made Lowest"),
        ("pruner", {"use": "optuna.pruners:ThresholdPruner"}, "Either lower or upper must be specified"),
    ],
)
def test_what_cannot_search_here_is_refused_with_the_reason(section: str, method: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Study(config(**{section: method}))


@pytest.mark.parametrize("command", ["check", "run"])
def test_the_refusal_is_one_line_with_the_place_in_the_file(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(
        "name: small\ndataset: {use: linear_regression}\nmodel: {use: 'models.linear:Linear'}\n"
        "loss: mean_squared_error\nobjective: {metric: valid_loss, direction: minimize}\n"
        "search_space: {epochs: 1, batch_size: 8, learning_rate: 0.1}\nbudget: {trials: 1}\n"
        "sampler: {use: 'optuna.samplers:GridSampler'}\n"
    )
    monkeypatch.chdir(Path(__file__).parents[2])
    results = ["--results", str(tmp_path)] if command == "run" else []
    monkeypatch.setattr(sys, "argv", ["sweep", command, str(file), *results])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {file}:8: sampler.use: optuna.samplers:GridSampler cannot")
    assert not (tmp_path / "small").exists()


def test_what_a_users_code_raises_in_a_search_is_one_line_with_its_place() -> None:
    study = Study(config(sampler="own_methods:Broken"))
    with pytest.raises(
        SweepError, match=r"own_methods:Broken failed at .*own_methods.py:21: ValueError: no idea of epochs"
    ):
        study.ask()
    study = Study(config(sampler="random", pruner="own_methods:Wrong"))
    number = ask(study).number
    with pytest.raises(SweepError, match=r"own_methods:Wrong failed at .*own_methods.py:\d+: ZeroDivisionError"):
        study.report(number, 1, loss({"learning_rate": 0.1}))


def test_another_seed_gives_other_proposals_of_a_dotted_sampler() -> None:
    told: list[list[StudyEvent]] = [[], []]
    for seed in (0, 1):
        drive(Study(config(sampler="optuna.samplers:RandomSampler", seed=seed)), told[seed], 10)
    assert [event[2] for event in proposals(told[0])] != [event[2] for event in proposals(told[1])]
