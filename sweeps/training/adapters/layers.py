"""The layers of a model, found by watching it run on shapes: what the model's own call calls."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jax


class Layer(NamedTuple):
    """`shape` is that of what it gives for one row, or None where it gives nothing; `numbers` are all that it holds."""

    name: str
    kind: str
    shape: tuple[int, ...] | None
    numbers: int


class Call(NamedTuple):
    """A layer that has been called, and the shape of the first array that it gave."""

    module: Any
    shape: tuple[int, ...]


def numbers(tree: Any) -> int:
    """How many numbers a tree of arrays holds."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


@contextlib.contextmanager
def watching(classes: Iterable[type]) -> Iterator[list[Call]]:
    """Yields a list that grows by each first call of an object of these classes from within another's call."""
    calls: list[Call] = []
    within: list[Any] = []

    def watched(original: Any) -> Any:
        def call(module: Any, *arguments: Any, **named: Any) -> Any:
            within.append(module)
            try:
                given = original(module, *arguments, **named)
            finally:
                within.pop()
            if len(within) == 1 and all(each.module is not module for each in calls):
                calls.append(Call(module, jax.tree.leaves(given)[0].shape))
            return given

        return call

    changed = [(kind, kind.__dict__["__call__"]) for kind in classes if "__call__" in kind.__dict__]
    try:
        for kind, original in changed:
            kind.__call__ = watched(original)  # type: ignore[method-assign]  # for a while only
        yield calls
    finally:
        for kind, original in changed:
            kind.__call__ = original  # type: ignore[method-assign]
