"""Pruners that pause trials, driven without training: who goes on, who is asked for, and what TPE learns from them."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from typing import Any

import pytest

from sweeps.config import SweepConfig, parse_config
from sweeps.config.values import Value
from sweeps.errors import ConfigError
from sweeps.study import Study, StudyEvent
from sweeps.study.rungs import Asha, Waves

SPACE: dict[str, Any] = {
    "epochs": {"type": "int", "low": 1, "high": 27},
    "batch_size": {"type": "categorical", "choices": [32, 64, 128]},
    "learning_rate": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
}
CONDITIONAL: dict[str, Any] = {
    **SPACE,
    "optimizer.use": {"type": "categorical", "choices": ["sgd", "adam"]},
    "optimizer.b1": {"type": "float", "low": 0.5, "high": 0.95, "when": {"optimizer.use": "adam"}},
}


def config(pruner: Any = "waves", trials: int = 81, **changes: Any) -> SweepConfig:
    tree = {
        "name": "rungs",
        "dataset": "mnist",
        "model": "models.linear:Linear",
        "loss": "softmax_cross_entropy",
        "search_space": SPACE,
        "objective": {"metric": "valid_loss", "direction": "minimize"},
        "sampler": "random",
        "pruner": pruner,
        "budget": {"trials": trials},
    }
    return parse_config({**tree, **changes})


def curve(params: dict[str, Value], epoch: int) -> float:
    """A loss that falls with every epoch, to the least at a learning rate of 1e-3; of seven trials one diverges."""
    rate = params["learning_rate"]
    assert isinstance(rate, float)
    return math.nan if int(rate * 1e9) % 7 == 0 else abs(math.log10(rate) + 3) + 1 / epoch


class Driven:
    """A study driven as a sweep does it, with so many lanes whose epochs end in a random order."""

    def __init__(self, swept: SweepConfig, lanes: int, seed: int = 0) -> None:
        self.study, self.params, self.epochs = Study(swept), dict[int, dict[str, Value]](), Counter[int]()
        self.outcomes: dict[int, str] = {}
        self.events: list[StudyEvent] = []
        self._longest, self._trials, self._chance = (
            swept.search_space["epochs"],
            swept.budget.trials,
            random.Random(seed),
        )
        running: set[int] = set()
        while True:
            while len(running) < lanes and (number := self._next()) is not None:
                running.add(number)
            if not running:
                break
            number = self._chance.choice(sorted(running))
            if self._leaves(number):
                running.remove(number)
            for loser in self.study.losers():
                self._tell(loser, "pruned")

    def _next(self) -> int | None:
        number = self.study.promote()
        if number is not None:
            self.events.append(("promote", number))
            return number
        if len(self.params) == self._trials or not self.study.may_ask or (proposal := self.study.ask()) is None:
            return None
        self.events.append(("ask", *proposal))
        self.params[proposal.number] = proposal.params
        return proposal.number

    def _leaves(self, number: int) -> bool:
        self.epochs[number] += 1
        epoch, value = self.epochs[number], curve(self.params[number], self.epochs[number])
        if math.isnan(value):
            self._tell(number, "diverged")
            return True
        self.events.append(("report", number, epoch, value))
        stop = self.study.report(number, epoch, value)
        if epoch == self._longest or stop:
            self._tell(number, "pruned" if epoch < self._longest else "completed", value)
            return True
        return self.study.waits(number)

    def _tell(self, number: int, outcome: str, value: float | None = None) -> None:
        self.events.append(("tell", number, outcome, value))
        self.study.tell(number, outcome, value)
        self.outcomes[number] = outcome


def halved(params: dict[int, dict[str, Value]], members: range, rungs: tuple[int, ...]) -> dict[int, int]:
    """Successive halving by three as a plain loop over a cohort: how many epochs each of its trials has."""
    epochs, left = dict.fromkeys(members, 1), list(members)
    for place, rung in enumerate(rungs):
        finite = [number for number in left if not math.isnan(curve(params[number], rung))]
        epochs |= dict.fromkeys(finite, rung)
        left = sorted(finite, key=lambda number: (curve(params[number], rung), number))
        left = left[: max(1, len(members) // 3 ** (place + 1))]
    return epochs


@pytest.mark.parametrize("lanes", [1, 4, 50])
def test_waves_are_successive_halving_of_each_cohort(lanes: int) -> None:
    driven = Driven(config(trials=100), lanes, seed=lanes)
    expected: dict[int, int] = {}
    for start in range(0, 100, 27):
        expected |= halved(driven.params, range(start, min(start + 27, 100)), (1, 3, 9, 27))
    assert driven.epochs == expected
    assert len(driven.outcomes) == 100


def test_brackets_begin_at_later_rungs_with_the_shares_of_hyperband() -> None:
    # 27 epochs and a factor of 3 (Li et al., 2018, section 3): 27 trials from 1 epoch, 12 from 3, 6 from 9, 4 from 27.
    driven = Driven(config({"use": "waves", "brackets": 4}, trials=49), lanes=3)
    expected: dict[int, int] = {}
    for bracket, (start, stop) in enumerate([(0, 27), (27, 39), (39, 45), (45, 49)]):
        rungs = (1, 3, 9, 27)[bracket:]
        expected |= {n: e if e > 1 else rungs[0] for n, e in halved(driven.params, range(start, stop), rungs).items()}
    finite = {number for number, outcome in driven.outcomes.items() if outcome != "diverged"}
    assert {number: driven.epochs[number] for number in finite} == {number: expected[number] for number in finite}


@pytest.mark.parametrize("space", [SPACE, CONDITIONAL], ids=["plain", "conditional"])
def test_what_waves_propose_and_decide_depends_on_no_lanes_and_no_order_of_arrival(space: Any) -> None:
    swept = config(sampler="tpe", search_space=space, trials=120)
    one = Driven(swept, lanes=1)
    for lanes, seed in ((2, 1), (9, 2), (200, 3)):
        other = Driven(swept, lanes, seed)
        assert (other.params, other.epochs, other.outcomes) == (one.params, one.epochs, one.outcomes)


def test_no_more_than_two_waves_are_under_way() -> None:
    driven = Driven(config(trials=108), lanes=108)
    ended: set[Any] = set()
    for kind, number, *_ in driven.events:
        if kind == "tell":
            ended.add(number)
        elif kind == "ask" and isinstance(number, int) and number >= 54:
            assert ended >= set(range(number // 27 * 27 - 27 - 27, number // 27 * 27 - 27))


@pytest.mark.parametrize("pruner", ["waves", "asha", {"use": "waves", "brackets": 3, "wave_size": 9}])
def test_a_study_that_is_rebuilt_from_any_number_of_events_goes_on_as_it_was(pruner: Any) -> None:
    swept = config(pruner, sampler="tpe", trials=60)
    driven = Driven(swept, lanes=4, seed=5)
    for kept in range(1, len(driven.events), 37):
        rebuilt = Study.from_events(swept, driven.events[:kept])
        for event in driven.events[kept:]:
            if event[0] == "ask":
                assert rebuilt.may_ask
                assert rebuilt.ask() == event[1:]
            elif event[0] == "promote":
                assert rebuilt.promote() == event[1]
            else:
                rebuilt._follow(event)


def test_asha_promotes_the_best_third_of_what_has_come_to_the_highest_rung_that_has_one() -> None:
    rungs = Asha(1, (1, 3, 9), 3, keeps_best=False)
    assert [rungs.report(number, 1, value) for number, value in enumerate([5.0, 4.0])] == [False, False]
    assert (rungs.waits(0), rungs.promote()) == (True, None), "a third of two is none"
    rungs.report(2, 1, 6.0)
    assert (rungs.promote(), rungs.promote()) == (1, None)
    for number, value in ((3, 3.0), (4, 2.0), (5, 1.0)):
        rungs.report(number, 1, value)
    assert [rungs.promote() for _ in range(3)] == [5, 4, None], "two of six, of which 1 was promoted before"
    for number, value in ((1, 0.1), (5, 0.2), (4, 0.3)):
        assert rungs.report(number, 3, value) is False
    for number in (6, 7, 8):
        rungs.report(number, 1, 0.5)
    assert rungs.promote() == 1, "the higher rung comes first"
    assert [rungs.promote() for _ in range(4)] == [6, 7, 8, None]


def test_asha_agrees_with_its_paper_read_as_a_plain_loop() -> None:
    """Li et al., 2020, algorithm 2: scan rungs from the top; promote one of the top 1/eta that was not promoted."""
    chance, rungs = random.Random(3), Asha(1, (1, 3, 9, 27), 3, keeps_best=False)
    results: list[dict[int, float]] = [{}, {}, {}, {}]
    promoted: list[set[int]] = [set(), set(), set()]
    at: dict[int, int] = {}
    for number in range(300):
        value = chance.random()
        rungs.report(number, 1, value)
        results[0][number] = value
        expected = None
        for rung in (2, 1, 0):
            best = sorted(results[rung], key=lambda each: (results[rung][each], each))[: len(results[rung]) // 3]
            candidates = [each for each in best if each not in promoted[rung]]
            if candidates:
                expected = candidates[0]
                promoted[rung].add(expected)
                at[expected] = rung + 1
                break
        assert rungs.promote() == expected
        if expected is not None:
            value = chance.random()
            rungs.report(expected, (1, 3, 9, 27)[at[expected]], value)
            results[at[expected]][expected] = value


def test_a_trial_that_completes_early_has_its_value_at_later_rungs_and_may_take_the_place_of_others() -> None:
    for value, best in ((0.5, 1), (0.3, 0)):
        rungs = Waves(1, (1, 3, 9), 3, keeps_best=False, sizes=(3,))
        for number in range(3):
            rungs.begin(number)
        rungs.end(0, value)
        assert (rungs.report(1, 1, 0.4), rungs.waits(1)) == (False, True)
        assert rungs.report(2, 1, 0.6) is True
        assert (rungs.promote(), rungs.losers()) == ((1, []) if best else (None, [1]))


def test_with_the_best_epoch_kept_trials_are_compared_by_their_best_until_then() -> None:
    for keeps_best, promoted in ((True, 0), (False, 1)):
        rungs = Waves(1, (2, 4), 2, keeps_best=keeps_best, sizes=(2,))
        for number, values in enumerate([(0.1, 0.9), (0.5, 0.5)]):
            rungs.begin(number)
            stops = [rungs.report(number, epoch, value) for epoch, value in enumerate(values, start=1)]
        assert stops == [False, promoted == 0]
        assert rungs.promote() == (0 if keeps_best else None)


def test_tpe_beside_waves_finds_more_good_trials_than_chance() -> None:
    def near(sampler: str, seed: int) -> int:
        params = Driven(config(sampler=sampler, seed=seed, trials=162), lanes=4).params
        return sum(abs(math.log10(params[number]["learning_rate"]) + 3) < 0.4 for number in range(108, 162))  # type: ignore[arg-type]

    learnt, by_chance = (sum(near(sampler, seed) for seed in range(5)) for sampler in ("tpe", "random"))
    assert by_chance < 5 * 54 * 0.3, "a fifth of the range is near"
    assert learnt > 3 * by_chance


def test_no_two_trials_of_a_wave_are_nearly_the_same_once_tpe_proposes() -> None:
    params = Driven(config(sampler="tpe", trials=135), lanes=4).params
    for start in (54, 81, 108):
        wave = [params[number] for number in range(start, start + 27)]
        for size in (32, 64, 128):
            rates = sorted(math.log10(each["learning_rate"]) for each in wave if each["batch_size"] == size)  # type: ignore[arg-type]
            assert all(after - before > 0.04 for before, after in itertools.pairwise(rates))


MISTAKES = [
    ({"epochs": {"type": "categorical", "choices": [1, 9]}}, {}, r"search_space\.epochs: .* must be one range"),
    ({"epochs": {"type": "int", "low": 2, "high": 8, "step": 2}}, {}, r"search_space\.epochs: .* must be one range"),
    (
        {"epochs": 3},
        {"pruner": {"use": "waves", "min_epochs": 4}},
        r"pruner\.min_epochs: must be at most .* 3, but got 4",
    ),
    ({}, {"pruner": {"use": "asha", "min_epochs": 2}}, r"pruner\.min_epochs: must not be given .* Remove it"),
    ({}, {"pruner": {"use": "waves", "brackets": 5}}, r"pruner\.brackets: must be at most the number of rungs, 4"),
    (
        {},
        {"pruner": {"use": "waves", "reduction_factor": 1}},
        r"pruner\.reduction_factor: must be at least 2, but got 1",
    ),
    (
        {},
        {"pruner": {"use": "asha", "min_epochs": "two"}},
        r"pruner\.min_epochs: must be a whole number, but got 'two'",
    ),
    ({}, {"sampler": "cmaes"}, r"sampler\.use: pruner `waves` goes with tpe, random, grid, qmc"),
    (
        {},
        {"enqueue": [{"epochs": 5, "learning_rate": 0.1}]},
        r"enqueue\[0\]\.epochs: .* must be left out here, or be 27",
    ),
]


@pytest.mark.parametrize(("space", "changes", "said"), MISTAKES)
def test_what_does_not_fit_a_pruner_that_pauses_is_refused_in_one_line(space: Any, changes: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        config(search_space={**SPACE, **space}, **changes)
    assert len(refused.value.complaints) == 1
