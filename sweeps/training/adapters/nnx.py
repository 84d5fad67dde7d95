"""Flax NNX modules as models: `nnx.Param` is trained, random streams are made from the key, the rest is state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax

from sweeps.training.adapters.layers import Layer, numbers, watching
from sweeps.training.adapters.model import Inputs, MadeAnew, Model, Params, State, Variables, abstract_key
from sweeps.training.lane_placeholder import bound


def adapt(target: Callable[..., Any], arguments: Mapping[str, Any], inputs: Inputs) -> Model:
    """A module class, or a function that returns a module; it takes `rngs`.

    Raises:
        ModelError: it returns one that it has returned before.
    """
    from flax import nnx

    made_anew = MadeAnew(target, "rngs")

    def build(key: jax.Array) -> Any:
        with bound({}):  # a lane number in an attribute stays one, whenever the module is made
            return made_anew(target(**arguments, rngs=nnx.Rngs(key)))

    def parts(module: Any) -> Any:
        """Its structure, parameters, random streams, what it only shows, and its state."""
        return nnx.split(module, nnx.Param, nnx.RngState, nnx.Intermediate, ...)

    structure, params, random, shown, state = parts(nnx.eval_shape(build, abstract_key()))
    draws = bool(jax.tree.leaves(random))

    def init(key: jax.Array) -> Variables:
        _, params, _, _, state = parts(build(key))
        return Variables(nnx.to_pure_dict(params), nnx.to_pure_dict(state))

    def apply(values: Params, kept: State, x: jax.Array, key: jax.Array, training: bool) -> tuple[jax.Array, State]:
        streams = nnx.state(build(key), nnx.RngState) if draws else random
        module = nnx.merge(structure, _filled(params, values), streams, shown, _filled(state, kept))
        module.train() if training else module.eval()
        outputs: jax.Array = module(x)
        return outputs, nnx.to_pure_dict(parts(module)[4])

    shapes = Variables(nnx.to_pure_dict(params), nnx.to_pure_dict(state))

    def own(variables: Variables) -> Any:
        streams = nnx.state(build(jax.random.key(0)), nnx.RngState)
        return nnx.merge(structure, _filled(params, variables.params), streams, shown, _filled(state, variables.state))

    return Model(init, apply, draws=draws, shapes=shapes, own=own, layers=lambda: _layers(build, inputs))


def _layers(build: Callable[[jax.Array], Any], inputs: Inputs) -> list[Layer]:
    from flax import nnx

    found: list[Layer] = []

    def run(key: jax.Array, x: jax.Array) -> None:
        module = build(key)
        module.eval()
        names = {id(each): ".".join(map(str, path)) for path, each in nnx.iter_modules(module)}
        with watching({type(each) for _, each in nnx.iter_modules(module)}) as calls:
            module(x)
        for layer, shape in calls:
            held = nnx.state(layer, nnx.Not(nnx.RngState))
            found.append(Layer(names[id(layer)], type(layer).__name__, shape[1:], numbers(held)))

    jax.eval_shape(run, abstract_key(), inputs.rows(1))
    return found


def _filled(abstract: Any, values: Any) -> Any:
    """A state of a module with these arrays in it."""
    from flax import nnx

    state = jax.tree.map(lambda leaf: leaf, abstract)
    nnx.replace_by_pure_dict(state, values)
    return state
