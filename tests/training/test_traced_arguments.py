"""Numbers of a model that are traced: what they answer, which of them are, and that no result depends on it."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sweeping
import tolerances
from resuming import Said, assert_goes_on_alike_from
from sweeping import (
    assert_same,
    config,
    counting_compilations,
    finish,
    fixed,
    lane_trial,
    make_programs,
    mapped,
    refer,
    shared_programs,
    train_in_lanes,
    vmapped,
)

import sweeps
from sweeps.config import SweepConfig, space
from sweeps.config.parameters import Choices, FloatRange, IntRange
from sweeps.engine.devices import Policy
from sweeps.training.lane_placeholder import LanePlaceholder, UnboundError, asked, bound
from sweeps.training.models import build_model
from sweeps.training.traced_arguments import searched
from sweeps.validation.program_plan import make_plan

RATE = LanePlaceholder("model.rate", 0.0, 0.5)

# ---- one number ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("compare", "other", "answer", "noted"),
    [
        (operator.eq, 0.0, False, {0.0}),
        (operator.eq, 0.5, False, {0.5}),
        (operator.ne, 0.25, True, {0.25}),
        (operator.eq, 1.0, False, set()),
        (operator.ge, 0, True, set()),
        (operator.gt, 0, True, {0.0}),
        (operator.lt, 0.0, False, set()),
        (operator.le, 0.0, False, {0.0}),
        (operator.le, 1, True, set()),
        (operator.lt, 0.5, True, {0.5}),
        (operator.gt, np.float32(0.75), False, set()),
    ],
)
def test_a_comparison_is_answered_as_the_whole_range_answers_it_and_exceptions_are_noted(
    compare: Callable[..., bool], other: float, answer: bool, noted: set[float]
) -> None:
    number = LanePlaceholder(f"model.{compare.__name__} {other}", 0.0, 0.5)
    assert compare(number, other) is answer
    assert asked(number) == noted


@pytest.mark.parametrize("compare", [operator.lt, operator.le, operator.gt, operator.ge])
def test_a_comparison_that_the_range_does_not_decide_is_refused(compare: Callable[..., bool]) -> None:
    with pytest.raises(UnboundError, match=r"some values of model.rate are less than 0.25, and some are not"):
        compare(RATE, 0.25)


def test_a_number_is_true_unless_it_is_zero() -> None:
    number = LanePlaceholder("model.truth", 0.0, 0.5)
    assert number
    assert asked(number) == {0.0}


def test_a_number_equals_itself_alone_and_nothing_that_is_no_number() -> None:
    same, other = LanePlaceholder("model.rate", 0.0, 0.5), LanePlaceholder("model.rate", 0.0, 0.6)
    assert (same == RATE, hash(same) == hash(RATE)) == (True, True)
    assert other != RATE
    assert RATE is not None
    assert RATE != "rate"


@pytest.mark.parametrize("convert", [float, int, range, math.sqrt, np.float32, "{:.2f}".format, np.sqrt])
def test_a_number_is_not_turned_into_one_of_python_or_numpy(convert: Callable[..., Any]) -> None:
    with bound({"model.rate": 0.25}), pytest.raises((TypeError, UnboundError)):
        convert(RATE)


def test_computing_needs_a_lane() -> None:
    with pytest.raises(UnboundError, match=r"model.rate has no value while the model is made"):
        1 - RATE


X = jnp.linspace(-1, 1, 6).reshape(2, 3)


@pytest.mark.rotating
@pytest.mark.parametrize(
    "compute",
    [
        lambda x, rate: 1 - rate,
        lambda x, rate: x * rate + rate / x - rate**2 + 2**rate,
        lambda x, rate: -rate * abs(rate) * x,
        lambda x, rate: np.float32(2) * rate,
        lambda x, rate: jnp.where(x > rate, x, rate),
        lambda x, rate: jnp.where(rate < x, x, 0.0),
        lambda x, rate: jnp.maximum(x, rate) * 2,
        lambda x, rate: jnp.full(3, rate),
        lambda x, rate: jax.nn.elu(x, rate) + jax.nn.leaky_relu(x, rate),
        lambda x, rate: jax.random.bernoulli(jax.random.key(0), rate, x.shape),
        lambda x, rate: jax.lax.stop_gradient(rate) * x,
        lambda x, rate: jax.jit(lambda x: x * rate)(x),
        lambda x, rate: jax.lax.scan(lambda total, row: (total * rate + row, total), x[0], x)[1],
    ],
)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_computing_with_a_number_is_computing_with_the_lanes_value(compute: Callable[..., Any], dtype: Any) -> None:
    def of(value: jax.Array) -> Any:
        with bound({"model.rate": value}):
            return compute(X.astype(dtype), RATE)

    for value in (0.25, 0.375):  # which bfloat16 has too
        plain = jnp.asarray(compute(X.astype(dtype), value))
        ours = jax.jit(of)(value)
        assert ours.dtype == plain.dtype
        np.testing.assert_allclose(ours.astype(float), plain.astype(float), rtol=1e-6 if dtype == jnp.float32 else 1e-2)


def test_only_ranges_and_choices_of_fractions_can_be_traced() -> None:
    found = searched(
        {
            "model.dropout": FloatRange(type="float", low=0, high=0.5),
            "model.fixed": FloatRange(type="float", low=0.5, high=0.5),
            "model.slope": Choices(type="categorical", choices=(0, 0.1, 0.3)),
            "model.width": IntRange(type="int", low=1, high=8),
            "model.widths": Choices(type="categorical", choices=(16, 32)),
            "model.flag": Choices(type="categorical", choices=(True, 0.5)),
            "model.name": Choices(type="categorical", choices=("relu", "tanh")),
            "optimizer.b1": FloatRange(type="float", low=0, high=0.5),
        }
    )
    assert found == {
        "dropout": LanePlaceholder("model.dropout", 0, 0.5),
        "slope": LanePlaceholder("model.slope", 0, 0.3),
    }


# ---- which of a model's numbers are traced ---------------------------------------------------------------------------


def sweep(use: str, name: str = "number", low: float = 0.0, high: float = 0.5, **model: Any) -> SweepConfig:
    number = {f"model.{name}": {"type": "float", "low": low, "high": high}}
    return config(model={"use": use, **model}, search_space=fixed(epochs=2, **number), budget={"trials": 3})


def traced(swept: SweepConfig, **params: float) -> set[str]:
    names = make_programs(swept, mapped(1)).lane_trial(0, space.resolve(swept, params)).program_key.float_names
    return {name for name in names if name.startswith("model.")}


@pytest.mark.parametrize("use", ["scaled", "noisy", "masked", "clipped", "rectified", "spread", "divided"])
def test_a_number_that_is_computed_with_is_traced(use: str) -> None:
    assert traced(sweep(f"number_models:{use}"), **{"model.number": 0.3}) == {"model.number"}


@pytest.mark.parametrize(
    "use", ["whole", "rounded", "with_a_switch", "unless_a_float", "computed_while_made", "wide", "kept"]
)
def test_a_number_that_a_lane_cannot_give_selects_programs(use: str) -> None:
    swept = sweep(f"number_models:{use}", low=0.0 if use == "with_a_switch" else 1.0, high=4.0)
    assert traced(swept, **{"model.number": 3.0}) == set()


def test_a_comparison_outside_the_range_is_no_obstacle() -> None:
    assert traced(sweep("number_models:with_a_switch", low=0.25), **{"model.number": 0.3}) == {"model.number"}


def test_of_two_numbers_the_one_is_traced_that_can_be() -> None:
    numbers = {name: {"type": "float", "low": 0.1, "high": 0.5} for name in ("model.number", "model.other")}
    swept = config(model={"use": "number_models:two"}, search_space=fixed(**numbers))
    assert traced(swept, **{"model.number": 0.2, "model.other": 0.3}) == {"model.number"}


@pytest.mark.parametrize(
    ("use", "value", "is_traced"),
    [
        ("zero_is_another_thing", 0.0, False),
        ("zero_is_another_thing", 0.1, True),
        ("divided", 0.0, False),  # the limit is finite, and what is computed there is not
        ("masked", 0.0, True),
    ],
)
def test_a_value_that_is_no_limit_of_the_others_has_a_program_of_its_own(
    use: str, value: float, is_traced: bool
) -> None:
    assert bool(traced(sweep(f"number_models:{use}"), **{"model.number": value})) is is_traced


@pytest.mark.parametrize(("value", "is_traced"), [(0.0, True), (0.9, True), (1.0, False)])
def test_dropout_is_traced_but_for_the_rate_at_which_its_gradient_would_not_be_finite(
    value: float, is_traced: bool
) -> None:
    swept = sweep("models.mlp:MLP", "dropout", high=1.0, hidden=[4])
    assert bool(traced(swept, **{"model.dropout": value})) is is_traced


@pytest.mark.usefixtures("any_promotion")
@pytest.mark.parametrize(
    ("use", "name", "high"),
    [
        ("models.transformer:Transformer", "dropout", 0.5),
        ("user_models:NnxNet", "rate", 0.5),
        ("user_models:LinenNet", "rate", 0.5),
        ("user_models:EquinoxDropout", "rate", 0.5),
        ("user_models:sequential", "rate", 0.5),
        ("number_models:NnxMomentum", "number", 0.9),
        ("number_models:LinenScaled", "number", 2.0),
        ("number_models:EquinoxScaled", "number", 2.0),
    ],
)
def test_numbers_of_layers_of_every_library_are_traced(use: str, name: str, high: float) -> None:
    small = {"width": 4, "depth": 1, "heads": 1} if "Transformer" in use else {}
    assert traced(sweep(use, name, high=high, **small), **{f"model.{name}": 0.4}) == {f"model.{name}"}


KERAS = ["Dropout", "SpatialDropout1D", "GaussianNoise", "AlphaDropout", "LeakyReLU", "ELU", "LayerNormalization"]


@pytest.mark.usefixtures("any_promotion")
@pytest.mark.parametrize("kind", KERAS)
def test_numbers_of_keras_layers_are_traced(kind: str) -> None:
    swept = sweep("number_models:with_layer", kind=kind, low=0.1)
    assert traced(swept, **{"model.number": 0.3}) == {"model.number"}


@pytest.mark.usefixtures("any_promotion")
def test_a_keras_layer_that_takes_a_square_root_in_python_selects_programs() -> None:
    swept = sweep("number_models:with_layer", kind="GaussianDropout", low=0.1)
    assert traced(swept, **{"model.number": 0.3}) == set()


# ---- what comes of it ------------------------------------------------------------------------------------------------


def in_lanes(use: str, name: str, policy: Policy, low: float = 0.0) -> None:
    """Two trials of one program are what models that are made with the plain numbers come to."""
    number = {f"model.{name}": {"type": "float", "low": low, "high": 0.5}}
    swept = config(model={"use": use}, search_space=fixed(**number), budget={"trials": 3})
    programs, trials = shared_programs(swept, policy), [{f"model.{name}": value} for value in (low, 0.375)]
    lane_trials = [lane_trial(programs, swept, place, params) for place, params in enumerate(trials)]
    assert lane_trials[0].program_key == lane_trials[1].program_key
    from_lanes = train_in_lanes(programs, policy, lane_trials)
    for place, params in enumerate(trials):
        assert_same(from_lanes[place], refer(swept, place, params), tolerances.TRAINED)


MAPPED, VMAPPED = mapped(2), vmapped(2)


@pytest.mark.parametrize("policy", [MAPPED, VMAPPED], ids=["mapped", "vmapped"])
def test_a_trial_whose_dropout_is_traced_trains_as_one_that_is_made_with_it_and_none_at_0(policy: Policy) -> None:
    in_lanes("models.mlp:MLP", "dropout", policy)


def test_a_number_of_initial_weights_makes_them_as_a_plain_one_does() -> None:
    in_lanes("number_models:spread", "number", MAPPED, low=0.1)


@pytest.mark.slow
def test_dropout_between_convolution_and_pooling_is_traced_as_a_plain_one_does() -> None:
    in_lanes("number_models:NnxConvolution", "number", MAPPED)


@pytest.mark.slow
@pytest.mark.usefixtures("any_promotion")
@pytest.mark.parametrize(
    ("use", "name", "policy"),
    [
        ("sweeping:forgetful", "rate", VMAPPED),
        ("user_models:NnxNet", "rate", VMAPPED),
        ("user_models:LinenNet", "rate", MAPPED),
        ("user_models:LinenNet", "rate", VMAPPED),
        ("user_models:EquinoxDropout", "rate", MAPPED),
        ("user_models:EquinoxDropout", "rate", VMAPPED),
        ("user_models:sequential", "rate", MAPPED),
        ("user_models:sequential", "rate", VMAPPED),
    ],
)
def test_lanes_of_one_program_train_as_models_that_are_made_with_the_plain_numbers(
    use: str, name: str, policy: Policy
) -> None:
    in_lanes(use, name, policy)


def test_under_bfloat16_a_number_has_the_precision_of_its_neighbours() -> None:
    swept = sweep("models.mlp:MLP", "dropout", hidden=[4]).model_copy(update={"precision": "bfloat16"})
    assert traced(swept, **{"model.dropout": 0.3}) == {"model.dropout"}


def test_a_sweep_over_dropout_compiles_one_program(tmp_path: Path) -> None:
    swept = config(
        model={"use": "sweeping:forgetful"},
        search_space=fixed(**{"model.rate": {"type": "float", "low": 0.0, "high": 0.5}}),
        enqueue=[{"model.rate": 0.0}, {"model.rate": 0.5}],
        budget={"trials": 8},
    )
    with counting_compilations() as compiled:
        results = finish(swept, tmp_path)
    assert results.trials["params_model.rate"].nunique() == 8
    assert results.trials["outcome"].tolist() == ["completed"] * 8
    assert len(compiled) == 1


def test_choices_of_fractions_are_traced_and_whole_numbers_are_not(tmp_path: Path) -> None:
    space = {"model.number": {"type": "categorical", "choices": [0.25, 0.5, 1.0]}}
    swept = config(model={"use": "number_models:scaled"}, search_space=fixed(**space))
    assert make_plan(swept, make_programs(swept, mapped(1))).most_programs == 1


def test_the_best_model_is_made_with_the_plain_number(tmp_path: Path) -> None:
    swept = sweep("models.mlp:MLP", "dropout", hidden=[4])
    results = finish(swept, tmp_path)
    best = results.best
    assert best is not None
    told = json.loads((tmp_path / "small" / "best" / "best.json").read_text(encoding="utf-8"))
    assert told["model"] == {"use": "models.mlp:MLP", "hidden": [4], "dropout": best.params["model.dropout"]}
    model, valid = sweeps.load(tmp_path / "small").best_model(), sweeping.blobs().valid
    assert -np.log(model(valid.x)[np.arange(len(valid.y)), valid.y]).mean() == pytest.approx(best.value, rel=1e-5)
    assert model.own.dropout.rate == best.params["model.dropout"]


def test_a_sweep_that_is_cut_off_goes_on_with_the_same_numbers(tmp_path: Path) -> None:
    swept = sweep("sweeping:forgetful", "rate")
    finish(swept, tmp_path / "whole")
    resumed = assert_goes_on_alike_from(swept, tmp_path / "whole", 5, tmp_path / "cut", leaving=("checkpoints", "best"))
    assert resumed
    assert Said(tmp_path / "whole" / "small", 1).last == "identical"


def test_a_default_of_a_number_that_is_not_searched_needs_no_trying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.training.traced_arguments._is_traced", lambda *_: pytest.fail("a number was tried"))
    swept = config(model={"use": "sweeping:forgetful", "rate": 0.25}, search_space=fixed())
    assert traced(swept) == set()


def test_a_number_is_tried_once_for_all_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    swept = sweep("number_models:scaled", high=0.625)
    programs, built = make_programs(swept, mapped(1)), []
    monkeypatch.setattr(
        "sweeps.training.traced_arguments.build_model", lambda *given: built.append(given) or build_model(*given)
    )
    for number in range(5):
        lane_trial(programs, swept, number, {"model.number": 0.1 * number})
    assert len(built) == 2


# ---- what users read -------------------------------------------------------------------------------------------------


def test_a_plan_says_that_it_is_traced_and_counts_one_program() -> None:
    swept = sweep("number_models:scaled")
    plan = make_plan(swept, make_programs(swept, mapped(1)))
    assert "model.number" in plan.in_lanes
    assert plan.static == {}
    assert plan.most_programs == 1
    assert plan.number_of_programs == "1, compiled once"


def test_a_plan_says_that_it_is_not_traced() -> None:
    swept = sweep("number_models:rounded")
    plan = make_plan(swept, make_programs(swept, mapped(1)))
    assert "model.number" not in plan.in_lanes
    assert plan.static == {"model.number": math.inf}
    assert plan.number_of_programs == "one for each value of model.number: choices would be fewer"


def test_an_end_of_a_range_that_is_a_case_of_its_own_does_not_make_all_values_static() -> None:
    swept = sweep("number_models:zero_is_another_thing")
    plan = make_plan(swept, make_programs(swept, mapped(1)))
    assert "model.number" in plan.in_lanes
    assert plan.static == {}


def test_layers_of_a_model_with_such_a_number_are_shown() -> None:
    swept = sweep("models.mlp:MLP", "dropout", hidden=[4])
    programs = make_programs(swept, mapped(1))
    model = programs.model(lane_trial(programs, swept, 0, {"model.dropout": 0.3}).program_key)
    assert [layer.name for layer in model.layers()] == ["hidden.0", "dropout", "out"]
