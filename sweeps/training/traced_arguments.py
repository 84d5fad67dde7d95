"""Which searched numbers of a model or an optimizer are values of a lane, found out by trying.

A number is one if the model can be made and traced with a `LanePlaceholder` in its place, and then computes what one
that is made with a plain number does. A value that the code itself asks about (a dropout layer leaves out its work at a
rate of 0) is tried by itself when a trial has it, and is one if it is no more than the limit of the others. The same
goes for the numbers of an optimizer for which no tracer may stand, because its code compares them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from sweeps.config import Choices, Component, FloatRange, Parameter
from sweeps.config.parameters import name_of
from sweeps.training import optimizers
from sweeps.training.adapters.model import Inputs, Model
from sweeps.training.components import close, computed, is_number
from sweeps.training.lane_placeholder import LanePlaceholder, asked
from sweeps.training.models import build_model, in_bfloat16
from sweeps.training.pytrees import on_host

Numbers = Mapping[str, LanePlaceholder]
"""By the names of arguments of a model or an optimizer."""
Build: TypeAlias = Callable[[Mapping[str, Any]], Model]
"""A model with these arguments in the place of a trial's own."""
Works: TypeAlias = Callable[..., bool]
"""Whether numbers can be values of a lane, `odd` ones of them at these values: `works(numbers, odd={})`."""
NONE: Mapping[str, float] = MappingProxyType({})
ROWS = 3
"""Of the batch that it is tried on."""
PART = 0.6
"""Of the way from a number's least value to its greatest: where it is tried."""


def searched(parameters: Mapping[str, Parameter]) -> Numbers:
    """The arguments of the model whose searched values may be fractions."""
    found: dict[str, LanePlaceholder] = {}
    for name, ends in _all_ends(parameters).items():
        section, _, argument = name.partition(".")
        if section == "model":
            found[argument] = LanePlaceholder(name, *ends)
    return found


def searched_of_optimizer(parameters: Mapping[str, Parameter]) -> Numbers:
    """The arguments of the optimizer whose searched values may be fractions, its learning rate among them."""
    found: dict[str, LanePlaceholder] = {}
    for name, ends in _all_ends(parameters).items():
        section, _, argument = name.rpartition(".")
        if section == "optimizer" or name == "learning_rate":
            found[argument] = LanePlaceholder(argument, *ends)
    return found


def _all_ends(parameters: Mapping[str, Parameter]) -> dict[str, tuple[float, float]]:
    """The least and the greatest value of each parameter whose values may be fractions, over all of its ranges."""
    found: dict[str, tuple[float, float]] = {}
    for key, entry in parameters.items():
        ends, name = _ends(entry), name_of(key)
        if ends is not None:
            others = found.get(name, ends)
            found[name] = min(others[0], ends[0]), max(others[1], ends[1])
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
    """Those of a trial's searched `numbers` of its model that are values of a lane.

    The model is one for these inputs and outputs, as `in_bfloat16` makes it where `in_half`.
    """
    given = model.arguments

    def build(arguments: Mapping[str, Any]) -> Model:
        made = build_model(model.use, {**given, **arguments}, inputs.shape, outputs, inputs.dtype)
        return in_bfloat16(made) if in_half else made

    works = functools.partial(_is_traced, build, inputs=inputs)
    return _found((model.use, inputs, outputs, in_half), given, numbers, works)


def traced_by_optimizer(optimizer: Component, learning_rate: float | None, numbers: Numbers) -> Numbers:
    """Those of a trial's searched `numbers` of its optimizer that are values of a lane, though not as tracers.

    Raises:
        ModelError: the optimizer cannot be built from these arguments at all.
    """
    given = optimizers.with_rate(optimizer.arguments, learning_rate)
    left = {name: numbers[name] for name in numbers.keys() - optimizers.traceable(optimizer.use, given)}
    return _found((optimizer.use,), given, left, functools.partial(_is_optimizer_traced, optimizer.use, given))


def _found(key: Any, given: Mapping[str, Any], numbers: Numbers, works: Works) -> Numbers:
    """Those of `numbers` that work together, without the ones whose given value is asked about and does not work."""
    wanted = {name: number for name, number in sorted(numbers.items()) if _is_in(number, given.get(name))}
    if not wanted:
        return {}
    static = tuple(sorted((name, value) for name, value in given.items() if name not in wanted))
    key = (key, static, tuple(wanted.items()))
    found: Numbers = _recalled(key, lambda: _working(wanted, works))
    odd = {name: float(str(given[name])) for name, number in found.items() if given[name] in asked(number)}
    if not odd or _recalled((key, *odd.items()), lambda: works(found, odd=odd)):
        return found
    return {name: number for name, number in found.items() if name not in odd}


_RECALLED: dict[Any, Any] = {}
"""What was found out in this process: trying takes a compilation, and every trial asks."""


def _recalled(key: Any, find: Callable[[], Any]) -> Any:
    if key not in _RECALLED:
        _RECALLED[key] = find()
    return _RECALLED[key]


def _is_in(number: LanePlaceholder, value: Any) -> bool:
    """Whether a lane's number may be this one; a trial of another search space may have one that is not."""
    return is_number(value) and number.low <= value <= number.high


def _working(wanted: Numbers, works: Works) -> Numbers:
    """All of them, or else those that work alone, if these work together."""
    if works(wanted):
        return wanted
    alone = {name: number for name, number in wanted.items() if works({name: number})}
    return alone if len(wanted) > 1 and (len(alone) < 2 or works(alone)) else {}


def _point(numbers: Numbers, odd: Mapping[str, float]) -> tuple[dict[str, float], dict[str, np.float32]]:
    """Where numbers are tried: their plain values by argument, and the same as values of a lane."""
    middle = {name: number.low + PART * (number.high - number.low) for name, number in numbers.items()}
    point = {**middle, **odd}
    return point, {numbers[name].name: np.float32(value) for name, value in point.items()}


def _is_traced(build: Build, numbers: Numbers, inputs: Inputs, odd: Mapping[str, float] = NONE) -> bool:
    """Whether a model with these numbers in lanes is, at some values of them, the model with plain numbers.

    `odd` are values that the model's code has asked about: there, the gradient counts too.
    """
    try:
        model = build(numbers)
        for function in filter(None, (model.penalty, model.constrain)):
            jax.eval_shape(function, model.shapes.params)  # these are called outside of any lane's numbers
        point, values = _point(numbers, odd)
        plain = build(point)
        if jax.tree.map(_kind, model.shapes) != jax.tree.map(_kind, plain.shapes):
            return False
        return _agree(model, plain, values, inputs, is_odd=bool(odd))
    except Exception:  # noqa: BLE001  (a user's model may raise anything)
        return False


def _is_optimizer_traced(use: str, given: Mapping[str, Any], numbers: Numbers, odd: Mapping[str, float] = NONE) -> bool:
    """Whether an optimizer with these numbers in lanes makes, at some values of them, the updates of plain numbers."""

    def build(arguments: Mapping[str, Any], values: Mapping[str, Any] = NONE) -> Any:
        return optimizers.build(use, {**given, **arguments}, lambda: jax.random.key(0), values)

    try:
        point, values = _point(numbers, odd)
        return optimizers.make_same_updates(functools.partial(build, numbers), functools.partial(build, point), values)
    except Exception:  # noqa: BLE001  (a third party's optimizer may raise anything)
        return False


class Outcome(NamedTuple):
    """What a model gives: in evaluation, in training with what it keeps, and the gradient where that is wanted."""

    evaluated: Any
    trained: Any
    gradient: Any


def _agree(model: Model, plain: Model, values: Mapping[str, Any], inputs: Inputs, *, is_odd: bool) -> bool:
    """Whether a model of lane numbers, at these `values` of them, gives what the `plain` one gives.

    For most values, comparing outputs is enough. At an odd one the plain model takes another branch of its code, and
    that branch need not be the limit of what the lane computes. Gradients may differ where outputs do not (dropout of
    1 divides by 0), so they are compared too, and nothing may be infinite that is finite in the plain model. Where the
    branch draws random numbers, those differ though both are right: then outputs of evaluation have to be equal, and
    it is enough that the rest is finite.
    """

    def both(params: Any, state: Any, x: jax.Array, key: jax.Array, values: Mapping[str, Any]) -> list[Outcome]:
        pair = (model.bound(values), plain)
        return [_outcome(each, params, state, x, key, with_gradient=is_odd) for each in pair]

    arguments = (*map(_drawn, model.shapes), _drawn(inputs.rows(ROWS)), jax.random.key(0), values)
    ours, theirs = computed(both, *arguments)
    if not is_odd:
        return close(ours, theirs)
    is_finite = _are_finite(ours) or not _are_finite(theirs)
    return is_finite and close(ours.evaluated, theirs.evaluated) and (plain.draws or close(ours, theirs))


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


def _are_finite(tree: Any) -> bool:
    return all(np.isfinite(np.asarray(on_host(leaf), np.float32)).all() for leaf in jax.tree.leaves(tree))
