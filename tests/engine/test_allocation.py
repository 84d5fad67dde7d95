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
import optax
import pytest

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
from pathlib import Path

asking, results = test_allocation.ASKING[sys.argv[1]], Path(sys.argv[2])
space = {"epochs": 1, "batch_size": 8, "learning_rate": 0.1}
finish(small(**asking, search_space=space, budget={"trials": 1}), results)
print(json.dumps([record["outcome"] for record in records(results, "outcome")]))
"""


@pytest.mark.parametrize("where", ASKING)
def test_a_trial_whose_allocation_fails_is_out_of_memory(where: str, tmp_path: Path) -> None:
    environment = {"PYTHONPATH": f"{TESTS}:{Path(__file__).parent}:{TESTS.parent}", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", PROGRAM, where, str(tmp_path)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout.splitlines()[-1]) == ["out_of_memory"]


def test_what_copies_arrays_to_the_host_raises_instead_of_waiting() -> None:
    shape = (FAR_TOO_MANY, FAR_TOO_MANY)
    failing, _ = jax.jit(lambda key: (jnp.zeros(2), jax.random.normal(key, shape)))(jax.random.key(0))
    for copy in (on_host, lambda array: to_host({"loss": array})):
        with pytest.raises(jax.errors.JaxRuntimeError, match=r"RESOURCE_EXHAUSTED|Out of memory"):
            copy(failing)
