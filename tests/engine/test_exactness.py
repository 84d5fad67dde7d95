"""A trial is itself: alone, in a crowd and in the plain loop of `reference.py`, in any lane, beside any neighbour."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import sweeping
import tolerances
from sweeping import Trained, assert_same, config, lane_trial, mapped, refer, shared_programs, train_in_lanes, vmapped

from sweeps.config import SweepConfig
from sweeps.engine.devices import Policy
from sweeps.engine.program import Program
from sweeps.engine.programs import LaneTrial, Programs

pytestmark = pytest.mark.usefixtures("ordinary_promotion", "compiled_as_shipped")

OPTIMIZERS = ("sgd", "momentum", "adam")
RATES = {"sgd": 0.3, "momentum": 0.1, "adam": 0.02}
SHAPES = [(3, 8), (1, 53), (4, 20), (2, 8), (2, 1), (1, 20), (3, 53), (2, 13)]
"""Epochs and batch size of eight trials; 53 rows, so that most epochs end with a short batch."""


def sweep(optimizer: str, **changes: Any) -> SweepConfig:
    space: dict[str, Any] = {
        "epochs": {"type": "int", "low": 1, "high": 4},
        "batch_size": {"type": "int", "low": 1, "high": 53},
        "learning_rate": {"type": "float", "low": 1e-4, "high": 1e38, "log": True},
    }
    if optimizer == "momentum":
        space["optimizer.momentum"] = {"type": "float", "low": 0.0, "high": 0.99}
    use = "sgd" if optimizer == "momentum" else optimizer
    return config(**{"optimizer": {"use": use}, "search_space": space, "micro_batch": 8, **changes})


def parameters(optimizer: str) -> list[dict[str, Any]]:
    """The trials, each with a learning rate (and momentum) of its own."""
    trials: list[dict[str, Any]] = [
        {"epochs": epochs, "batch_size": size, "learning_rate": RATES[optimizer] * (1 + number) / 8}
        for number, (epochs, size) in enumerate(SHAPES)
    ]
    if optimizer == "momentum":
        trials = [{**params, "optimizer.momentum": 0.1 * number} for number, params in enumerate(trials)]
    return trials


def programs_of(optimizer: str, policy: Policy, **changes: Any) -> tuple[Programs, list[LaneTrial]]:
    """The eight trials, and the programs that train them, compiled once for each number of lanes in a lane group."""
    swept = sweep(optimizer, **changes)
    programs = shared_programs(swept, policy)
    return programs, [lane_trial(programs, swept, *each) for each in enumerate(parameters(optimizer))]


def crowd(optimizer: str, policy: Policy) -> dict[int, Trained]:
    programs, trials_in_lanes = programs_of(optimizer, policy)
    return train_in_lanes(programs, policy, trials_in_lanes)


def assert_all_same(left: dict[int, Trained], right: dict[int, Trained], tolerance: dict[str, float]) -> None:
    assert left.keys() == right.keys()
    for number, from_lanes in left.items():
        assert_same(from_lanes, right[number], tolerance)


# ---- the plain loop --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [mapped(3), vmapped(3)], ids=["mapped", "vmapped"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_trial_in_a_crowd_is_the_trial_in_the_plain_loop(optimizer: str, policy: Policy) -> None:
    from_lanes, trials = crowd(optimizer, policy), parameters(optimizer)
    for number in (2, 7):
        assert_same(from_lanes[number], refer(sweep(optimizer), number, trials[number]), tolerances.trained(optimizer))


def test_images_are_scaled_on_the_device_as_in_the_plain_loop() -> None:
    swept = sweep("adam", dataset={"use": "sweeping:blobs", "grey": True})
    assert sweeping.blobs(grey=True).train.x.dtype == np.uint8
    programs, params = shared_programs(swept, mapped(1)), parameters("adam")[2]
    from_lanes = train_in_lanes(programs, mapped(1), [lane_trial(programs, swept, 2, params)])
    assert_same(from_lanes[2], refer(swept, 2, params), tolerances.trained("adam"))


@pytest.mark.parametrize("seed", [1, 2**31 - 1, 2**31 + 5, 2**32 - 1])
def test_every_seed_is_the_seed_of_the_plain_loop(seed: int) -> None:
    space = {**sweep("sgd").search_space, "seed": {"type": "int", "low": 0, "high": 2**32 - 1}}
    swept = sweep("sgd", search_space=space)
    programs, params = shared_programs(swept, mapped(1)), {**parameters("sgd")[3], "seed": seed}
    from_lanes = train_in_lanes(programs, mapped(1), [lane_trial(programs, swept, 7, params)])
    assert_same(from_lanes[7], refer(swept, 7, params), tolerances.TRAINED)


def test_trials_of_one_searched_seed_are_the_same_whatever_their_numbers() -> None:
    space = {**sweep("sgd").search_space, "seed": {"type": "int", "low": 0, "high": 2**32 - 1}}
    swept = sweep("sgd", search_space=space)
    programs, params = shared_programs(swept, mapped(1)), parameters("sgd")[3]
    trials_in_lanes = [
        lane_trial(programs, swept, number, {**params, "seed": seed}) for number, seed in enumerate([5, 5, 6])
    ]
    from_lanes = train_in_lanes(programs, mapped(3), trials_in_lanes)
    assert_same(from_lanes[0], from_lanes[1], tolerances.EXACT)
    assert not np.array_equal(from_lanes[0].scores, from_lanes[2].scores)


def test_trials_of_equal_parameters_differ_by_their_numbers() -> None:
    programs, swept, params = programs_of("sgd", mapped(1))[0], sweep("sgd"), parameters("sgd")[3]
    from_lanes = train_in_lanes(programs, mapped(2), [lane_trial(programs, swept, number, params) for number in (0, 1)])
    assert not np.array_equal(from_lanes[0].scores, from_lanes[1].scores)


# ---- lanes and neighbours --------------------------------------------------------------------------------------------


@pytest.mark.rotating
@pytest.mark.parametrize("lanes", [2, 3, 4, 8])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_mapped_trials_are_bitwise_the_same_in_any_number_of_lanes(optimizer: str, lanes: int) -> None:
    assert_all_same(crowd(optimizer, mapped(lanes)), crowd(optimizer, mapped(1)), tolerances.EXACT)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_mapped_trial_is_bitwise_the_same_alone(optimizer: str) -> None:
    programs, trials_in_lanes = programs_of(optimizer, mapped(1))
    together = train_in_lanes(programs, mapped(4), trials_in_lanes)
    for trial_in_lane in trials_in_lanes[::3]:
        assert_same(
            train_in_lanes(programs, mapped(1), [trial_in_lane])[trial_in_lane.number],
            together[trial_in_lane.number],
            tolerances.EXACT,
        )


@pytest.mark.parametrize("lanes", [1, 4, 8])
def test_vmapped_trials_are_the_same_in_any_number_of_lanes(lanes: int) -> None:
    assert_all_same(crowd("sgd", vmapped(lanes)), crowd("sgd", mapped(1)), tolerances.TRAINED)


@pytest.mark.parametrize(
    "policy", [mapped(3), vmapped(3), vmapped(3, groups=2)], ids=["mapped", "vmapped", "two vmapped"]
)
def test_the_order_in_which_lanes_are_refilled_does_not_matter(policy: Policy) -> None:
    # Lanes take the next trial when they are free: other orders put other trials before, beside and after each.
    programs, trials_in_lanes = programs_of("adam", policy)
    expected = train_in_lanes(programs, policy, trials_in_lanes)
    for order in (trials_in_lanes[::-1], trials_in_lanes[4:] + trials_in_lanes[:4]):
        assert_all_same(train_in_lanes(programs, policy, order), expected, tolerances.EXACT)


def test_permuting_vmapped_lanes_permutes_the_result() -> None:
    programs, trials_in_lanes = programs_of("sgd", vmapped(4))
    program = programs.program(trials_in_lanes[0].program_key, sweeping.CPU)
    program.compile()

    def train(order: tuple[int, ...]) -> Any:
        values = sweeping.lane_values([trials_in_lanes[each] for each in order])
        return program.epoch(program.init(values), values, program.feed.open()(0), 2**30)

    expected = sweeping.host(train((0, 1, 2, 3)))
    for order in itertools.islice(itertools.permutations(range(4)), 1, None, 5):
        permuted = sweeping.host(train(order))
        assert_same(permuted, sweeping.take(expected, order), tolerances.EXACT)


@pytest.mark.parametrize("policy", [mapped(3), vmapped(3)], ids=["mapped", "vmapped"])
@pytest.mark.parametrize("parts_per_call", [1, 7])
def test_an_epoch_cut_into_many_calls_changes_no_bit(
    policy: Policy, parts_per_call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = crowd("adam", policy)
    programs, trials_in_lanes = programs_of("adam", policy)
    monkeypatch.setattr(Program, "pace", lambda self, parts, seconds: None)
    program, calls = programs.program(trials_in_lanes[0].program_key, sweeping.CPU), []
    monkeypatch.setattr(program, "parts_per_call", parts_per_call)
    whole = program.epoch
    monkeypatch.setattr(program, "epoch", lambda *arguments: calls.append(1) or whole(*arguments))
    assert_all_same(train_in_lanes(programs, policy, trials_in_lanes), expected, tolerances.EXACT)
    assert len(calls) > 3 * sum(epochs for epochs, _ in SHAPES) / policy.lanes


def test_a_model_that_draws_at_random_draws_the_same_in_a_crowd() -> None:
    swept = sweep("sgd", model={"use": "sweeping:forgetful"})
    programs = shared_programs(swept, mapped(1))
    trials_in_lanes = [lane_trial(programs, swept, *each) for each in enumerate(parameters("sgd"))]
    together = train_in_lanes(programs, mapped(4), trials_in_lanes)
    for trial_in_lane in trials_in_lanes[::3]:
        assert_same(
            train_in_lanes(programs, mapped(1), [trial_in_lane])[trial_in_lane.number],
            together[trial_in_lane.number],
            tolerances.EXACT,
        )


@pytest.mark.slow
@pytest.mark.parametrize(("number", "micro_batch"), [(6, 53), (4, 1)], ids=["one update an epoch", "53 updates"])
def test_a_model_that_draws_at_random_draws_as_in_the_plain_loop(number: int, micro_batch: int) -> None:
    # One whole part a batch: a part is what a draw belongs to.
    swept = sweep("sgd", model={"use": "sweeping:forgetful"}, micro_batch=micro_batch)
    programs, params = shared_programs(swept, mapped(1)), parameters("sgd")[number]
    from_lanes = train_in_lanes(programs, mapped(1), [lane_trial(programs, swept, number, params)])
    assert_same(from_lanes[number], refer(swept, number, params), tolerances.TRAINED)


# ---- a lane that falls apart -----------------------------------------------------------------------------------------


PLANE: dict[str, Any] = {
    "dataset": {"use": "sweeping:plane"},
    "model": {"use": "sweeping:flat"},
    "loss": "mean_squared_error",
    "metrics": [],
}
"""Least squares, which overflows under a huge learning rate."""


def overflowing(programs: Programs, number: int) -> LaneTrial:
    return lane_trial(programs, sweep("sgd", **PLANE), number, {"epochs": 4, "batch_size": 8, "learning_rate": 1e30})


def is_nan(from_lanes: Trained) -> bool:
    return bool(np.isnan(from_lanes.scores[-1]).all()) and bool(np.isnan(from_lanes.params["kernel"]).all())


@pytest.mark.parametrize("policy", [mapped(3), vmapped(3)], ids=["mapped", "vmapped"])
def test_a_lane_that_becomes_nan_changes_no_bit_of_another(policy: Policy) -> None:
    programs, trials_in_lanes = programs_of("sgd", policy, **PLANE)
    harmless = train_in_lanes(programs, policy, trials_in_lanes)
    trials_in_lanes[1] = overflowing(programs, 1)
    from_lanes = train_in_lanes(programs, policy, trials_in_lanes)
    assert is_nan(from_lanes.pop(1))
    assert not is_nan(harmless.pop(1))
    assert_all_same(from_lanes, harmless, tolerances.EXACT)


@pytest.mark.parametrize("policy", [mapped(3), vmapped(3)], ids=["mapped", "vmapped"])
def test_a_lane_is_clean_again_after_a_trial_that_became_nan(policy: Policy) -> None:
    programs, trials_in_lanes = programs_of("sgd", policy, **PLANE)
    expected = train_in_lanes(programs, policy, trials_in_lanes)
    first = [overflowing(programs, 20 + number) for number in range(3)]
    from_lanes = train_in_lanes(programs, policy, [*first, *trials_in_lanes])
    assert all(is_nan(from_lanes.pop(20 + number)) for number in range(3))
    assert_all_same(from_lanes, expected, tolerances.EXACT)


# ---- answers that are known ------------------------------------------------------------------------------------------


def test_linear_regression_recovers_its_coefficients_and_reaches_the_noise() -> None:
    swept = sweeping.regression(
        dataset={"use": "linear_regression", "noise": 0.1},
        model={"use": "models.linear:Linear"},
        search_space=sweeping.fixed(epochs=5, batch_size=100, learning_rate=0.02),
    )
    programs = shared_programs(swept, mapped(1))
    from_lanes = train_in_lanes(programs, mapped(1), [lane_trial(programs, swept, 0, {})])[0]
    np.testing.assert_allclose(from_lanes.params["dense"]["kernel"][:, 0], np.arange(1, 9), atol=0.02)
    np.testing.assert_allclose(from_lanes.params["dense"]["bias"], [0.5], atol=0.02)
    np.testing.assert_allclose(from_lanes.scores[-1], 0.1**2, rtol=0.15)


@pytest.mark.parametrize(("model", "learns"), [("models.mlp:MLP", True), ("models.linear:Linear", False)])
def test_exclusive_or_is_learnt_by_the_mlp_and_not_by_the_linear_model(model: str, learns: bool) -> None:
    arguments = {"hidden": [16]} if learns else {}
    swept = sweep("adam", dataset={"use": "sweeping:xor"}, model={"use": model, **arguments})
    programs, params = shared_programs(swept, mapped(1)), {"epochs": 4, "batch_size": 4, "learning_rate": 0.05}
    trials_in_lanes = [lane_trial(programs, swept, number, params) for number in range(3)]
    accuracies = [
        from_lanes.scores[-1, 2] for from_lanes in train_in_lanes(programs, mapped(2), trials_in_lanes).values()
    ]
    if learns:
        assert max(accuracies) == 1.0
    else:
        assert max(accuracies) <= 0.75
