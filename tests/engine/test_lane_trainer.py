"""What every trainer of lanes must do, whether it is called in this process or through pickles, as another one would.

A new kind of trainer is one more entry of `TRAINERS`.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sweeping
import tolerances
from sweeping import assert_same, config, fixed, lane_trial, mapped, shared_programs, vmapped

from sweeps.config import SweepConfig
from sweeps.engine.device_lanes import DeviceLanes, alone
from sweeps.engine.memory import TooManyLanesError
from sweeps.engine.orders import Admission, Answer, LaneTrainer, Orders
from sweeps.engine.program import Program
from sweeps.engine.programs import LaneTrial, Programs
from sweeps.engine.restore import Past


def copied(value: Any) -> Any:
    """The value as another process would get it."""
    return pickle.loads(pickle.dumps(value))


class Pickled:
    """A trainer that sees and answers copies alone."""

    def __init__(self, programs: Programs, device: Any) -> None:
        self._trainer = DeviceLanes(programs, device)

    def advance(self, orders: Orders) -> Answer:
        answer: Answer = copied(self._trainer.advance(copied(orders)))
        return answer

    def params(self, lane: int) -> Any:
        return copied(self._trainer.params(lane))


TRAINERS: dict[str, Callable[[Programs, Any], LaneTrainer]] = {"here": DeviceLanes, "pickled": Pickled}
SIZES = [8, 53, 20, 8]


class Case:
    """An empty trainer of `lanes` lanes (None: a mapped one), and four trials for it."""

    def __init__(self, kind: str, lanes: int | None, model: dict[str, Any] | None = None) -> None:
        space = fixed(epochs=3, batch_size={"type": "categorical", "choices": [8, 20, 53]})
        if model:  # a number that is a value of the lane, for which the program has a placeholder
            space["model.rate"] = {"type": "float", "low": 0.1, "high": 0.5}
        self.swept: SweepConfig = config(search_space=space, micro_batch=8, **({"model": model} if model else {}))
        self.programs = shared_programs(self.swept, mapped(1) if lanes is None else vmapped(lanes))
        self.params: list[dict[str, Any]] = [
            {"batch_size": size, **({"model.rate": 0.25} if model else {})} for size in SIZES
        ]
        self.trials = [lane_trial(self.programs, self.swept, *each) for each in enumerate(self.params)]
        self.trainer = TRAINERS[kind](self.programs, sweeping.CPU)
        self.lanes = lanes

    def admitting(self, *numbers: int, **orders: Any) -> Orders:
        """Orders that give the first lanes to these trials."""
        admitted = [Admission(lane, self.trials[number]) for lane, number in enumerate(numbers)]
        return Orders(lane_count=self.lanes, admitted=admitted, **orders)

    def refer(self, number: int) -> Any:
        return sweeping.refer(self.swept, number, self.params[number])


@pytest.fixture(params=TRAINERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("lanes", [None, 2])
def test_every_awaited_lane_comes_to_the_scores_of_the_plain_loop(kind: str, lanes: int | None) -> None:
    case, numbers = Case(kind, lanes), [1] if lanes is None else [1, 2]
    answers = [case.trainer.advance(case.admitting(*numbers, awaited=dict.fromkeys(range(len(numbers)), 1)))]
    answers += [case.trainer.advance(Orders(awaited=dict.fromkeys(range(len(numbers)), epoch))) for epoch in (2, 3)]
    for epoch, answer in enumerate(answers, start=1):
        assert [(each.lane, each.number, each.epoch) for each in answer.epochs] == [
            (lane, number, epoch) for lane, number in enumerate(numbers)
        ]
        assert all(each.seconds > 0 for each in answer.epochs)
        assert (answer.snapshots, answer.notes) == ([], [])
    for lane, number in enumerate(numbers):
        expected = case.refer(number)
        scores = np.stack([answer.epochs[lane].scores for answer in answers])
        np.testing.assert_allclose(scores, expected.scores, **tolerances.TRAINED)
        assert_same(case.trainer.params(lane), expected.params, tolerances.TRAINED)


def test_a_program_with_placeholders_for_the_lanes_numbers_is_found_by_its_key(kind: str) -> None:
    case = Case(kind, None, {"use": "sweeping:forgetful"})
    assert "model.rate" in case.trials[0].program_key.float_names
    answer = case.trainer.advance(case.admitting(0, awaited={0: 1}))
    (expected,) = alone(case.programs, case.trials[0]).advance(Orders(awaited={0: 1})).epochs
    np.testing.assert_array_equal(answer.epochs[0].scores, expected.scores)


def test_a_new_trial_in_a_lane_starts_at_its_first_epoch_while_its_neighbour_goes_on(kind: str) -> None:
    case = Case(kind, 2)
    case.trainer.advance(case.admitting(0, 1, awaited={0: 1, 1: 1}))
    orders = Orders(retired=[0], lane_count=2, admitted=[Admission(0, case.trials[2])], awaited={0: 1, 1: 2})
    epochs = case.trainer.advance(orders).epochs
    assert [(each.number, each.epoch) for each in epochs] == [(2, 1), (1, 2)]
    np.testing.assert_allclose(epochs[0].scores, case.refer(2).scores[0], **tolerances.TRAINED)
    np.testing.assert_allclose(epochs[1].scores, case.refer(1).scores[1], **tolerances.TRAINED)


def test_lanes_that_are_not_awaited_stay_where_they_are(kind: str) -> None:
    case = Case(kind, 2)
    (first,) = case.trainer.advance(case.admitting(0, 1, awaited={1: 1})).epochs
    assert (first.lane, first.number) == (1, 1)
    both = case.trainer.advance(Orders(awaited={0: 1, 1: 2})).epochs
    np.testing.assert_allclose(both[0].scores, case.refer(0).scores[0], **tolerances.TRAINED)


@pytest.mark.parametrize("lanes", [None, 2])
def test_a_trial_goes_on_from_a_snapshot_in_another_lane_to_the_same_end(kind: str, lanes: int | None) -> None:
    case, other = Case(kind, lanes), Case(kind, lanes)
    case.trainer.advance(case.admitting(1, awaited={0: 1}))
    (snapshot,) = case.trainer.advance(Orders(awaited={0: 2}, snapshots_after_s=0.0)).snapshots
    assert (snapshot.number, snapshot.epoch) == (1, 2)
    past, lane = Past(1, {1: snapshot.scores}, snapshot), 0 if lanes is None else 1
    admitted = [Admission(lane, other.trials[1], past)]
    ahead = other.trainer.advance(Orders(lane_count=lanes, admitted=admitted, awaited={lane: 2}))
    np.testing.assert_array_equal(ahead.epochs[0].scores, snapshot.scores)  # it was there already
    last = other.trainer.advance(Orders(awaited={lane: 3}))
    np.testing.assert_allclose(last.epochs[0].scores, case.refer(1).scores[2], **tolerances.TRAINED)


def test_epochs_of_the_log_that_are_trained_once_more_are_compared_and_not_answered(kind: str) -> None:
    case = Case(kind, None)
    recorded = {1: case.refer(0).scores[0], 2: [9.0, 9.0, 9.0]}
    orders = Orders(admitted=[Admission(0, case.trials[0], Past(2, recorded, None))], awaited={0: 3})
    answer = case.trainer.advance(orders)
    assert [each.epoch for each in answer.epochs] == [3]
    (note,) = answer.notes
    assert note.startswith("epoch 2 of trial 0 has a validation loss of 9 in the log")
    assert answer.rows_again == 2 * case.trials[0].examples
    assert case.trainer.advance(Orders(awaited={0: 4})).rows_again == 0


def test_snapshots_come_once_their_time_has_passed_and_without_an_epoch_too(kind: str) -> None:
    case = Case(kind, 2)
    assert case.trainer.advance(Orders(snapshots_after_s=0.0)).snapshots == []
    early = case.trainer.advance(case.admitting(0, 1, awaited={0: 1, 1: 1}, snapshots_after_s=1e9))
    assert early.snapshots == []
    now = case.trainer.advance(Orders(retired=[1], snapshots_after_s=0.0)).snapshots
    assert [(each.number, each.epoch) for each in now] == [(0, 1)]


def test_a_trial_that_has_not_begun_has_no_snapshot(kind: str) -> None:
    case = Case(kind, 2)
    assert case.trainer.advance(case.admitting(0, snapshots_after_s=0.0)).snapshots == []


def test_after_an_error_nothing_is_held_and_the_trial_can_be_admitted_again(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(kind, None)
    (first,) = case.trainer.advance(case.admitting(0, awaited={0: 1})).epochs
    with monkeypatch.context() as patch:
        patch.setattr(Program, "epoch", lambda *_: (_ for _ in ()).throw(RuntimeError("a cable is loose")))
        with pytest.raises(RuntimeError, match="a cable is loose"):
            case.trainer.advance(Orders(awaited={0: 2}))
    assert case.trainer.advance(Orders(snapshots_after_s=0.0)).snapshots == []
    (again,) = case.trainer.advance(case.admitting(0, awaited={0: 1})).epochs
    np.testing.assert_array_equal(again.scores, first.scores)


def test_lanes_that_are_forgotten_start_anew(kind: str) -> None:
    case = Case(kind, 2)
    (first,) = case.trainer.advance(case.admitting(0, awaited={0: 1})).epochs
    case.trainer.advance(Orders(forgets=True))
    (again,) = case.trainer.advance(case.admitting(0, awaited={0: 1})).epochs
    np.testing.assert_array_equal(again.scores, first.scores)


def test_lanes_that_are_stopped_answer_nothing() -> None:
    case, stop = Case("here", None), threading.Event()
    stop.set()
    answer = DeviceLanes(case.programs, sweeping.CPU, stop).advance(case.admitting(0, awaited={0: 1}))
    assert answer == Answer([], [], [])


def test_the_error_that_says_how_many_lanes_fit_survives_the_way_to_another_process() -> None:
    error = copied(TooManyLanesError(5))
    assert (error.fitting, str(error)) == (5, "the device has memory for 5 lanes")


def test_a_trial_is_the_same_after_the_way_to_another_process() -> None:
    trial: LaneTrial = Case("here", None, {"use": "sweeping:forgetful"}).trials[1]
    found = copied(trial)
    assert found.program_key == trial.program_key
    assert hash(found.program_key) == hash(trial.program_key)
    assert_same(found.ints, trial.ints, tolerances.EXACT)
