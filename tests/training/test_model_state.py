"""What models keep from batch to batch: statistics of each lane's own, of whole batches, in training and on disk."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sweeping
import tolerances
from flax import nnx
from sweeping import Trained, assert_same, config, lane_trial, mapped, refer, shared_programs, train_in_lanes, vmapped

from sweeps.config import SweepConfig, read_draft, to_yaml
from sweeps.datasets.loading import Datasets
from sweeps.engine.devices import Policy
from sweeps.engine.memory import LaneBytes
from sweeps.errors import ConfigError, ModelError
from sweeps.runner import start
from sweeps.stop_request import StopRequest
from sweeps.training.microbatch import MicroBatches, whole_batches
from sweeps.training.models import build_model
from sweeps.validation.program_plan import make_plan
from sweeps.validation.validate import examine

pytestmark = pytest.mark.usefixtures("ordinary_promotion")
SIZES = (1, 8, 20, 53)
"""Of 53 rows: last batches of none, 5 and 13, and one batch that is all of them."""


# ---- what users write ------------------------------------------------------------------------------------------------


class Normed(nnx.Module):
    def __init__(self, input_shape: tuple[int, ...], outputs: int, rate: float = 0.0, *, rngs: nnx.Rngs) -> None:
        self.norm = nnx.BatchNorm(input_shape[0], momentum=0.9, rngs=rngs)
        self.dropout = nnx.Dropout(rate, rngs=rngs)
        self.dense = nnx.Linear(input_shape[0], outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.dense(self.dropout(self.norm(x)))


def centred(input_shape: tuple[int, ...], outputs: int) -> Any:
    """Takes each batch's mean off, and in evaluation the mean of all means so far."""

    def init(key: jax.Array) -> Any:
        return jax.random.normal(key, (*input_shape, outputs)), {
            "mean": jnp.zeros(input_shape),
            "batches": jnp.int32(0),
        }

    def apply(params: Any, state: Any, x: jax.Array, key: jax.Array, training: bool) -> Any:
        if not training:
            return (x - state["mean"][None]) @ params, state
        count, mean = state["batches"] + 1, x.mean(axis=0)
        mean_of_all = state["mean"] + (mean - state["mean"]) / count.astype(jnp.float32)
        return (x - mean[None]) @ params, {"mean": mean_of_all, "batches": count}

    return init, apply


def contrasted(input_shape: tuple[int, ...], outputs: int) -> Any:
    """Keeps nothing, yet a row's outputs depend on the others of its batch."""
    return (
        lambda key: jax.random.normal(key, (*input_shape, outputs)),
        lambda params, x: (x - x.mean(axis=0, keepdims=True)) @ params,
    )


def growing(input_shape: tuple[int, ...], outputs: int) -> Any:
    def apply(params: Any, state: Any, x: jax.Array, key: jax.Array, training: bool) -> Any:
        return x @ params, {"seen": jnp.concatenate([state["seen"], x.mean(axis=1)])}

    return lambda key: (jnp.zeros((*input_shape, outputs)), {"seen": jnp.zeros(0)}), apply


def sweep(use: str = "Normed", **changes: Any) -> SweepConfig:
    space = {
        "epochs": {"type": "int", "low": 1, "high": 3},
        "batch_size": {"type": "categorical", "choices": list(SIZES)},
        "learning_rate": {"type": "float", "low": 1e-3, "high": 1.0},
    }
    return config(**{"model": {"use": f"test_model_state:{use}"}, "search_space": space, **changes})


PARAMS = {
    number: {"epochs": 1 + number % 2, "batch_size": size, "learning_rate": 0.05 + 0.01 * number}
    for number, size in enumerate(np.repeat(SIZES, 2).tolist())
}
"""Two trials of every batch size."""


@functools.cache
def in_the_plain_loop(use: str) -> dict[int, Trained]:
    """What they come to there."""
    return {number: refer(sweep(use), number, params) for number, params in PARAMS.items()}


# ---- exactness -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [mapped(2), vmapped(2)], ids=["mapped", "vmapped"])
@pytest.mark.parametrize("use", ["Normed", "centred", "contrasted"])
def test_a_trial_of_whole_batches_is_the_trial_in_the_plain_loop(use: str, policy: Policy) -> None:
    swept = sweep(use)
    programs = shared_programs(swept, policy)
    trials = [lane_trial(programs, swept, number, params) for number, params in PARAMS.items()]
    from_lanes = train_in_lanes(programs, policy, trials)
    for number, expected in in_the_plain_loop(use).items():
        assert_same(from_lanes[number], expected, tolerances.TRAINED)


def test_running_statistics_are_those_of_a_lane_s_own_batches() -> None:
    params = {"epochs": 1, "batch_size": 20, "learning_rate": 0.0}
    swept = sweep(search_space={**params, "learning_rate": 1e-30})
    programs = shared_programs(swept, vmapped(2))
    from_lanes = train_in_lanes(programs, vmapped(2), [lane_trial(programs, swept, number, {}) for number in (0, 1)])
    x = sweeping.blobs().train.x.astype(np.float64)
    for number in (0, 1):
        mean, variance = np.zeros(5), np.ones(5)
        for rows in sweeping.reference.batches(53, 20, seed=0, number=number, epoch=0):
            mean = 0.9 * mean + 0.1 * x[rows].mean(axis=0)
            variance = 0.9 * variance + 0.1 * x[rows].var(axis=0)
        kept = from_lanes[number].params["state"]["norm"]
        np.testing.assert_allclose(kept["mean"], mean, **tolerances.GRADIENT)
        np.testing.assert_allclose(kept["var"], variance, **tolerances.GRADIENT)
    assert not np.allclose(from_lanes[0].params["state"]["norm"]["mean"], from_lanes[1].params["state"]["norm"]["mean"])


def test_a_call_that_ends_before_the_short_batch_changes_nothing() -> None:
    swept = sweep(search_space={"epochs": 1, "batch_size": 20, "learning_rate": 0.1})
    at_once, in_calls = sweeping.single(swept).whole_epoch(), sweeping.single(swept)
    for _ in range(3):
        in_calls, _ = in_calls.call(1)
    assert_same(sweeping.host(at_once.state), sweeping.host(in_calls.state), tolerances.EXACT)


def test_bfloat16_leaves_what_is_kept_in_float32() -> None:
    swept = sweep(search_space={"epochs": 1, "batch_size": 20, "learning_rate": 0.1}, precision="bfloat16")
    ended = sweeping.single(swept).whole_epoch()
    assert {leaf.dtype for leaf in jax.tree.leaves(ended.state.variables)} == {np.dtype("float32")}
    full = sweeping.single(sweep(search_space={"epochs": 1, "batch_size": 20, "learning_rate": 0.1})).whole_epoch()
    assert_same(ended.state.model_state, full.state.model_state, {"rtol": 0.02, "atol": 0.02})


# ---- programs --------------------------------------------------------------------------------------------------------


def test_a_program_of_whole_batches_has_the_batch_size_and_what_is_left_of_the_rows() -> None:
    swept = sweep()
    programs = shared_programs(swept, mapped(1))
    params = {"epochs": 1, "learning_rate": 0.1}
    program_micro_batches = [
        lane_trial(programs, swept, 0, {**params, "batch_size": size}).program_key.micro_batches for size in SIZES
    ]
    assert program_micro_batches == [
        MicroBatches((size,), splits=False, tail=tail) for size, tail in zip(SIZES, (0, 5, 13, 0), strict=True)
    ]


def test_an_epoch_of_whole_batches_is_as_many_iterations_as_any() -> None:
    assert whole_batches(100, 1050) == ((100,), False, 50)
    assert whole_batches(50, 1050).tail == 0


def test_a_state_is_counted_among_the_bytes_of_a_lane() -> None:
    swept = sweep()
    programs = shared_programs(swept, mapped(1))
    program_key = lane_trial(programs, swept, 0, {"epochs": 1, "batch_size": 8, "learning_rate": 0.1}).program_key
    assert programs.lane_bytes(program_key) == LaneBytes(4 * (2 * 5 + 5 * 3 + 3), 0, 4 * 2 * 5)


def test_a_plan_counts_a_program_for_every_batch_size() -> None:
    made = make_plan(sweep(), shared_programs(sweep(), mapped(1)))
    assert (made.static, made.most_programs, made.micro_batches) == ({"batch_size": 4}, 4, ())
    assert [(taken.micro_batch, taken.parts, taken.padding) for taken in made.batches] == [
        (size, 1, 0) for size in SIZES
    ]


def test_a_micro_batch_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(to_yaml(sweep(micro_batch=8)), encoding="utf-8")
    draft = read_draft(tmp_path / "small.yaml")
    examine(draft, Datasets())
    with pytest.raises(ConfigError, match=r"micro_batch: test_model_state:Normed .* takes batches whole.*Remove it"):
        draft.config()


def test_a_state_that_changes_its_shape_is_refused_with_both() -> None:
    with pytest.raises(ModelError, match=r"keeps seen as float32\[0\] before a batch, and as float32\[1009\] after it"):
        build_model("test_model_state:growing", {}, (5,), 3)


# ---- whole sweeps ----------------------------------------------------------------------------------------------------


def test_the_best_trial_is_kept_and_tested_with_its_state(tmp_path: Path) -> None:
    swept = sweep(budget={"trials": 3}, sampler={"use": "random"})
    results = sweeping.finish(swept, tmp_path)
    assert results.best is not None
    (tree,) = {number: refer(swept, number, results.best.params).params for number in [results.best.number]}.values()
    with np.load(tmp_path / "small" / "best" / "parameters.npz", allow_pickle=False) as kept:
        assert set(kept) == {
            *("params.dense.bias", "params.dense.kernel", "params.norm.bias", "params.norm.scale"),
            *("state.norm.mean", "state.norm.var"),
        }
        np.testing.assert_allclose(kept["state.norm.mean"], tree["state"]["norm"]["mean"], **tolerances.TRAINED)
    x, y = sweeping.blobs().test
    norm, params = tree["state"]["norm"], tree["params"]
    hidden = (x - norm["mean"]) / np.sqrt(norm["var"] + 1e-5) * params["norm"]["scale"] + params["norm"]["bias"]
    found = (hidden @ params["dense"]["kernel"] + params["dense"]["bias"]).argmax(axis=1)
    assert results.best.test["test_accuracy"] == pytest.approx((found == y).mean())


def test_a_sweep_that_is_stopped_again_and_again_comes_to_the_same_statistics(tmp_path: Path) -> None:
    swept = sweep("centred", budget={"trials": 4}, lanes=2)
    whole = sweeping.finish(swept, tmp_path / "whole")
    for _ in range(3):
        request = StopRequest()
        for looks, _ in enumerate(start.follow(swept, tmp_path / "pieces", Datasets(), request=request), start=1):
            if looks == 2:
                request.make("a test")
    continued = sweeping.finish(swept, tmp_path / "pieces")
    assert sweeping.timeless(continued.trials, "attempt").equals(sweeping.timeless(whole.trials, "attempt"))
    assert len(sweeping.records(tmp_path / "pieces", "run")) == 4
    left, right = (tmp_path / name / "small" / "best" / "parameters.npz" for name in ("whole", "pieces"))
    with np.load(left) as a, np.load(right) as b:
        assert_same(dict(a), dict(b), tolerances.EXACT)
