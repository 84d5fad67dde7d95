"""What differs between two configs, and what of it needs the user's word."""

from __future__ import annotations

from typing import Any

import pytest

from sweeps.config import SweepConfig, parse_config
from sweeps.config.changes import changes, fingerprint

SPACE: dict[str, Any] = {
    "epochs": {"type": "int", "low": 1, "high": 9, "step": 2},
    "batch_size": {"type": "categorical", "choices": [8, 20]},
    "learning_rate": {"type": "float", "low": 0.01, "high": 1.0, "log": True},
    "optimizer.momentum": {"type": "float", "low": 0.0, "high": 0.9, "step": 0.3},
}


def config(space: dict[str, Any] | None = None, **sections: Any) -> SweepConfig:
    return parse_config(
        {
            "name": "small",
            "dataset": {"use": "linear_regression", "rows": 200},
            "model": "models.linear:Linear",
            "loss": "mean_squared_error",
            "metrics": ["mean_absolute_error"],
            "optimizer": "sgd",
            "search_space": {**SPACE, **(space or {})},
            "objective": {"metric": "valid_loss", "direction": "minimize"},
            "sampler": "random",
            "budget": {"trials": 2},
            **sections,
        }
    )


def told(now: SweepConfig, before: SweepConfig | None = None) -> list[str]:
    return list(map(str, changes(before or config(), now)))


def forced(now: SweepConfig) -> list[str]:
    return [".".join(map(str, change.path)) for change in changes(config(), now) if change.needs_force]


def test_every_path_that_differs_is_told_with_both_values_in_the_order_of_the_config() -> None:
    now = config(
        {"learning_rate": {**SPACE["learning_rate"], "high": 0.5}, "optimizer.nesterov": True},
        seed=5,
        dataset={"use": "linear_regression", "features": 4},
        metrics=[],
        micro_batch=4,
    )
    assert told(now) == [
        "seed: 0 before, 5 now",
        "dataset.rows: 200 before, nothing now",
        "dataset.features: nothing before, 4 now",
        "metrics: ['mean_absolute_error'] before, [] now",
        "search_space.learning_rate.high: 1.0 before, 0.5 now",
        "search_space.optimizer.nesterov: nothing before, true now",
        "micro_batch: 'auto' before, 4 now",
    ]
    assert len(forced(now)) == 7


def test_lists_of_one_length_are_compared_place_by_place() -> None:
    before = config(enqueue=[{"epochs": 3, "batch_size": 8}])
    assert told(config(enqueue=[{"epochs": 5, "batch_size": 8}]), before) == ["enqueue[0].epochs: 3 before, 5 now"]


def test_a_config_has_not_changed_from_itself() -> None:
    assert changes(config(), config()) == []


@pytest.mark.parametrize(
    "sections",
    [
        {"budget": {"trials": 1}},
        {"budget": {"trials": 9, "minutes": 3, "target": 0.1}},
        {"lanes": 3},
        {"duplicates": "repeat"},
    ],
)
def test_budget_and_lanes_may_change(sections: dict[str, Any]) -> None:
    assert changes(config(), config(**sections)) != []
    assert forced(config(**sections)) == []
    assert fingerprint(config(**sections)) == fingerprint(config())


@pytest.mark.parametrize(
    "space",
    [
        {"learning_rate": {"type": "float", "low": 0.001, "high": 1.0, "log": True}},
        {"learning_rate": {"type": "float", "low": 0.001, "high": 2.0, "log": True}},
        {"epochs": {"type": "int", "low": 1, "high": 21, "step": 2}},
        {"batch_size": {"type": "categorical", "choices": [4, 20, 8]}},
        {"optimizer.momentum": {"type": "float", "low": 0.0, "high": 1.2, "step": 0.3}},
        {"learning_rate": {"type": "float", "low": 0.001, "high": 1.0, "log": True, "prior": 0.1}},
    ],
)
def test_a_range_that_has_grown_needs_no_force_and_is_the_same_experiment(space: dict[str, Any]) -> None:
    assert changes(config(), config(space)) != []
    assert forced(config(space)) == []
    assert fingerprint(config(space)) == fingerprint(config())


@pytest.mark.parametrize(
    ("space", "paths"),
    [
        ({"learning_rate": {"type": "float", "low": 0.02, "high": 2.0, "log": True}}, ["low", "high"]),
        ({"learning_rate": {"type": "float", "low": 0.01, "high": 2.0}}, ["log"]),
        ({"learning_rate": 0.5}, [""]),
        ({"epochs": {"type": "int", "low": 2, "high": 10, "step": 2}}, ["low", "high"]),
        ({"epochs": {"type": "int", "low": 1, "high": 9}}, ["step"]),
        ({"batch_size": {"type": "categorical", "choices": [8, 32]}}, ["choices.1"]),
        ({"batch_size": {"type": "categorical", "choices": [8]}}, ["choices"]),
        ({"optimizer.momentum": {"type": "float", "low": 0.1, "high": 0.9}}, ["low", "step"]),
        ({"optimizer.nesterov": {"type": "categorical", "choices": [True, False]}}, [""]),
    ],
)
def test_any_other_change_of_the_search_space_needs_force(space: dict[str, Any], paths: list[str]) -> None:
    (name,) = space
    found = [path.removeprefix(f"search_space.{name}").removeprefix(".") for path in forced(config(space))]
    assert found == paths


@pytest.mark.parametrize(
    "sections",
    [
        {"seed": 1},
        {"model": {"use": "models.linear:Linear", "bias": False}},
        {"micro_batch": 4},
        {"precision": "bfloat16"},
        {"pruner": "median"},
        {"sampler": "tpe"},
        {"space": {"learning_rate": 0.5}},
    ],
)
def test_a_config_under_which_trials_come_to_other_results_has_another_fingerprint(sections: dict[str, Any]) -> None:
    assert forced(config(**sections)) != []
    assert fingerprint(config(**sections)) != fingerprint(config())


def test_a_key_that_configs_of_earlier_logs_lack_changes_no_fingerprint() -> None:
    """5191b0cd is what was written before there were `duplicates`, `warm_start` and `prior`."""
    assert fingerprint(config()) == "5191b0cd"


def test_a_fingerprint_is_eight_digits_and_does_not_depend_on_the_order_of_keys() -> None:
    turned = config(dict(reversed(SPACE.items())), metrics=["mean_absolute_error"])
    assert fingerprint(turned) == fingerprint(config())
    assert len(fingerprint(config())) == 8
    assert int(fingerprint(config()), 16) >= 0


def test_one_of_several_ranges_can_grow_and_its_condition_cannot_change() -> None:
    uses = {"type": "categorical", "choices": ["sgd", "adam", "lion"]}

    def of(high: float, use: str) -> SweepConfig:
        sgd = {"type": "float", "low": 0.1, "high": high, "when": {"optimizer.use": "sgd"}}
        adam = {"type": "float", "low": 0.01, "high": 0.1, "when": {"optimizer.use": use}}
        return config({"learning_rate": [sgd, adam], "optimizer.use": uses}, optimizer={})

    (change,) = changes(of(1.0, "adam"), of(2.0, "adam"))
    assert (str(change), change.needs_force) == ("search_space.learning_rate[0].high: 1.0 before, 2.0 now", False)
    (change,) = changes(of(1.0, "adam"), of(0.5, "adam"))
    assert change.needs_force
    (change,) = changes(of(1.0, "adam"), of(1.0, "lion"))
    assert change.needs_force
    assert fingerprint(of(1.0, "adam")) == fingerprint(of(2.0, "adam")) != fingerprint(of(1.0, "lion"))
