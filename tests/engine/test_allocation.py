"""An allocation that fails ends the trial that asked for it. It never hangs, whichever program made it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from rich.console import Console
from sweeping import finish, follow, small

import sweeps
from sweeps.command import predict
from sweeps.engine import device_lanes
from sweeps.engine.program import Program
from sweeps.errors import ModelError
from sweeps.results.predictor import BestModel
from sweeps.training.pytrees import on_host, to_host

TESTS = Path(__file__).parents[1]
FAR_TOO_MANY = 300_000  # rows and columns: 360 GB in float32

Pair = tuple[Callable[..., Any], Callable[..., Any]]


def too_large(x: jax.Array) -> jax.Array:
    """Zero, by way of a buffer that no machine has: a sort cannot be fused away."""
    seed = jnp.clip(x.ravel()[0].astype(jnp.int32), 0, 1)
    drawn = jax.random.normal(jax.random.key(seed), (FAR_TOO_MANY, FAR_TOO_MANY))
    return jnp.float32(0) * jnp.sort(drawn, axis=0)[0, 0]


def linear(input_shape: tuple[int, ...], outputs: int) -> Pair:
    """A linear model with parameters that no machine has room for."""

    def init(key: jax.Array) -> Any:
        unused = jax.random.normal(key, (FAR_TOO_MANY, FAR_TOO_MANY))
        return {"kernel": jnp.zeros((*input_shape, outputs)), "unused": unused}

    return init, lambda params, x: x @ params["kernel"]


def descent(learning_rate: Any) -> optax.GradientTransformation:
    """Gradient descent that asks for the buffer in each update."""

    def update(gradient: Any, state: Any, params: Any = None) -> Any:
        return jax.tree.map(lambda leaf: -learning_rate * leaf + too_large(leaf), gradient), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def metric(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Asks for the buffer when a split is evaluated."""
    return too_large(outputs)


ASKING = {
    "init": {"model": {"use": "test_allocation:linear"}},
    "update": {"optimizer": {"use": "test_allocation:descent"}},
    "evaluation": {"metrics": ["test_allocation:metric"]},
}
PROGRAM = """\
import json, sys
import sweeping, test_allocation
from sweeping import finish, records, small
from sweeps.validation import lane_memory
from pathlib import Path

lane_memory.refuse_large_lanes = lambda *_: None  # which keeps such a sweep from getting so far
space, found = {"epochs": 1, "batch_size": 8, "learning_rate": 0.1}, {}
for where, asking in test_allocation.ASKING.items():
    results = Path(sys.argv[1]) / where
    finish(small(**asking, search_space=space, budget={"trials": 1}), results)
    found[where] = [record["outcome"] for record in records(results, "outcome")]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Of a trial for each place that asks, all in a process of their own."""
    environment = {"PYTHONPATH": f"{TESTS}:{Path(__file__).parent}:{TESTS.parent}", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path_factory.mktemp("asking"))]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, list[str]] = json.loads(ended.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("where", ASKING)
def test_a_trial_whose_allocation_fails_is_out_of_memory(where: str, outcomes: dict[str, list[str]]) -> None:
    assert outcomes[where] == ["out_of_memory"]


def test_what_copies_arrays_to_the_host_raises_instead_of_waiting() -> None:
    for copy in (on_host, lambda array: to_host({"loss": array})):
        with pytest.raises(jax.errors.JaxRuntimeError, match=r"RESOURCE_EXHAUSTED|Out of memory"):
            copy(failing())


def failing() -> Any:
    """An array that a call has returned which had no memory for another of its results."""
    return jax.jit(lambda key: (jnp.zeros(2), jax.random.normal(key, (FAR_TOO_MANY, FAR_TOO_MANY))))(jax.random.key(0))[
        0
    ]


def test_a_copy_for_a_checkpoint_that_finds_no_memory_costs_the_checkpoint_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept = small(budget={"trials": 2}, checkpoints={"seconds": 1e-9})
    expected = finish(swept, tmp_path / "whole").trials["value"].tolist()
    monkeypatch.setattr(device_lanes, "held", lambda *_: {"0.progress": on_host(failing())})
    warnings = [warning for look in follow(swept, tmp_path) for warning in look.warnings]
    assert warnings
    assert all("no memory to copy trial" in warning for warning in warnings)
    assert sweeps.load(tmp_path / "small").trials["value"].tolist() == expected


def test_a_prediction_and_a_test_that_find_no_memory_are_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Program, "test", lambda *_: on_host(failing()))
        results = finish(small(budget={"trials": 1}), tmp_path)
    assert "there is no memory to evaluate the best trial on the test split" in caplog.text
    assert results.best is not None
    assert (results.best.test, results.trials["outcome"].tolist()) == ({}, ["completed"])
    np.save(tmp_path / "rows.npy", np.zeros((2, 4), np.float32))
    monkeypatch.setattr(BestModel, "_compiled", lambda *_: failing())
    with pytest.raises(ModelError, match="there is no memory to predict 512 rows at once with sweeping:flat"):
        predict.command(Console(), tmp_path / "small", tmp_path / "rows.npy", tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()
