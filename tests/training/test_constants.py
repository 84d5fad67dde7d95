"""Arrays that a user's functions read from files are in the fingerprint of a sweep's data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sweeps.config import as_draft
from sweeps.datasets.loading import Datasets
from sweeps.validation.validate import examine


def table() -> np.ndarray:
    loaded: np.ndarray = np.load("table.npy")
    return loaded


def weighted(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(outputs, targets) * jnp.asarray(table())[targets]


@jax.jit
def weighted_within(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    return weighted(outputs, targets)


def costs(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    return jnp.where(outputs.argmax(axis=1) != targets, jnp.asarray(table())[targets], 0).mean()


def stepping(learning_rate: float) -> optax.GradientTransformation:
    steps = jnp.asarray(table())
    return optax.chain(optax.scale_by_schedule(lambda count: steps[count % 2]), optax.scale(-learning_rate))


def tabled(progress: jax.Array) -> jax.Array:
    return jnp.interp(progress, jnp.linspace(0, 1, 2), jnp.asarray(table()))


def plain(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(outputs, targets)


def checksums(**sections: Any) -> dict[str, str]:
    draft = as_draft(
        {
            "name": "tables",
            "dataset": {"use": "two_moons", "rows": 40},
            "model": {"use": "sweeping:flat"},
            "loss": "softmax_cross_entropy",
            "search_space": {"epochs": 1, "batch_size": 8, "learning_rate": 0.1},
            "objective": {"metric": "valid_loss", "direction": "minimize"},
            "budget": {"trials": 1},
            **sections,
        }
    )
    datasets = Datasets()
    examine(draft, datasets)
    assert draft.complaints == []
    return {name: each for name, each in datasets.checksums().items() if name.startswith("arrays")}


def own(name: str) -> dict[str, Any]:
    return {"use": f"test_constants:{name}", "outputs": "logits"}


@pytest.mark.parametrize(
    ("sections", "name"),
    [
        ({"loss": own("weighted")}, "loss test_constants:weighted(outputs='logits')"),
        ({"loss": own("weighted_within")}, "loss test_constants:weighted_within(outputs='logits')"),
        ({"metrics": ["test_constants:costs"]}, "metric test_constants:costs"),
        ({"optimizer": "test_constants:stepping"}, "optimizer test_constants:stepping"),
        ({"schedule": "test_constants:tabled"}, "schedule test_constants:tabled"),
    ],
)
def test_a_file_of_numbers_that_a_function_reads_has_a_checksum(
    sections: dict[str, Any], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("table.npy", np.float32([1, 3]))
    first, again = checksums(**sections), checksums(**sections)
    np.save("table.npy", np.float32([1, 2]))
    jax.clear_caches()  # as in another process
    other = checksums(**sections)
    assert list(first) == list(other) == [f"arrays of {name}"]
    assert first == again
    assert first != other


def test_functions_that_read_nothing_have_none() -> None:
    assert checksums(loss=own("plain"), optimizer="adam", metrics=["accuracy"], schedule="cosine") == {}
