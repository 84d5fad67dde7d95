"""What has been tried is not tried again, and a search space that has nothing else is at its end."""

from __future__ import annotations

import itertools
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from test_study import ALL, GRID, SAMPLING, ask, config, drive, proposals

from sweeps.errors import ConfigError
from sweeps.study import Study, StudyEvent
from sweeps.study.grid import configurations, most_trials, permutation

SMALL: dict[str, Any] = {
    "epochs": {"type": "int", "low": 1, "high": 3},
    "batch_size": {"type": "categorical", "choices": [32, 64]},
    "learning_rate": {"type": "float", "low": 0.1, "high": 0.3, "step": 0.1},
}
EVERY = set(itertools.product((1, 2, 3), (32, 64), (0.1, 0.2, 0.3)))
BRANCHES: dict[str, Any] = {
    "epochs": 1,
    "batch_size": 32,
    "learning_rate": 0.1,
    "optimizer.use": {"type": "categorical", "choices": ["sgd", "adam"]},
    "optimizer.momentum": {"type": "float", "low": 0.0, "high": 0.9, "step": 0.3, "when": {"optimizer.use": "sgd"}},
    "optimizer.b1": {"type": "categorical", "choices": [0.8, 0.9], "when": {"optimizer.use": "adam"}},
}
OWN = """\
import optuna

calls = []

class Stubborn(optuna.samplers.BaseSampler):
    '''The lower end of every range, always.'''

    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_relative(self, study, trial, search_space):
        calls.append(trial.number)
        return {}

    def sample_independent(self, study, trial, name, distribution):
        choices = getattr(distribution, "choices", None)
        return choices[0] if choices else distribution.low
"""


@pytest.fixture
def stubborn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A sampler that proposes one and the same thing."""
    (tmp_path / "own_stubborn.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_stubborn:Stubborn"
    sys.modules.pop("own_stubborn", None)


def values(params: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(params.values())


def distance(params: dict[str, Any]) -> float:
    return sum(float(value) for value in params.values() if isinstance(value, int | float))


@pytest.mark.parametrize("sampler", SAMPLING)
def test_a_space_that_is_smaller_than_the_budget_is_tried_to_its_end_each_configuration_once(sampler: str) -> None:
    branches = {("sgd", momentum) for momentum in (0.0, 0.3, 0.6, 0.9)} | {("adam", 0.8), ("adam", 0.9)}
    for space, every in ((SMALL, EVERY), (BRANCHES, branches)):
        study, found = Study(config(space, sampler)), []
        while (proposal := study.ask()) is not None:
            found.append(values(proposal.params))
            study.tell(proposal.number, "completed", distance(proposal.params))
        assert len(found) == len(every)
        assert set(found) == every
        assert study.ask() is None


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc"])
def test_what_other_lanes_are_trying_is_not_tried_again(sampler: str) -> None:
    study = Study(config(SMALL, sampler))
    assert {values(ask(study).params) for _ in range(18)} == EVERY


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_last_wave_has_what_is_left_of_a_small_search_space(sampler: str) -> None:
    space = {**SMALL, "epochs": {"type": "int", "low": 1, "high": 9}}
    study = Study(config(space, sampler, "waves"))
    found = []
    while True:
        while study.may_ask and (proposal := study.ask()) is not None:
            found.append(values(proposal.params))
            if study.report(proposal.number, 1, distance(proposal.params)):
                study.tell(proposal.number, "pruned", None)
        promoted = study.promote()
        for number in study.losers():
            study.tell(number, "pruned", None)
        if promoted is None:
            break
        study.tell(promoted, "completed", float(promoted))
    assert Counter(found) == Counter(itertools.product((32, 64), (0.1, 0.2, 0.3)))


def test_trials_are_repeated_where_that_is_wanted_or_nothing_is_searched() -> None:
    study = Study(config(SMALL, "random", duplicates="repeat"))
    found = Counter(values(ask(study).params) for _ in range(100))
    assert max(found.values()) > 1
    alone = {"epochs": 1, "batch_size": 32, "learning_rate": {"type": "categorical", "choices": [0.1]}}
    study = Study(config(alone, "random"))
    assert [ask(study).params for _ in range(3)] == 3 * [{"learning_rate": 0.1}]
    assert most_trials(config(alone, "random")) is None


@pytest.mark.parametrize(
    ("outcome", "is_again"),
    [("completed", False), ("pruned", False), ("diverged", False), ("failed", False), ("timed_out", True)],
)
def test_a_configuration_that_was_cut_off_may_come_again_and_no_other(outcome: str, is_again: bool) -> None:
    study = Study(config(SMALL, "random"))
    first = ask(study)
    study.tell(first.number, outcome, 1.0 if outcome == "completed" else None)
    rest = [ask(study).params for _ in range(17)]
    again = study.ask()
    assert (first.params in rest or (again is not None and again.params == first.params)) == is_again


def test_enqueued_configurations_are_tried_as_often_as_they_are_enqueued_and_by_no_one_else() -> None:
    known = {"epochs": 2, "batch_size": 64, "learning_rate": 0.2}
    sweep = config(SMALL, "random", enqueue=[known, known, {"epochs": 2, "batch_size": 64}])
    assert (configurations(sweep), most_trials(sweep)) == (18, 19)
    study = Study(sweep)
    found = [values(ask(study).params) for _ in range(19)]
    assert found[:2] == 2 * [(2, 64, 0.2)]
    assert found[2][:2] == (2, 64)
    assert found[2] != found[0]
    assert Counter(found) == Counter(EVERY) + Counter([(2, 64, 0.2)])
    assert study.ask() is None


def test_enqueued_values_that_leave_nothing_new_are_tried_all_the_same() -> None:
    two = {"epochs": 1, "batch_size": {"type": "categorical", "choices": [32, 64]}, "learning_rate": 0.1}
    two["model.x"] = {"type": "categorical", "choices": ["a", "b"]}
    sweep = config(two, "random", enqueue=3 * [{"batch_size": 64}])
    study = Study(sweep)
    found = [values(proposal.params) for proposal in iter(study.ask, None)]
    assert [size for size, _ in found[:3]] == [64, 64, 64]
    assert set(found) == {(32, "a"), (32, "b"), (64, "a"), (64, "b")}
    assert len(found) == most_trials(sweep) == 5


def test_a_sampler_that_always_proposes_the_same_is_asked_six_times_and_then_another_is_drawn(stubborn: str) -> None:
    for space in (SMALL, {**SMALL, "learning_rate": {"type": "float", "low": 0.1, "high": 0.3}}):
        study = Study(config(space, stubborn))
        found = [values(ask(study).params) for _ in range(10)]
        calls = sys.modules["own_stubborn"].calls
        assert found[0] == (1, 32, 0.1)
        assert len(set(found)) == 10
        assert Counter(calls) == {0: 1, **dict.fromkeys(range(1, 10), 6)}
        calls.clear()
    study = Study(config(SMALL, stubborn, duplicates="repeat"))
    assert {values(ask(study).params) for _ in range(3)} == {(1, 32, 0.1)}


def test_numbers_with_the_same_hash_are_two_configurations() -> None:
    assert hash(-1) == hash(-2)
    space = {"epochs": 1, "batch_size": 32, "learning_rate": 0.1, "model.x": {"type": "int", "low": -2, "high": -1}}
    study = Study(config(space, "random"))
    assert {values(proposal.params) for proposal in iter(study.ask, None)} == {(-2,), (-1,)}


def test_a_space_too_large_to_be_counted_is_searched_without_an_end() -> None:
    large = {**SMALL, "model.x": {"type": "int", "low": 1, "high": 10**6}}
    assert configurations(config(large)) is None
    branch = {"type": "float", "low": 0.0, "high": 1.0, "when": {"optimizer.use": "sgd"}}
    assert configurations(config({**BRANCHES, "optimizer.momentum": branch})) is None
    assert configurations(config(BRANCHES)) == 6


@pytest.mark.parametrize("sampler", ALL)
@pytest.mark.parametrize("space", [SMALL, BRANCHES], ids=["small", "branches"])
def test_a_replayed_study_goes_on_to_the_end_of_its_space_as_the_uninterrupted_one(
    sampler: str, space: dict[str, Any], stubborn: str
) -> None:
    for use in (sampler, stubborn) if sampler == "qmc" else (sampler,):
        sweep = config(
            space, use, "median", enqueue=[] if use == "grid" else [{"optimizer.use": "sgd"}][: space is BRANCHES]
        )
        whole: list[StudyEvent] = []
        events_of_all(sweep, whole)
        for cut in range(1, len(whole), 7):
            events = whole[:cut]
            events_of_all(sweep, events)
            assert events == whole


def events_of_all(sweep: Any, events: list[StudyEvent]) -> None:
    """Go on after some events until nothing is left to try: three trials at once, of which a random one ends next."""
    study = Study.from_events(sweep, events)
    running = {event[1]: dict(event[2]) for event in events if event[0] == "ask"}
    for event in events:
        if event[0] == "tell":
            del running[event[1]]
    is_over = False
    while running or not is_over:
        while len(running) < 3 and not is_over:
            proposal = study.ask()
            is_over = proposal is None
            if proposal is not None:
                events.append(("ask", *proposal))
                running[proposal.number] = proposal.params
        if running:
            number = random.Random(len(events)).choice(sorted(running))
            outcome = ("completed", "failed", "diverged")[number % 3]
            params = running.pop(number)
            value = distance(params) if outcome == "completed" else None
            study.tell(number, outcome, value)
            events.append(("tell", number, outcome, value))


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc"])
def test_a_log_with_duplicates_goes_on_where_its_sampler_was(sampler: str) -> None:
    """Logs of before `duplicates` have them, and so has one whose sweep repeated them until now."""
    whole: list[StudyEvent] = []
    drive(Study(config(SMALL, sampler, duplicates="repeat")), whole, 120)
    asked = [values(params) for _, _, params in proposals(whole)]
    at = next(at for at in range(5, len(asked)) if len(set(asked[:at])) < at and asked[at] not in asked[:at])
    cut = whole.index(proposals(whole)[at])
    assert Study.from_events(config(SMALL, sampler), whole[:cut]).ask() == whole[cut][1:]


# ---- a shuffled grid -------------------------------------------------------------------------------------------------


def grid_of(space: dict[str, Any], **more: Any) -> list[tuple[Any, ...]]:
    study = Study(config(space, {"use": "grid", "shuffle": True}, budget={"trials": 1_000}, **more))
    return [values(proposal.params) for proposal in iter(study.ask, None)]


def test_a_shuffled_grid_has_each_point_once_in_an_order_by_the_seed() -> None:
    first, again, other = grid_of(SMALL), grid_of(SMALL), grid_of(SMALL, seed=1)
    assert len(first) == 18
    assert set(first) == EVERY
    assert first == again
    assert first != other
    assert sorted(first) != first
    assert sorted(first) == sorted(other)


def test_a_shuffled_grid_counts_inactive_parameters_once_and_enqueued_points_first() -> None:
    in_order = [values(proposal.params) for proposal in iter(Study(config(GRID, "grid")).ask, None)]
    known = {"epochs": 9, "batch_size": 64, "learning_rate": 0.3, "optimizer.use": "adam"}
    found = grid_of(GRID, enqueue=[known])
    assert found[0] == (9, 64, 0.3, "adam")
    assert Counter(found) == Counter(in_order)
    sweep = config(GRID, {"use": "grid", "shuffle": True}, enqueue=[known], budget={"trials": 60})
    assert most_trials(sweep) == 54


def test_every_order_of_a_shuffle_is_as_likely_as_any_other() -> None:
    """6 orders of 3 numbers, 6,000 seeds: a chi-squared of 5 degrees of freedom is below 20.5 in 999 of 1,000 cases."""
    found = Counter(tuple(permutation(3, seed)) for seed in range(6_000))
    assert len(found) == 6
    assert sum((count - 1_000) ** 2 / 1_000 for count in found.values()) < 20.5


def test_the_first_points_of_a_large_shuffled_grid_take_no_list_of_all() -> None:
    large = {**SMALL, "model.x": {"type": "int", "low": 1, "high": 10**9}}
    study = Study(config(large, {"use": "grid", "shuffle": True}, budget={"trials": 3}))
    assert len({values(ask(study).params) for _ in range(100)}) == 100
    with pytest.raises(ConfigError, match=r"sampler\.shuffle: must be true or false, but got 'yes'"):
        config(large, {"use": "grid", "shuffle": "yes"})
