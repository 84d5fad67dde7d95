"""The search space at work: what a trial is, which parameters it has, and which batch sizes there can be."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.config import Component, IntRange, SweepConfig, parse_config, to_yaml
from sweeps.config.space import Trial, active, batch_size_bounds, batch_sizes, epochs_high, meets, resolve, unmet

TREE = {
    "name": "space",
    "dataset": {"use": "digits", "valid_fraction": 0.2},
    "model": {"use": "models.mlp:MLP", "activation": "relu"},
    "loss": "mean_squared_error",
    "objective": {"metric": "valid_loss", "direction": "minimize"},
    "budget": {"trials": 1},
}


def config_of(**space: Any) -> SweepConfig:
    """A config with this search space; `__` in a name stands for its dot."""
    entries = {name.replace("__", "."): entry for name, entry in space.items()}
    return parse_config({**TREE, "search_space": {"epochs": 3, "batch_size": 64, **entries}})


def choices(*values: Any, **more: Any) -> dict[str, Any]:
    return {"type": "categorical", "choices": list(values), **more}


def whole(low: int, high: int, **more: Any) -> dict[str, Any]:
    return {"type": "int", "low": low, "high": high, **more}


CONDITIONAL = config_of(
    optimizer__momentum=choices(0.5, 0.9, when={"optimizer.use": "sgd"}),
    optimizer__use=choices("adam", "sgd", "lion"),
    optimizer__b1=choices(0.8, 0.9, when={"optimizer.use": ["adam", "lion"], "epochs": 3}),
    optimizer__b2=choices(0.8, 0.9, when={"optimizer.b1": 0.9}),
    optimizer__never=choices(1, 2, when={"epochs": 4}),
)


# --- resolve --------------------------------------------------------------------------------------------------------


def test_a_trial_of_a_fixed_space_is_the_config_itself() -> None:
    config = config_of()
    assert resolve(config, {}) == Trial(
        epochs=3,
        batch_size=64,
        learning_rate=None,
        seed=None,
        dataset=config.dataset,
        model=config.model,
        loss=config.loss,
        optimizer=config.optimizer,
        schedule=config.schedule,
    )


def test_arguments_of_the_loss_and_the_schedule_take_their_places() -> None:
    space = {
        "epochs": 3,
        "batch_size": 64,
        "loss.label_smoothing": 0.1,
        "schedule.use": choices("cosine", "linear"),
        "schedule.warmup": 0.2,
    }
    loss = {"use": "binary_cross_entropy", "from_logits": False}
    config = parse_config({**TREE, "loss": loss, "search_space": space})
    trial = resolve(config, {"schedule.use": "linear"})
    assert trial.loss == Component(use="binary_cross_entropy", from_logits=False, label_smoothing=0.1)
    assert trial.schedule == Component(use="linear", warmup=0.2)


def test_a_searched_loss_keeps_the_arguments_of_its_section_on_paper_too() -> None:
    space = {"epochs": 3, "batch_size": 64, "loss": choices("softmax_cross_entropy", "binary_cross_entropy")}
    config = parse_config({**TREE, "loss": {"label_smoothing": 0.1}, "search_space": space})
    assert parse_config(to_yaml(config)) == config
    trial = resolve(config, {"loss": "binary_cross_entropy"})
    assert trial.loss == Component(use="binary_cross_entropy", label_smoothing=0.1)


def test_parameters_take_their_places() -> None:
    config = config_of(
        epochs=whole(1, 8),
        batch_size=choices(32, 64),
        learning_rate={"type": "float", "low": 1e-5, "high": 1},
        seed=whole(0, 9),
        model__hidden=choices([64], [128, 128]),
        optimizer__b1=0.8,
        dataset__noise=choices(0.1, 0.2),
    )
    params = {
        "epochs": 5, "batch_size": 32, "learning_rate": 1, "seed": 4, "model.hidden": (128, 128), "dataset.noise": 0.1,
    }  # fmt: skip
    trial = resolve(config, params)
    assert repr((trial.epochs, trial.batch_size, trial.learning_rate, trial.seed)) == "(5, 32, 1.0, 4)"
    assert trial.model == Component(use="models.mlp:MLP", activation="relu", hidden=(128, 128))
    assert trial.optimizer == Component(use="adam", b1=0.8)
    assert trial.dataset == Component(use="digits", valid_fraction=0.2, noise=0.1)


def test_a_component_itself_can_be_a_parameter() -> None:
    tree = {key: value for key, value in TREE.items() if key not in ("loss", "model")}
    space = {
        "epochs": 1, "batch_size": 1, "optimizer.use": choices("adam", "sgd"), "model.use": "models.linear:Linear",
        "loss": choices("mean_squared_error", "my.losses:huber"),
    }  # fmt: skip
    trial = resolve(parse_config({**tree, "search_space": space}), {"optimizer.use": "sgd", "loss": "my.losses:huber"})
    assert (trial.optimizer.use, trial.model.use, trial.loss.use) == ("sgd", "models.linear:Linear", "my.losses:huber")


def test_a_parameter_that_is_not_active_leaves_the_component_as_it_is() -> None:
    assert resolve(CONDITIONAL, {"optimizer.use": "sgd", "optimizer.momentum": 0.9}).optimizer.arguments == {
        "momentum": 0.9
    }


def test_a_conditional_learning_rate_may_be_missing() -> None:
    config = config_of(optimizer__use=choices("a", "b"), learning_rate=choices(0.1, 0.2, when={"optimizer.use": "a"}))
    assert resolve(config, {"optimizer.use": "b"}).learning_rate is None


def test_resolve_does_not_change_the_config() -> None:
    before = config_of(model__hidden=choices(1, 2))
    resolve(before, {"model.hidden": 2})
    assert before == config_of(model__hidden=choices(1, 2))


def test_equal_trials_are_one_key() -> None:
    assert len({resolve(CONDITIONAL, {"optimizer.use": "sgd"}), resolve(CONDITIONAL, {"optimizer.use": "sgd"})}) == 1


@pytest.mark.parametrize("params", [{"model.depth": 3}, {"epochs": 3}])
def test_a_parameter_that_is_not_searched_is_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="the search space has no parameter"):
        resolve(config_of(), params)


def test_a_trial_without_its_epochs_is_refused() -> None:
    with pytest.raises(ValueError, match="a trial needs batch_size and epochs"):
        resolve(config_of(epochs=whole(1, 8), batch_size=whole(1, 8)), {})


# --- when -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        ({}, {"optimizer.use"}),
        ({"optimizer.use": "sgd"}, {"optimizer.use", "optimizer.momentum"}),
        ({"optimizer.use": "adam"}, {"optimizer.use", "optimizer.b1"}),
        ({"optimizer.use": "lion", "optimizer.b1": 0.9}, {"optimizer.use", "optimizer.b1", "optimizer.b2"}),
        ({"optimizer.use": "lion", "optimizer.b1": 0.8}, {"optimizer.use", "optimizer.b1"}),
        ({"optimizer.use": "sgd", "optimizer.b1": 0.9}, {"optimizer.use", "optimizer.momentum"}),
    ],
)
def test_a_parameter_is_active_when_all_it_depends_on_is(chosen: dict[str, Any], names: set[str]) -> None:
    assert {name for name in CONDITIONAL.parameters() if active(CONDITIONAL, chosen, name)} == names


def test_a_parameter_without_conditions_and_a_fixed_one_are_always_active() -> None:
    assert active(CONDITIONAL, {}, "optimizer.use")
    assert active(CONDITIONAL, {}, "epochs")


def test_asking_in_order_finds_every_active_parameter() -> None:
    chosen: dict[str, Any] = {}
    for name in CONDITIONAL.parameters():
        if active(CONDITIONAL, chosen, name):
            chosen[name] = CONDITIONAL.parameters()[name].choices[-1]
    assert chosen == {"optimizer.use": "lion", "optimizer.b1": 0.9, "optimizer.b2": 0.9}


def test_a_wanted_list_is_any_of_its_values_or_the_list_itself() -> None:
    assert meets(64, (64, 128))
    assert meets((64,), (64,))
    assert meets((64,), ((64,), (128,)))
    assert not meets(32, (64, 128))
    assert not meets("sgd", "adam")


def test_the_unmet_condition_is_named() -> None:
    assert unmet(CONDITIONAL.search_space, {"optimizer.use": "adam"}, "optimizer.b2") == ("optimizer.b1", 0.9)


# --- batch sizes and epochs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "sizes"),
    [
        (64, (64,)),
        (choices(256, 32, 64), (32, 64, 256)),
        (whole(3, 6), (3, 4, 5, 6)),
        (whole(1, 10, step=4), (1, 5, 9)),
        (whole(7, 7), (7,)),
        (whole(1, 64), tuple(range(1, 65))),
    ],
)
def test_batch_sizes_that_are_few_are_all_there(entry: Any, sizes: tuple[int, ...]) -> None:
    config = config_of(batch_size=entry)
    assert batch_sizes(config) == sizes
    assert batch_size_bounds(config) == (sizes[0], sizes[-1])


@given(st.integers(1, 5000), st.integers(0, 5000), st.integers(1, 40), st.booleans())
def test_batch_sizes_that_are_many_are_spread_over_the_range(low: int, more: int, step: int, log: bool) -> None:
    entry = IntRange(type="int", low=low, high=low + more, log=log, step=1 if log else step)
    config = config_of(batch_size=entry)
    sizes = batch_sizes(config)
    assert (sizes[0], sizes[-1]) == batch_size_bounds(config)
    assert list(sizes) == sorted(set(sizes))
    assert len(sizes) <= 64
    assert all(entry.contains(size) for size in sizes)
    assert log or len(sizes) == min(64, entry.count)


def test_many_batch_sizes_on_a_logarithmic_scale_are_spread_by_ratio() -> None:
    sizes = batch_sizes(config_of(batch_size=whole(16, 65536, log=True)))
    assert len(sizes) == 64
    assert all(1.05 < after / before < 1.25 for before, after in pairwise(sizes))


def test_many_choices_are_thinned_out_and_keep_their_ends() -> None:
    sizes = batch_sizes(config_of(batch_size=choices(*range(1, 1001))))
    assert (sizes[0], sizes[-1], len(sizes)) == (1, 1000, 64)


@pytest.mark.parametrize(("entry", "high"), [(3, 3), (choices(9, 2), 9), (whole(1, 8, step=3), 7)])
def test_the_most_epochs_are_those_of_the_range_or_the_choices(entry: Any, high: int) -> None:
    assert epochs_high(config_of(epochs=entry)) == high
