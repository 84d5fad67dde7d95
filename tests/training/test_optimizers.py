"""Every optimizer of optax, rebuilt inside the trace from a lane's values, against plain optax."""

from __future__ import annotations

import inspect
import types
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import reference
import sweeping
import tolerances
from sweeping import assert_same, fixed, lane_trial, mapped, regression, vmapped

from sweeps.config import SweepConfig
from sweeps.config.optax_names import ARGUMENTS
from sweeps.config.space import resolve
from sweeps.engine.devices import Policy
from sweeps.errors import ModelError
from sweeps.training import optimizers
from sweeps.training.microbatch import MicroBatches
from sweeps.training.program_key import sign

pytestmark = [
    pytest.mark.usefixtures("ordinary_promotion"),
    pytest.mark.filterwarnings("ignore:`optimistic_adam` is deprecated:DeprecationWarning"),
]

NOT_OFFERED = {"lbfgs"}
"""Its line search evaluates the loss inside the update, which a batch taken in parts does not offer."""
NOT_TRACED = {"adafactor": {"min_dim_size_to_factor"}, "noisy_sgd": {"key", "seed"}}
"""Numeric arguments that optax needs as Python numbers: they choose shapes, or make a key."""


def numeric(name: str) -> dict[str, float]:
    """Each numeric argument of an optimizer, a little off its default so that it is seen to arrive."""
    found = {}
    for argument, parameter in inspect.signature(getattr(optax, name)).parameters.items():
        if isinstance(parameter.default, int | float) and not isinstance(parameter.default, bool):
            found[argument] = parameter.default if parameter.default == 0 else 0.97 * parameter.default
    given = {"learning_rate": 0.01, "momentum": 0.7}
    return {**found, **{argument: value for argument, value in given.items() if argument in ARGUMENTS[name]}}


# ---- the table -------------------------------------------------------------------------------------------------------


def test_the_table_has_every_optimizer_of_the_installed_optax() -> None:
    from_aliases = {
        name
        for name, value in vars(optax).items()
        if isinstance(value, types.FunctionType) and value.__module__ == "optax._src.alias"
    }
    assert set(ARGUMENTS) == from_aliases - NOT_OFFERED


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_the_table_has_the_arguments_of_the_installed_optax(name: str) -> None:
    parameters = inspect.signature(getattr(optax, name)).parameters.values()
    assert ARGUMENTS[name] == {each.name: each.default is inspect.Parameter.empty for each in parameters}


# ---- every optimizer -------------------------------------------------------------------------------------------------


@pytest.mark.rotating
@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_every_numeric_argument_is_a_value_of_the_lane(name: str) -> None:
    arguments = numeric(name)
    untraced = NOT_TRACED.get(name, set()) & arguments.keys()
    assert optimizers.traceable(name, arguments) == arguments.keys() - untraced


@pytest.mark.rotating
@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_two_updates_with_traced_arguments_are_those_of_plain_optax(name: str) -> None:
    arguments = numeric(name)
    static = {argument: arguments.pop(argument) for argument in NOT_TRACED.get(name, set()) & arguments.keys()}
    drawn = {"key": KEY} if name == "noisy_sgd" else {}

    def traced(values: dict[str, jax.Array]) -> Any:
        return two_updates(optimizers.build(name, {**static, **values}, lambda: KEY))

    found = jax.jit(traced)({argument: np.float32(value) for argument, value in arguments.items()})
    plain = jax.jit(lambda: two_updates(getattr(optax, name)(**static, **arguments, **drawn)))()
    assert_same(found, plain, tolerances.GRADIENT)


def two_updates(optimizer: optax.GradientTransformation) -> Any:
    params = {"matrix": jnp.linspace(-1, 1, 6).reshape(2, 3), "vector": jnp.linspace(0.5, 2, 3)}
    update, state = optax.with_extra_args_support(optimizer).update, optimizer.init(params)
    for slope in (1.0, -0.3):
        gradient = jax.tree.map(lambda leaf, slope=slope: slope * leaf + 0.1, params)
        changes, state = update(gradient, state, params, value=jnp.float32(0.7))
        params = optax.apply_updates(params, changes)
    return params


SOME = {"adamw", "noisy_sgd", "polyak_sgd"}
IN_LANES = [
    pytest.param(name, marks=pytest.mark.always if name in SOME else pytest.mark.slow) for name in sorted(ARGUMENTS)
]


@pytest.mark.rotating
@pytest.mark.parametrize("name", IN_LANES)
def test_two_iterations_in_a_lane_are_those_of_plain_optax(name: str) -> None:
    arguments = numeric(name)
    rate = {"learning_rate": arguments.pop("learning_rate")} if "learning_rate" in arguments else {}
    space = {"epochs": 1, "batch_size": 27, **rate}
    config = regression(
        model={"use": "sweeping:curved"}, optimizer={"use": name, **arguments}, search_space=space, seed=3
    )
    programs = sweeping.make_programs(config, mapped(1))
    from_lanes = sweeping.train_in_lanes(programs, mapped(1), [lane_trial(programs, config, 4, {})])[4]

    if name == "noisy_sgd":
        arguments["key"] = jax.random.fold_in(LANE_KEY, 3)
    expected = plain_optax(getattr(optax, name)(**arguments, **rate))
    assert_same(from_lanes.params, expected, tolerances.trained("adam"))


KEY = jax.random.key(5)
LANE_KEY = jax.random.fold_in(jax.random.key(3), 4)


def plain_optax(optimizer: optax.GradientTransformation) -> Any:
    """The same two iterations, in a loop of one's own."""
    init, apply = sweeping.curved((4,), 1)
    train, params = sweeping.plane().train, init(jax.random.fold_in(LANE_KEY, 0))
    update, state = jax.jit(optax.with_extra_args_support(optimizer).update), optimizer.init(params)

    @jax.jit
    def value_and_gradient(params: Any, x: jax.Array, y: jax.Array) -> Any:
        return jax.value_and_grad(lambda params: jnp.square(apply(params, x)[:, 0] - y).mean())(params)

    for rows in reference.batches(53, 27, seed=3, number=4, epoch=0):
        value, gradient = value_and_gradient(params, jnp.asarray(train.x[rows]), jnp.asarray(train.y[rows]))
        changes, state = update(gradient, state, params, value=value)
        params = optax.apply_updates(params, changes)
    return jax.tree.map(np.asarray, params)


# ---- traced or static ------------------------------------------------------------------------------------------------


def signed(optimizer: dict[str, Any], **space: Any) -> Any:
    config = regression(optimizer=optimizer, search_space=fixed(**space))
    return sign(resolve(config, {}), (), MicroBatches((8,), splits=False))


def test_a_switch_selects_the_program_and_a_number_does_not() -> None:
    plain, floats = signed({"use": "sgd", "momentum": 0.5})
    assert signed({"use": "sgd", "momentum": 0.9})[0] == plain
    assert signed({"use": "sgd", "momentum": 0.5, "nesterov": True})[0] != plain
    assert dict(zip(plain.float_names, floats, strict=True)) == {"learning_rate": 0.1, "momentum": 0.5}


def test_an_argument_that_decides_something_in_python_is_static() -> None:
    assert optimizers.traceable("test_optimizers:branching", {"learning_rate": 0.1, "power": 2.0}) == {"learning_rate"}


def branching(learning_rate: Any, power: float = 1.0) -> optax.GradientTransformation:
    return optax.sgd(learning_rate) if power > 1 else optax.adam(learning_rate)


def whole_default(learning_rate: Any, momentum: Any = 0) -> optax.GradientTransformation:
    return optax.sgd(learning_rate, momentum)


def test_a_fraction_stays_one_where_an_arguments_default_is_a_whole_number() -> None:
    def scale(momentum: jax.Array) -> jax.Array:
        made = optimizers.build(
            "test_optimizers:whole_default",
            {"learning_rate": jnp.float32(1), "momentum": momentum},
            lambda: jax.random.key(0),
        )
        state = made.init(jnp.ones(()))
        for _ in range(2):
            change, state = made.update(jnp.ones(()), state)
        return change

    np.testing.assert_allclose(jax.jit(scale)(jnp.float32(0.5)), -1.5, **tolerances.FORMULA)


# ---- factories that compare their numbers ----------------------------------------------------------------------------


def warmed_up(learning_rate: Any) -> optax.GradientTransformation:
    """optax's schedule asks whether its peak is 0, which a tracer cannot answer."""
    return optax.adam(optax.warmup_cosine_decay_schedule(0.0, learning_rate, 5, 20, 1e-4))


def with_momentum(learning_rate: Any, decay: Any) -> optax.GradientTransformation:
    return optax.sgd(learning_rate, momentum=decay if decay else None)


def zero_is_one(learning_rate: Any) -> optax.GradientTransformation:
    return optax.sgd(1.0 if learning_rate == 0 else learning_rate)


def in_two_halves(learning_rate: Any) -> optax.GradientTransformation:
    return optax.sgd(learning_rate) if learning_rate > 0.05 else optax.adam(learning_rate)


def wanting_a_float(learning_rate: Any) -> optax.GradientTransformation:
    return optax.sgd(float(learning_rate))


def unless_a_float(learning_rate: Any) -> optax.GradientTransformation:
    """A user's own guard, which takes a tracer for something else."""
    return optax.sgd(learning_rate if isinstance(learning_rate, float) else 0.5)


def searching(use: str, low: float = 0.001, **space: Any) -> SweepConfig:
    rate = {"type": "float", "low": low, "high": 0.1}
    return sweeping.config(
        optimizer={"use": f"test_optimizers:{use}"},
        search_space=sweeping.fixed(learning_rate=rate, **space),
        budget={"trials": 6},
    )


@pytest.mark.parametrize("policy", [mapped(2), vmapped(2)], ids=["mapped", "vmapped"])
@pytest.mark.parametrize(
    ("use", "trials"),
    [
        ("warmed_up", [{"learning_rate": 0.01}, {"learning_rate": 0.08}]),
        ("with_momentum", [{"learning_rate": 0.01, "optimizer.decay": rate} for rate in (0.0, 0.7)]),
    ],
)
def test_a_factory_that_asks_for_a_single_value_keeps_its_lanes_and_makes_the_plain_factory_s_updates(
    use: str, trials: list[dict[str, float]], policy: Policy
) -> None:
    decay = {"optimizer.decay": {"type": "float", "low": 0.0, "high": 0.9}} if use == "with_momentum" else {}
    swept = searching(use, **decay)
    programs = sweeping.make_programs(swept, policy)
    in_lanes = [lane_trial(programs, swept, number, params) for number, params in enumerate(trials)]
    assert in_lanes[0].program_key == in_lanes[1].program_key
    trained = sweeping.train_in_lanes(programs, policy, in_lanes)
    for number, params in enumerate(trials):
        expected = sweeping.refer(swept, number, params)  # which makes the optimizer of plain numbers
        assert_same(trained[number].params, expected.params, tolerances.trained("adam"))
        assert_same(trained[number].scores, expected.scores, tolerances.trained("adam"))


def test_a_sweep_over_the_peak_of_a_schedule_of_optax_compiles_one_program(tmp_path: Path) -> None:
    with sweeping.counting_compilations() as compiled:
        results = sweeping.finish(searching("warmed_up"), tmp_path)
    assert results.trials["params_learning_rate"].nunique() == 6
    assert results.trials["outcome"].tolist() == ["completed"] * 6
    assert len(compiled) == 1


@pytest.mark.parametrize(
    ("use", "low", "rate", "is_in_a_lane"),
    [
        ("warmed_up", 0.001, 0.01, True),
        ("zero_is_one", 0.0, 0.01, True),
        ("zero_is_one", 0.0, 0.0, False),
        ("in_two_halves", 0.001, 0.01, False),
        ("in_two_halves", 0.06, 0.07, True),
        ("wanting_a_float", 0.001, 0.01, False),
        ("unless_a_float", 0.001, 0.01, False),
    ],
)
def test_a_number_that_decides_between_searched_values_selects_programs(
    use: str, low: float, rate: float, is_in_a_lane: bool
) -> None:
    swept = searching(use, low)
    programs = sweeping.make_programs(swept, mapped(1))
    key = lane_trial(programs, swept, 0, {"learning_rate": rate}).program_key
    assert ("learning_rate" in key.float_names) is is_in_a_lane


def test_a_schedule_cannot_move_a_rate_that_the_optimizer_compares() -> None:
    swept = sweeping.config(
        optimizer={"use": "test_optimizers:warmed_up"},
        schedule={"use": "cosine"},
        search_space=sweeping.fixed(learning_rate={"type": "float", "low": 0.001, "high": 0.1}),
    )
    with pytest.raises(ModelError, match="test_optimizers:warmed_up compares its own, or makes a Python number of it"):
        lane_trial(sweeping.make_programs(swept, mapped(1)), swept, 0, {"learning_rate": 0.01})


def test_a_rate_outside_of_the_searched_values_has_a_program_of_its_own() -> None:
    swept = searching("warmed_up")
    programs = sweeping.make_programs(swept, mapped(1))
    assert "learning_rate" not in lane_trial(programs, swept, 0, {"learning_rate": 0.5}).program_key.float_names


# ---- optimizers that a sweep cannot drive ----------------------------------------------------------------------------


def looking_ahead(learning_rate: Any) -> Any:
    return optax.lookahead(optax.sgd(learning_rate), 5, 0.5)


def sharpness_aware(learning_rate: Any, opaque: bool) -> Any:
    adversary = optax.chain(optax.contrib.normalize(), optax.sgd(0.05))
    return optax.contrib.sam(optax.sgd(learning_rate), adversary, opaque_mode=opaque)


def none_at_all(learning_rate: Any) -> Any:
    return None


@pytest.mark.parametrize(
    ("use", "arguments", "why"),
    [
        ("test_optimizers:looking_ahead", {}, r"it trains two sets of parameters \(`optax.LookaheadParams"),
        ("lbfgs", {}, r"so none that evaluates the loss itself can be used \(TypeError: .*value_fn"),
        ("sophia", {}, r"so none that evaluates the loss itself can be used \(ValueError: obj_fn must be provided"),
        (
            "test_optimizers:sharpness_aware",
            {"opaque": True},
            r"evaluates the loss itself can .*grad_fn",
        ),
        ("schedule_free_sgd", {}, "its model is to be evaluated at `optax.contrib.schedule_free"),
        ("test_optimizers:none_at_all", {}, "it makes no optimizer of optax, but NoneType"),
    ],
)
def test_an_optimizer_that_cannot_be_driven_is_refused_in_one_line_that_says_why(
    use: str, arguments: dict[str, Any], why: str
) -> None:
    named = rf"optimizer {use}\(learning_rate=0.1.*\) cannot be used: .*{why}"
    with pytest.raises(ModelError, match=named) as refused:
        optimizers.traceable(use, {"learning_rate": 0.1, **arguments})
    assert "\n" not in str(refused.value)


def test_an_optimizer_whose_update_takes_no_loss_makes_its_own_updates() -> None:
    ours = optimizers.build(
        "test_optimizers:sharpness_aware", {"learning_rate": 0.1, "opaque": False}, lambda: jax.random.key(0)
    )
    theirs = sharpness_aware(0.1, opaque=False)
    params = {"weights": jnp.array([1.0, -2.0, 3.0])}
    left, right = (params, ours.init(params)), (params, theirs.init(params))
    for _ in range(4):
        changes, state = ours.update(left[0], left[1], left[0], value=jnp.float32(1.0))
        left = optax.apply_updates(left[0], changes), state
        changes, state = theirs.update(right[0], right[1], right[0])
        right = optax.apply_updates(right[0], changes), state
    assert_same(left[0], right[0], tolerances.EXACT)


# ---- mistakes --------------------------------------------------------------------------------------------------------


def test_an_unknown_optimizer_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match="'adamm'"):
        optimizers.constructor("adamm")


@pytest.mark.parametrize(
    ("use", "arguments", "reason"),
    [
        ("adam", {}, "learning_rate"),
        ("adam", {"learning_rate": 0.1, "b7": 0.5}, "b7"),
        ("adam", {"learning_rate": "fast"}, "adam"),
        ("test_optimizers:broken", {"learning_rate": 0.1}, "BROKEN"),
        ("chain", {"learning_rate": 0.1}, "chain"),
    ],
)
def test_an_optimizer_that_cannot_be_built_is_refused_with_the_reason(
    use: str, arguments: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ModelError, match=reason):
        optimizers.traceable(use, arguments)


def broken(learning_rate: Any) -> optax.GradientTransformation:
    raise RuntimeError("BROKEN")


def test_an_optimizer_of_optax_contrib_is_found() -> None:
    assert optimizers.constructor("ademamix") is optax.contrib.ademamix
