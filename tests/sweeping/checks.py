"""What tests count and compare: compilations, and trees of arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from sweeping import compiled

TRAINING = "jit(train_epoch)"


@contextmanager
def counting_compilations(function: str = TRAINING) -> Iterator[list[str]]:
    """Grows by one for every compilation of a function that JAX reports meanwhile. Kept programs are let go before."""
    compiled.forget()
    seen: list[str] = []

    def listen(event: str, duration_s: float, **details: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration" and details.get("fun_name") == function:
            seen.append(function)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield seen
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def host(tree: Any) -> Any:
    return jax.tree.map(np.asarray, tree)


def take(tree: Any, lanes: Sequence[int]) -> Any:
    """The lanes of a tree of `[lanes, …]` arrays in another order."""
    return jax.tree.map(lambda leaf: leaf[list(lanes)], tree)


def assert_same(left: Any, right: Any, tolerance: Mapping[str, float]) -> None:
    """Two trees of arrays agree leaf by leaf, NaN with NaN."""
    assert jax.tree.structure(left) == jax.tree.structure(right)
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        np.testing.assert_allclose(a, b, **tolerance)
