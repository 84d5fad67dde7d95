"""Equinox modules as models: inexact arrays are trained, an `eqx.nn.State` is state, the rest is the module's own.

A module is called as Equinox's own layers are, on one row at a time under `jax.vmap`; the axis of rows is
called `batch`, as `eqx.nn.BatchNorm` wants it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Container, Mapping
from typing import Any

import jax

from sweeps.errors import ModelError
from sweeps.training.adapters.layers import Layer, numbers, watching
from sweeps.training.adapters.model import Inputs, MadeAnew, Model, Params, State, Variables, abstract_key
from sweeps.training.lane_placeholder import bound

AXIS = "batch"


def adapt(target: Callable[..., Any], arguments: Mapping[str, Any], inputs: Inputs) -> Model:
    """A module class, or a function that returns a module; it takes `key`.

    Raises:
        ModelError: it returns something else, or one that it has returned before.
    """
    import equinox as eqx

    made_anew = MadeAnew(target, "key")

    def build(key: jax.Array) -> Any:
        with bound({}):  # a lane number in a field stays one, whenever the module is made
            made = target(**arguments, key=key)
            made_anew(made[0] if isinstance(made, tuple) and made else made)
            return made if isinstance(made, tuple) else eqx.nn.make_with_state(lambda: made)()

    def parts(made: Any) -> Any:
        """The arrays to train, the arrays to keep, and what is neither."""
        module, state = made
        params, static = eqx.partition(module, _is_trained)
        return params, state, static

    made = eqx.filter_eval_shape(build, abstract_key())
    if not isinstance(made[0], eqx.Module):
        raise ModelError(f"a model that takes `key` must return an Equinox module, but got {type(made[0]).__name__}")
    params, state, static = parts(made)
    fill_params, fill_state = _filling(params), _filling(state)
    taken = inspect.signature(type(made[0]).__call__).parameters

    def init(key: jax.Array) -> Variables:
        made = build(key)
        with bound({}):
            params, state, _ = parts(made)
            return Variables(_named(params), _named(state))

    def apply(values: Params, kept: State, x: jax.Array, key: jax.Array, training: bool) -> tuple[jax.Array, State]:
        module = eqx.combine(fill_params(values), static)
        module = eqx.nn.inference_mode(module, value=not training)
        outputs, after = _called(module, taken, fill_state(kept), x, key)
        return outputs, _named(after)

    def own(variables: Variables) -> Any:
        """The module, ready to predict; and the state, where it has one."""
        module = eqx.nn.inference_mode(eqx.combine(fill_params(variables.params), static))
        return (module, fill_state(variables.state)) if variables.state else module

    shapes = Variables(_named(params), _named(state))
    return Model(init, apply, draws=True, shapes=shapes, own=own, layers=lambda: _layers(build, taken, inputs))


def _called(module: Any, taken: Container[str], state: Any, x: jax.Array, key: jax.Array) -> Any:
    """Its outputs for rows, and its state after them. A row's call gets a key, and the state, where it takes them."""

    def one_row(row: jax.Array, key: jax.Array) -> Any:
        keys = {"key": key} if "key" in taken else {}
        return module(row, state, **keys) if "state" in taken else (module(row, **keys), state)

    return jax.vmap(one_row, axis_name=AXIS, out_axes=(0, None))(x, jax.random.split(key, len(x)))


def _layers(build: Callable[[jax.Array], Any], taken: Container[str], inputs: Inputs) -> list[Layer]:
    found: list[Layer] = []

    def run(key: jax.Array, x: jax.Array) -> None:
        module, state = build(key)
        inside = _inside(module)
        names = {id(each): path for path, each in inside}
        with watching({type(each) for each in (module, *(each for _, each in inside))}) as calls:
            _called(module, taken, state, x, key)
        for layer, shape in calls:
            held = [leaf for leaf in jax.tree.leaves(layer) if _is_trained(leaf)]
            found.append(Layer(names.get(id(layer), ""), type(layer).__name__, shape, numbers(held)))

    jax.eval_shape(run, abstract_key(), inputs.rows(1))
    return found


def _inside(module: Any) -> list[tuple[str, Any]]:
    """The modules within a module, with their paths."""
    import equinox as eqx

    leaves, _ = jax.tree_util.tree_flatten_with_path(
        module, is_leaf=lambda each: each is not module and isinstance(each, eqx.Module)
    )
    found = [(jax.tree_util.keystr(path, simple=True, separator="."), each) for path, each in leaves]
    children = [(path, each) for path, each in found if isinstance(each, eqx.Module)]
    return children + [(f"{path}.{further}", each) for path, child in children for further, each in _inside(child)]


def _is_trained(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jax.numpy.issubdtype(leaf.dtype, jax.numpy.inexact)


def _named(tree: Any) -> dict[str, Any]:
    """The arrays of a module by their paths, for modules that were made alike may differ in a function they hold."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def _filling(tree: Any) -> Callable[[Mapping[str, Any]], Any]:
    """What puts arrays, by their names, in their places in a tree, of which lane numbers are no part."""
    structure, names = jax.tree.structure(tree), list(_named(tree))
    return lambda values: jax.tree.unflatten(structure, [values[name] for name in names])
