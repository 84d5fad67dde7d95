"""Schedules of progress against optax's schedules of steps, and in lanes of one program."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import reference
import sweeping
import tolerances
from sweeping import fixed, lane_trial, mapped, vmapped

from sweeps.config import space
from sweeps.datasets.loading import Datasets
from sweeps.errors import ModelError
from sweeps.training import schedules
from sweeps.training.losses import LOSSES
from sweeps.training.models import build_model

STEPS = 40


def factors(use: str, **arguments: float) -> np.ndarray:
    """What the learning rate is multiplied by in each of 40 iterations; progress and arguments are tracers."""
    progress = jnp.arange(STEPS, dtype=jnp.float32) / STEPS
    schedule = jax.jit(lambda given: jax.vmap(schedules.build_schedule(use, given))(progress))
    return np.asarray(schedule({name: np.float32(value) for name, value in arguments.items()}))


def optax_factors(schedule: optax.Schedule) -> np.ndarray:
    return np.array([float(schedule(jnp.int32(step))) for step in range(STEPS)])


OF_OPTAX: dict[str, tuple[str, dict[str, float], Any]] = {
    "linear": ("linear", {"final": 0.1}, lambda: optax.linear_schedule(1.0, 0.1, STEPS)),
    "cosine": ("cosine", {"final": 0.01}, lambda: optax.cosine_decay_schedule(1.0, STEPS, 0.01)),
    "cosine to zero": ("cosine", {}, lambda: optax.cosine_decay_schedule(1.0, STEPS)),
    "exponential": ("exponential", {"final": 0.05}, lambda: optax.exponential_decay(1.0, STEPS, 0.05)),
    "warm-up": ("constant", {"warmup": 0.25}, lambda: optax.warmup_constant_schedule(0.0, 1.0, 10)),
    "warm-up, cosine": (
        "cosine",
        {"warmup": 0.25, "start": 0.2, "final": 0.01},
        lambda: optax.warmup_cosine_decay_schedule(0.2, 1.0, 10, STEPS, 0.01),
    ),
    "warm-up, exponential": (
        "exponential",
        {"warmup": 0.25, "final": 0.05},
        lambda: optax.warmup_exponential_decay_schedule(0.0, 1.0, 10, 30, 0.05),
    ),
    "one cycle": (
        "one_cycle",
        {"warmup": 0.25, "start": 0.1, "final": 0.001},
        lambda: optax.cosine_onecycle_schedule(STEPS, 1.0, 0.25, 10, 100),
    ),
    "one cycle by default": ("one_cycle", {}, lambda: optax.cosine_onecycle_schedule(STEPS, 1.0)),
}


@pytest.mark.usefixtures("ordinary_promotion")
@pytest.mark.parametrize("name", OF_OPTAX)
def test_a_schedule_of_progress_is_optaxs_schedule_of_steps(name: str) -> None:
    use, arguments, make = OF_OPTAX[name]
    np.testing.assert_allclose(factors(use, **arguments), optax_factors(make()), rtol=2e-5, atol=2e-6)


def test_constant_is_one() -> None:
    np.testing.assert_array_equal(factors("constant"), np.ones(STEPS))


@pytest.mark.parametrize("use", sorted(schedules.SCHEDULES))
@pytest.mark.parametrize("warmup", [0.0, 0.5, 1.0])
def test_no_schedule_leaves_its_bounds(use: str, warmup: float) -> None:
    found = factors(use, warmup=warmup, start=0.25)
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (found <= 1 + 1e-6).all()


@pytest.mark.parametrize("use", sorted(schedules.SCHEDULES))
def test_every_number_of_a_schedule_is_a_value_of_a_lane(use: str) -> None:
    arguments = {"warmup": 0.1, "start": 0.1, **({} if use == "constant" else {"final": 0.5})}
    assert schedules.traceable_arguments(use, arguments) == arguments.keys()


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(ModelError, match="nowhere"):
        schedules.build_schedule("nowhere:schedule", {})


# ---- in lanes --------------------------------------------------------------------------------------------------------

SPACE = {
    "batch_size": {"type": "categorical", "choices": [8, 20, 53]},
    "epochs": {"type": "int", "low": 1, "high": 4},
    "learning_rate": {"type": "float", "low": 0.01, "high": 0.5},
    "schedule.warmup": {"type": "float", "low": 0.0, "high": 0.5},
}
TRIALS: list[dict[str, Any]] = [
    {"batch_size": 8, "epochs": 2, "learning_rate": 0.3, "schedule.warmup": 0.0},
    {"batch_size": 20, "epochs": 3, "learning_rate": 0.2, "schedule.warmup": 0.3},
    {"batch_size": 53, "epochs": 4, "learning_rate": 0.5, "schedule.warmup": 0.1},
]


def by_optax(config: Any, number: int, params: dict[str, Any]) -> Any:
    """The trial in the plain loop, with optax's own schedule over its number of iterations."""
    trial = space.resolve(config, params)
    dataset = Datasets().get(trial.dataset.use, trial.dataset.arguments)
    total = trial.epochs * -(-dataset.train.rows // trial.batch_size)
    rising = trial.schedule.arguments["warmup"] * total

    def rate(step: Any) -> Any:
        rest = (step - rising) / (total - rising)
        down = 0.1 + 0.9 * (1 + jnp.cos(jnp.pi * rest)) / 2
        return params["learning_rate"] * jnp.where(step < rising, step / max(rising, 1e-9), down)

    return reference.train(
        dataset,
        build_model(trial.model.use, {}, dataset.input_shape, 3),
        LOSSES["softmax_cross_entropy"],
        (),
        optax.sgd(rate),
        seed=0,
        number=number,
        batch_size=trial.batch_size,
        epochs=trial.epochs,
    )


@pytest.mark.usefixtures("ordinary_promotion")
@pytest.mark.usefixtures("compiling_anew")
@pytest.mark.parametrize("lanes", [None, 3])
def test_lanes_of_one_program_follow_their_own_schedules(lanes: int | None) -> None:
    config = sweeping.config(schedule={"use": "cosine", "final": 0.1}, search_space=SPACE, metrics=[], micro_batch=8)
    policy = mapped(2) if lanes is None else vmapped(lanes)
    programs = sweeping.make_programs(config, policy)
    lane_trials = [lane_trial(programs, config, number, params) for number, params in enumerate(TRIALS)]
    from_lanes = sweeping.train_in_lanes(programs, policy, lane_trials)
    assert programs.compilations == 1
    for number, params in enumerate(TRIALS):
        trained, epochs = by_optax(config, number, params)
        scores = np.array([(epoch.train_loss, epoch.valid_loss) for epoch in epochs], np.float32)
        sweeping.assert_same(from_lanes[number].scores, scores, tolerances.TRAINED)
        sweeping.assert_same(from_lanes[number].params, jax.tree.map(np.asarray, trained), tolerances.TRAINED)


def test_a_schedule_without_a_learning_rate_is_refused() -> None:
    config = sweeping.config(
        optimizer={"use": "adadelta"}, schedule="cosine", search_space={"epochs": 1, "batch_size": 8}, metrics=[]
    )
    with pytest.raises(ModelError, match="a schedule needs a learning rate"):
        lane_trial(sweeping.make_programs(config, mapped(1)), config, 0, {})


def halved(progress: Any, floor: Any = 0.0) -> Any:
    """A schedule of a user's own."""
    return jnp.maximum(jnp.where(progress < 0.5, 1.0, 0.5), floor)


def test_a_schedule_of_the_users_own_is_called_with_progress() -> None:
    config = sweeping.config(
        schedule={"use": "test_schedules:halved", "floor": 0.25}, search_space=fixed(epochs=2), metrics=[]
    )
    programs = sweeping.make_programs(config, mapped(1))
    in_lane = lane_trial(programs, config, 0, {})
    assert dict(zip(in_lane.program_key.float_names, in_lane.floats.tolist(), strict=True))["schedule.floor"] == 0.25
    from_lanes = sweeping.train_in_lanes(programs, mapped(1), [in_lane])[0]
    full = sweeping.refer(sweeping.config(search_space=fixed(epochs=2), metrics=[]), 0, {})
    sweeping.assert_same(from_lanes.scores[0], full.scores[0], tolerances.TRAINED)
    assert not np.allclose(from_lanes.scores[1], full.scores[1], **tolerances.TRAINED)
