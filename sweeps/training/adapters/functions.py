"""Plain pairs of functions as models.

`init(key) -> params` goes with `apply(params, x)` or `apply(params, x, key, training)`. A pair that keeps a state has
`init(key) -> (params, state)` and `apply(params, state, x, key, training) -> (outputs, state)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax

from sweeps.training.adapters.model import Model, Params, State, Variables, shapes_of
from sweeps.training.lane_placeholder import LanePlaceholder
from sweeps.user_code import parameters


def is_pair(made: object) -> bool:
    """Whether a model's function has returned two functions."""
    return isinstance(made, tuple) and len(made) == 2 and all(callable(part) for part in made)


def adapt(made: tuple[Callable[..., Any], Callable[..., Any]], numbers: Sequence[LanePlaceholder] = ()) -> Model:
    """A pair as a model; how many arguments its `apply` takes says which kind it is."""
    init, apply = made
    count = len(parameters(apply))
    if count >= 5:
        shapes = Variables(*shapes_of(init, numbers))
        return Model(lambda key: Variables(*init(key)), apply, draws=True, shapes=shapes)

    def applied(params: Params, state: State, x: jax.Array, key: jax.Array, training: bool) -> tuple[jax.Array, State]:
        return (apply(params, x, key, training) if count == 4 else apply(params, x)), state

    shapes = Variables(shapes_of(init, numbers), {})
    return Model(lambda key: Variables(init(key), {}), applied, draws=count == 4, shapes=shapes)
