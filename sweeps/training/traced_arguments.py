"""Which numbers among a model's arguments ride in lanes. The rule: found out by trying, never declared.

An argument rides if the model can be made and traced with a `LanePlaceholder` in its place, and then computes what one
that is made with a plain number does. A value that the model's own code asks about (a dropout layer leaves out its work
at a rate of 0) is tried by itself when a trial has it, and rides if it is no more than the limit of the others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from sweeps.config import Choices, Component, FloatRange, Parameter
from sweeps.training.adapters.model import Inputs, Model
from sweeps.training.components import is_number
from sweeps.training.lane_placeholder import LanePlaceholder, asked
from sweeps.training.models import build_model, in_bfloat16
from sweeps.training.pytrees import on_host

Numbers = Mapping[str, LanePlaceholder]
"""By the names of a model's arguments."""
Build: TypeAlias = Callable[[Mapping[str, Any]], Model]
"""A model with these arguments in the place of a trial's own."""
NONE: Mapping[str, float] = MappingProxyType({})
ROWS = 3
"""Of the batch that it is tried on."""
PART = 0.6
"""Of the way from a number's least value to its greatest: where it is tried."""
QUICKLY = {"xla_backend_optimization_level": 0}
"""Of what is computed once: it compiles sooner."""


def searched(parameters: Mapping[str, Parameter]) -> Numbers:
    """The arguments of the model whose searched values may be fractions."""
    found = {}
    for name, entry in parameters.items():
        section, _, argument = name.partition(".")
        ends = _ends(entry)
        if section == "model" and ends is not None:
            found[argument] = LanePlaceholder(name, *ends)
    return found


def _ends(entry: Parameter) -> tuple[float, float] | None:
    """The least and the greatest value, of those that are not all whole numbers."""
    if isinstance(entry, FloatRange):
        return (entry.low, entry.high) if entry.low < entry.high else None
    values = entry.choices if isinstance(entry, Choices) else ()
    if len(values) < 2 or not all(map(is_number, values)) or all(isinstance(value, int) for value in values):
        return None
    numbers = [float(str(value)) for value in values]
    return min(numbers), max(numbers)


def traced(model: Component, numbers: Numbers, inputs: Inputs, outputs: int, *, in_half: bool) -> Numbers:
    """Those of a trial's searched `numbers` that ride, for inputs and outputs of a model that is as `in_bfloat16`."""
    given = model.arguments
    wanted = {name: number for name, number in numbers.items() if _is_in(number, given.get(name))}
    if not wanted:
        return {}

    def build(arguments: Mapping[str, Any]) -> Model:
        made = build_model(model.use, {**given, **arguments}, inputs.shape, outputs, inputs.dtype)
        return in_bfloat16(made) if in_half else made

    static = tuple(sorted((name, value) for name, value in given.items() if name not in wanted))
    key = (model.use, static, tuple(wanted.items()), inputs, outputs, in_half)
    found: Numbers = _recalled(key, lambda: _found(build, wanted, inputs))
    odd = {name: float(str(given[name])) for name, number in found.items() if given[name] in asked(number)}
    if not odd or _recalled((key, *odd.items()), lambda: _is_traced(build, found, inputs, odd)):
        return found
    return {name: number for name, number in found.items() if name not in odd}


_FOUND: dict[Any, Any] = {}
"""What was found out in this process: trying takes a compilation, and every trial asks."""


def _recalled(key: Any, find: Callable[[], Any]) -> Any:
    if key not in _FOUND:
        _FOUND[key] = find()
    return _FOUND[key]


def _is_in(number: LanePlaceholder, value: Any) -> bool:
    """Whether a lane's number may be this one; a trial of another search space may have one that is not."""
    return is_number(value) and number.low <= value <= number.high


def _found(build: Build, wanted: Numbers, inputs: Inputs) -> Numbers:
    if _is_traced(build, wanted, inputs):
        return wanted
    alone = {name: number for name, number in wanted.items() if _is_traced(build, {name: number}, inputs)}
    return alone if len(wanted) > 1 and (len(alone) < 2 or _is_traced(build, alone, inputs)) else {}


def _is_traced(build: Build, numbers: Numbers, inputs: Inputs, odd: Mapping[str, float] = NONE) -> bool:
    """Whether a model with these numbers in lanes is, at some values of them, the model with plain numbers.

    `odd` are values that the model's code has asked about: there, the gradient counts too.
    """
    try:
        model = build(numbers)
        if model.penalty is not None:
            jax.eval_shape(model.penalty, model.shapes.params)  # it is taken outside of any lane's numbers
        middle = {name: number.low + PART * (number.high - number.low) for name, number in numbers.items()}
        point = {**middle, **odd}
        plain = build(point)
        if jax.tree.map(_kind, model.shapes) != jax.tree.map(_kind, plain.shapes):
            return False
        values = {numbers[name].name: np.float32(value) for name, value in point.items()}
        return _agree(model, plain, values, inputs, is_odd=bool(odd))
    except Exception:  # noqa: BLE001  (whatever a user's model raises is the answer)
        return False


class Outcome(NamedTuple):
    """What a model gives: in evaluation, in training with what it keeps, and the gradient where that is wanted."""

    evaluated: Any
    trained: Any
    gradient: Any


def _agree(model: Model, plain: Model, values: Mapping[str, Any], inputs: Inputs, *, is_odd: bool) -> bool:
    """Whether they give the same. Of odd values, where the plain model draws other numbers, finite ones will do."""

    def both(params: Any, state: Any, x: jax.Array, key: jax.Array, values: Mapping[str, Any]) -> list[Outcome]:
        pair = (model.bound(values), plain)
        return [_outcome(each, params, state, x, key, with_gradient=is_odd) for each in pair]

    arguments = (*map(_drawn, model.shapes), _drawn(inputs.rows(ROWS)), jax.random.key(0), values)
    options = QUICKLY if jax.default_backend() == "cpu" else None
    with jax.default_matmul_precision("highest"):
        # Traced twice, so that what a function of the model's own keeps of the first trace is found out.
        jax.eval_shape(functools.partial(both), *arguments)
        ours, theirs = jax.jit(both, compiler_options=options)(*arguments)
    if not is_odd:
        return _close(ours, theirs)
    is_finite = _are_finite(ours) or not _are_finite(theirs)
    return is_finite and _close(ours.evaluated, theirs.evaluated) and (plain.draws or _close(ours, theirs))


def _outcome(model: Model, params: Any, state: Any, x: jax.Array, key: jax.Array, *, with_gradient: bool) -> Outcome:
    def squares(params: Any) -> jax.Array:
        return jnp.sum(model.apply(params, state, x, key, True)[0] ** 2)

    gradient = jax.grad(squares)(params) if with_gradient else ()
    return Outcome(model.apply(params, state, x, key, False)[0], model.apply(params, state, x, key, True), gradient)


def _drawn(tree: Any) -> Any:
    """Positive numbers in the place of shapes."""
    generator = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: generator.uniform(0.05, 0.5, leaf.shape).astype(leaf.dtype), tree)


def _kind(leaf: Any) -> tuple[Any, Any]:
    return leaf.shape, leaf.dtype


def _close(left: Any, right: Any) -> bool:
    return all(
        np.allclose(
            a,
            b,
            rtol=1e-3,
            atol=1e-5 * (1 + np.abs(np.nan_to_num(b, posinf=0, neginf=0)).max(initial=0)),
            equal_nan=True,
        )
        for a, b in zip(_leaves(left), _leaves(right), strict=True)
    )


def _are_finite(tree: Any) -> bool:
    return all(np.isfinite(leaf).all() for leaf in _leaves(tree))


def _leaves(tree: Any) -> Iterator[np.ndarray]:
    return (np.asarray(on_host(leaf), np.float32) for leaf in jax.tree.leaves(tree))
