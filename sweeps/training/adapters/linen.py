"""Flax Linen modules as models: the collection `params` is trained, every other one (`batch_stats`) is state."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from sweeps.errors import ModelError
from sweeps.training.adapters.layers import Layer, numbers
from sweeps.training.adapters.model import Inputs, Model, Params, State, Variables, shapes_of
from sweeps.training.lane_placeholder import LanePlaceholder

TRAINING = ("train", "training", "is_training")
"""What people call the argument of `__call__` that is true while a model trains, …"""
EVALUATING = ("deterministic", "use_running_average", "eval")
"""… and the one that is false then."""
SHOWN = ("intermediates", "perturbations")
"""Collections that a module only shows."""
LOSSES = "losses"
"""The collection into which modules sow what is to be added to a loss."""


def adapt(module: Any, inputs: Inputs, lane_numbers: Sequence[LanePlaceholder] = ()) -> Model:
    """A module, which gets the argument of `TRAINING` or `EVALUATING` that its `__call__` names.

    Raises:
        ModelError: it adds to the loss.
    """

    def init(key: jax.Array) -> Variables:
        x = jnp.zeros((1, *inputs.shape), inputs.dtype)
        collections = module.init({"params": key, "dropout": key}, x, **_modes(module, training=False))
        return _split(collections)

    def apply(params: Params, state: State, x: jax.Array, key: jax.Array, training: bool) -> tuple[jax.Array, State]:
        modes = _modes(module, training=training)
        random = {"params": key, "dropout": key} if training else None
        variables, mutable = {"params": params, **state}, [*state, LOSSES]
        outputs, after = module.apply(variables, x, rngs=random, mutable=mutable, **modes)
        if LOSSES in after:
            what = f"the module {type(module).__name__} sows into `{LOSSES}`"
            raise ModelError(f"{what}, and a loss of a whole batch cannot be taken of its parts: remove it")
        return outputs, {name: after.get(name, state[name]) for name in state}

    def own(variables: Variables) -> Any:
        return module, {"params": variables.params, **variables.state}

    shapes = shapes_of(init, lane_numbers)
    return Model(init, apply, draws=True, shapes=shapes, own=own, layers=lambda: _layers(module, shapes, inputs))


def _layers(module: Any, shapes: Variables, inputs: Inputs) -> list[Layer]:
    from flax import linen

    found: list[Layer] = []
    collections = {"params": shapes.params, **shapes.state}

    def note(call: Any, arguments: Any, named: Any, context: Any) -> Any:
        given, path = call(*arguments, **named), context.module.path
        if len(path) == 1 and context.method_name == "__call__" and all(each.name != path[0] for each in found):
            held = [tree[path[0]] for tree in collections.values() if path[0] in tree]
            shape = jax.tree.leaves(given)[0].shape[1:]
            found.append(Layer(path[0], type(context.module).__name__, shape, numbers(held)))
        return given

    def run(variables: Any, x: jax.Array) -> None:
        with linen.intercept_methods(note):
            module.apply(variables, x, mutable=list(shapes.state), **_modes(module, training=False))

    jax.eval_shape(run, collections, inputs.rows(1))
    return found


def _split(collections: Mapping[str, Any]) -> Variables:
    state = {name: tree for name, tree in collections.items() if name not in ("params", LOSSES, *SHOWN)}
    return Variables(collections.get("params", {}), state)


def _modes(module: Any, *, training: bool) -> dict[str, bool]:
    taken = inspect.signature(type(module).__call__).parameters
    modes = {**dict.fromkeys(TRAINING, training), **dict.fromkeys(EVALUATING, not training)}
    return {name: value for name, value in modes.items() if name in taken}
