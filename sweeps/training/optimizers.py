"""Optimizers by their optax name, rebuilt inside the trace from a lane's values.

A numeric argument is a value of the lane wherever optax lets it be one, which is found out by tracing. Every other
argument is static and selects the program.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Container, Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from sweeps import user_code
from sweeps.errors import ModelError
from sweeps.training import components
from sweeps.training.components import close, computed, is_number
from sweeps.training.lane_placeholder import within
from sweeps.training.pytrees import on_host
from sweeps.user_code import parameters, reason

NOTHING: Mapping[str, Any] = MappingProxyType({})
SHAPES = {"matrix": (2, 3), "vector": (3,)}
"""Of the parameters that an optimizer is tried on."""
UPDATES = 3

OPTIMIZERS: Mapping[str, Callable[..., Any]] = {
    name: function
    for module in (optax.contrib, optax)
    for name, function in vars(module).items()
    if callable(function) and not name.startswith("_")
}
"""What optax has under a name. Some of it makes no optimizer, which shows when it is tried."""

NEEDS_MORE: Mapping[type, str] = {
    optax.LookaheadState: "it trains two sets of parameters (`optax.LookaheadParams`), and a sweep's model has one",
    optax.contrib.ScheduleFreeState: "its model is to be evaluated at `optax.contrib.schedule_free_eval_params`, and a "
    "sweep evaluates a model as it is trained",
}
"""States of optimizers that are not driven by `update` alone."""


def constructor(use: str) -> Callable[..., optax.GradientTransformation]:
    """What makes the optimizer called `use`: a function of optax or `optax.contrib`, or the user's own.

    Raises:
        ModelError: there is none of that name.
    """
    return components.find(use, OPTIMIZERS, f"optax {optax.__version__} has no optimizer")


def build(
    use: str, arguments: Mapping[str, Any], key: Callable[[], jax.Array], values: Mapping[str, Any] = NOTHING
) -> optax.GradientTransformationExtraArgs:
    """The optimizer with its arguments, some of which may be tracers, or `LanePlaceholder`s that stand for `values`.

    One that draws noise gets `key()`. Its `update` takes the loss of a batch as `value`, and may pass it over.

    Raises:
        ModelError: there is no such optimizer, or it makes something else.
    """
    function = constructor(use)
    given = dict(arguments)
    if "key" in parameters(function) and not {"key", "seed"} & set(given):
        given["key"] = key()
    made = within(values, function)(**given)
    if not all(callable(getattr(made, name, None)) for name in ("init", "update")):
        raise ModelError(f"it makes no optimizer of optax, but {type(made).__name__}")
    if "value" in _extra_arguments(made.update):
        made = optax.with_extra_args_support(made)
    else:
        made = optax.with_extra_args_support(optax.GradientTransformation(made.init, made.update))
    if not values:
        return made
    return optax.GradientTransformationExtraArgs(within(values, made.init), within(values, made.update))


def _extra_arguments(update: Callable[..., Any]) -> Container[str]:
    """What an optimizer's `update` takes by name; `value` is among them where it takes anything."""
    taken = inspect.signature(update).parameters
    takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in taken.values())
    return {*taken, "value"} if takes_any else taken


def with_rate(arguments: Mapping[str, Any], learning_rate: float | None) -> dict[str, Any]:
    """An optimizer's arguments with the learning rate among them, where there is one."""
    rate = {} if learning_rate is None else {"learning_rate": learning_rate}
    return {**arguments, **rate}


def whole_arguments(use: str, arguments: Mapping[str, Any]) -> frozenset[str]:
    """The arguments that stay whole numbers as tracers: both the value and the optimizer's own default are whole."""
    taken = parameters(constructor(use))
    return frozenset(
        name
        for name, value in arguments.items()
        if name in taken and _is_whole(value) and _is_whole(taken[name].default)
    )


def traceable(use: str, arguments: Mapping[str, Any]) -> frozenset[str]:
    """Which of the numeric arguments may be tracers; that depends on their types and not on their values.

    All are tried at once, then each by itself.

    Raises:
        ModelError: the optimizer cannot be built from these arguments at all.
    """
    kinds = {name: type(value) for name, value in arguments.items() if is_number(value)}
    static = {name: value for name, value in arguments.items() if name not in kinds}
    known = (use, frozenset(kinds.items()), frozenset(static.items()))
    if known not in _TRACEABLE:
        _TRACEABLE[known] = _find_traceable(use, arguments, set(kinds))
    return _TRACEABLE[known]


_TRACEABLE: dict[Any, frozenset[str]] = {}


def _find_traceable(use: str, arguments: Mapping[str, Any], numeric: set[str]) -> frozenset[str]:
    if _failure(use, arguments, numeric) is None:
        return frozenset(numeric)
    failure = _failure(use, arguments, set())
    if failure is not None:
        given = ", ".join(f"{name}={value}" for name, value in arguments.items())
        what = f"optimizer {use}({given}) cannot be used"
        if isinstance(failure, ModelError):
            raise ModelError(f"{what}: {failure}") from failure
        raise ModelError(user_code.failed(what, failure).replace(" failed", "", 1)) from failure
    return frozenset(name for name in numeric if _failure(use, arguments, {name}) is None)


def _failure(use: str, arguments: Mapping[str, Any], traced: set[str]) -> Exception | None:
    """What goes wrong in one update of two small parameters with `traced` arguments as tracers; None if nothing."""

    def update(values: dict[str, jax.Array], params: dict[str, jax.Array], loss: jax.Array) -> Any:
        return _updated(made(values), params, loss)

    def made(values: Mapping[str, jax.Array]) -> optax.GradientTransformationExtraArgs:
        return build(use, {**arguments, **values}, lambda: jax.random.key(0))

    try:
        whole = whole_arguments(use, arguments)
        values = {name: _abstract(dtype=jnp.int32 if name in whole else jnp.float32) for name in sorted(traced)}
        jax.eval_shape(update, values, {name: _abstract(*shape) for name, shape in SHAPES.items()}, _abstract())
        if traced and ":" in use:  # optax's own are compared by tests; a user's may ask `isinstance(rate, float)`
            plain = {name: np.asarray(arguments[name], leaf.dtype) for name, leaf in values.items()}
            if not make_same_updates(made, lambda: made({}), plain):
                return ModelError("its updates are others where its numbers are traced")
    except Exception as error:  # noqa: BLE001  (a third party's optimizer may raise anything)
        return error
    return None


def make_same_updates(
    traced: Callable[[Mapping[str, Any]], optax.GradientTransformationExtraArgs],
    plain: Callable[[], optax.GradientTransformationExtraArgs],
    values: Mapping[str, Any],
) -> bool:
    """Whether an optimizer of tracers makes the updates, in a few of them, that one of plain numbers makes."""

    def both(values: Mapping[str, Any], params: Any) -> tuple[list[Any], list[Any]]:
        return _moved(traced(values), params), _moved(plain(), params)

    generator = np.random.default_rng(0)
    params = {name: generator.uniform(0.05, 0.5, shape).astype(np.float32) for name, shape in SHAPES.items()}
    return close(*computed(both, values, params))


def climbs(use: str, arguments: Mapping[str, Any]) -> bool:
    """Whether every parameter moves along its gradient, as parts of optimizers do that no learning rate follows.

    Such a part is `optax.scale_by_adam` or `optax.clip_by_global_norm` by itself, under which a loss rises.
    """
    params = {
        name: np.linspace(0.05, 0.5, math.prod(shape), dtype=np.float32).reshape(shape)
        for name, shape in SHAPES.items()
    }
    after = computed(lambda params: _moved(build(use, arguments, lambda: jax.random.key(0)), params)[-1], params)
    moves = np.concatenate([(on_host(after[name]) - params[name]).ravel() for name in params])
    return bool((moves >= 0).all() and (moves > 0).any())


def _moved(optimizer: optax.GradientTransformationExtraArgs, params: Any) -> list[Any]:
    """Parameters after each of a few updates."""
    state, after = optimizer.init(params), []
    for update in range(1, UPDATES + 1):
        gradient = jax.tree.map(lambda leaf, update=update: leaf * jnp.float32(update), params)
        changes, state = optimizer.update(gradient, state, params, value=jnp.float32(1.0))
        params = optax.apply_updates(params, changes)
        after.append(params)
    return after


def _updated(optimizer: optax.GradientTransformationExtraArgs, params: dict[str, jax.Array], loss: jax.Array) -> Any:
    """One update, as a lane does it.

    Raises:
        ModelError: the optimizer needs something that a lane does not have.
    """
    state = optimizer.init(params)
    for each in jax.tree.leaves(state, is_leaf=_needs_more):
        if _needs_more(each):
            raise ModelError(NEEDS_MORE[type(each)])
    try:
        return optimizer.update(params, state, params, value=loss)
    except Exception as error:
        gets = "its `update` gets the gradient, its state, the parameters and `value`, a batch's loss, and nothing else"
        raise ModelError(f"{gets}, so none that evaluates the loss itself can be used ({reason(error)})") from error


def _abstract(*shape: int, dtype: Any = jnp.float32) -> Any:
    return jax.ShapeDtypeStruct(shape, dtype)  # type: ignore[no-untyped-call]  # JAX leaves it untyped


def _needs_more(tree: Any) -> bool:
    return type(tree) in NEEDS_MORE


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
