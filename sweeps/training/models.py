"""Models: what `use:` names becomes the two pure functions of `adapters.model.Model`.

What the name stands for, or returns, chooses the adapter. A model is traced once when it is built, which finds every
mistake in it and whether its batches must stay whole.
"""

from __future__ import annotations

import functools
import sys
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from sweeps.errors import ModelError
from sweeps.training import row_mixing, traces
from sweeps.training.adapters import equinox, functions, keras, linen, nnx
from sweeps.training.adapters.layers import Layer
from sweeps.training.adapters.model import Inputs, Model, Params, State, abstract_key, abstract_values
from sweeps.training.components import failed
from sweeps.training.lane_placeholder import LanePlaceholder, bound
from sweeps.training.ops.convolution import as_products, has_products
from sweeps.user_code import ArgumentFault, argument_faults, directory_kept, locate, parameters, taken_by

DERIVED = ("input_shape", "outputs", "rngs", "key")
"""Arguments of a model that come from the data and the lane, never from a config."""
LIBRARIES = {"nnx": "flax.nnx.", "linen": "flax.linen.", "equinox": "equinox.", "keras": "keras."}
"""The adapters, and where their libraries' classes are defined."""


def build_model(
    use: str, arguments: Mapping[str, Any], input_shape: tuple[int, ...], outputs: int, input_dtype: Any = jnp.float32
) -> Model:
    """The model that `use` names, made for one kind of input and number of outputs.

    Args:
        use: `module:name` of a class of Flax NNX, Flax Linen, Equinox or Keras, or of a function that returns such a
            model or a plain pair of functions. It also gets those of `input_shape`, `outputs`, `rngs` and `key` that it
            takes.
        arguments: The others that it gets, some of which may be `LanePlaceholder`s.
        input_shape: The shape of a row.
        outputs: How many numbers it has to give for a row.
        input_dtype: float32, or int32 for tokens.

    Returns:
        Functions from `[rows, *input_shape]` to float32 `[rows, outputs]`.

    Raises:
        ModelError: it cannot be found or built, or does not map `[rows, *input_shape]` to `[rows, outputs]`.
    """
    target, given = _target(use, arguments, input_shape, outputs)
    key = (target, repr(sorted(given.items())), input_shape, outputs, input_dtype)
    if key not in _BUILT:
        _BUILT[key] = _build(use, target, given, Inputs(input_shape, input_dtype), outputs)
    return _BUILT[key]


def build_anew(
    use: str, arguments: Mapping[str, Any], input_shape: tuple[int, ...], outputs: int, input_dtype: Any
) -> Model:
    """`build_model`, where what was built before must not be taken."""
    target, given = _target(use, arguments, input_shape, outputs)
    return _build(use, target, given, Inputs(input_shape, input_dtype), outputs)


def _target(
    use: str, arguments: Mapping[str, Any], input_shape: tuple[int, ...], outputs: int
) -> tuple[Any, Mapping[str, Any]]:
    target = locate(use, ModelError) if ":" in use else None
    if target is None:
        raise ModelError(f"model.use must be 'module:name' such as 'models.mlp:MLP', but got {use!r}")
    return target, _with_data_arguments(target, arguments, input_shape, outputs)


def own_object(
    use: str, arguments: Mapping[str, Any], input_shape: tuple[int, ...], outputs: int, input_dtype: Any, tree: Any
) -> Any:
    """The user's own object, made anew, with the arrays of `tree` (as `Variables.tree` has them) in it.

    Raises:
        ModelError: the model cannot be found or built.
    """
    target = locate(use, ModelError)
    given = _with_data_arguments(target, arguments, input_shape, outputs)
    model = _adapted(use, target, given, Inputs(input_shape, input_dtype))
    return model.own(model.variables(tree))


_MADE: weakref.WeakSet[Any] = weakref.WeakSet()
_BUILT: dict[Any, Model] = {}
"""Building traces the model, and a config's model is wanted by its check, its cost and its program."""


def _build(use: str, target: Any, given: Mapping[str, Any], inputs: Inputs, outputs: int) -> Model:
    try:
        with directory_kept(f"model {use}", ModelError):
            model = _adapted(use, target, given, inputs)
        model = model._replace(numbers=_numbers(given))
        values = abstract_values(model.numbers)
        trace = jax.make_jaxpr(
            lambda values, params, state, x, key: model.bound(values).apply(params, state, x, key, True),
            return_shape=True,
        )
        jaxpr, (output, state) = trace(values, *model.shapes, inputs.rows(row_mixing.ROWS), abstract_key())
        model = model._replace(constants=tuple(traces.constants(jaxpr)), ending=traces.ending(jaxpr))
        shape = getattr(output, "shape", None)
        if shape == (row_mixing.ROWS, outputs):
            _check_state(use, model.shapes.state, state)
            _check_floats(use, output.dtype)
            if output.dtype in (jnp.bfloat16, jnp.float16):
                model = model._replace(apply=_in_float32(model.apply))
            model = model._replace(draws=model.draws and _draws(jaxpr), is_whole=_is_whole(model, jaxpr, inputs))
        if model.numbers:
            model = model._replace(layers=functools.partial(_layers, model))
        if has_products(jaxpr):  # rewriting traces a model twice as often, for nothing in one without convolutions
            model = model._replace(apply=as_products(model.apply, static_argnums=(4,)))
    except ModelError:
        raise
    except Exception as error:
        reason = failed(f"model {use}", error).rstrip(".")
        task = "" if isinstance(error, ImportError) else f". It must {_task(inputs, outputs)}"
        raise ModelError(f"{reason}{task}") from error
    if shape != (row_mixing.ROWS, outputs):
        raise ModelError(f"model {use} must {_task(inputs, outputs)}, but its output is {_form(output)}")
    return model


def _check_floats(use: str, dtype: Any) -> None:
    """Raises: ModelError where no gradient of a real loss goes through the outputs."""
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ModelError(f"the outputs of model {use} must be floats, to be trained by, but are {dtype}")


def _form(output: Any) -> str:
    """What a model gives, in a few words."""
    if getattr(output, "shape", ()):
        return str(("rows", *output.shape[1:]))
    several = f" of {len(output)}: a model has one output here" if isinstance(output, list | tuple | dict) else ""
    return f"{type(output).__name__}{several}"


def _task(inputs: Inputs, outputs: int) -> str:
    return f"map {('rows', *inputs.shape)} to ('rows', {outputs}) for this data and loss"


def _adapted(use: str, target: Callable[..., Any], given: Mapping[str, Any], inputs: Inputs) -> Model:
    """What a class is, or what a function takes, says which library it belongs to; else what it returns does."""
    if not isinstance(target, type) and _library(type(target)):
        what = f"{use} is a model ({type(target).__name__}), and must be a function that makes one"
        raise ModelError(f"{what}, so that every trial has its own: `def model(): return …`")
    of_class = _library(target) if isinstance(target, type) else ""
    if of_class == "nnx" or (not of_class and "rngs" in parameters(target)):
        return nnx.adapt(target, given, inputs)
    if of_class == "equinox" or (not of_class and "key" in parameters(target)):
        return equinox.adapt(target, given, inputs)
    made, remembered = _made(target, given)
    library = _library(type(made))
    if library == "keras":
        return keras.adapt(use, made, remembered, inputs)
    if library == "linen":
        return linen.adapt(made, inputs, _numbers(given))
    if functions.is_pair(made):
        return functions.adapt(made, _numbers(given))
    if library:
        needed = {"nnx": "rngs", "equinox": "key"}[library]
        raise ModelError(f"{use} must take `{needed}`, so that every trial draws initial weights of its own")
    raise ModelError(
        f"a model must be a class of Flax, Equinox or Keras, or a function that returns such a model or a pair "
        f"(init, apply), but {target.__name__} returned {type(made).__name__}"
    )


def made_by_keras(use: str, arguments: Mapping[str, Any], input_shape: tuple[int, ...], outputs: int) -> Any | None:
    """What `use` makes, if that is a Keras model; its weights are of no use.

    Raises:
        ModelError: it cannot be found or made.
    """
    target = locate(use, ModelError)
    of_class = _library(target) if isinstance(target, type) else ""
    if of_class not in ("", "keras") or {"rngs", "key"} & set(parameters(target)):
        return None
    try:
        made, _ = _made(target, _with_data_arguments(target, arguments, input_shape, outputs))
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(failed(f"model {use}", error)) from error
    return made if _library(type(made)) == "keras" else None


def _made(target: Callable[..., Any], given: Mapping[str, Any]) -> tuple[Any, keras.Initializers]:
    """What a function or a class makes, and what would have drawn the weights if it is of Keras."""
    was_imported = "keras" in sys.modules
    if was_imported:
        with keras.remembering() as remembered:
            return _alone(target(**given), target), remembered
    made = target(**given)
    return (made, {}) if "keras" not in sys.modules else _made(target, given)


def _alone(made: Any, target: Callable[..., Any]) -> Any:
    """A model of Keras that no other call has returned, for it holds its weights.

    Raises:
        ModelError: another call has.
    """
    if _library(type(made)) == "keras":
        if made in _MADE:
            what = f"{target.__name__} returned a model that it had returned before"
            raise ModelError(f"{what}, and trials would begin with the same weights. Make it within the function")
        _MADE.add(made)
    return made


def _library(kind: type) -> str:
    """Whose a class is, found without importing any library: "nnx", "linen", "equinox", "keras" or ""."""
    modules = [f"{base.__module__}." for base in kind.__mro__]
    found = (name for name, prefix in LIBRARIES.items() if any(module.startswith(prefix) for module in modules))
    return next(found, "")


def _check_state(use: str, before: State, after: State) -> None:
    """A state must keep its structure, shapes and dtypes, for the program that it goes round in has them too."""
    left, right = (jax.tree_util.tree_flatten_with_path(state)[0] for state in (before, after))
    if [path for path, _ in left] != [path for path, _ in right]:
        raise ModelError(f"model {use} keeps other things after a batch than before it")
    for (path, old), (_, new) in zip(left, right, strict=True):
        if (old.shape, old.dtype) != (new.shape, new.dtype):
            name = jax.tree_util.keystr(path, simple=True, separator=".")
            raise ModelError(
                f"model {use} keeps {name} as {old.dtype}{list(old.shape)} before a batch, "
                f"and as {new.dtype}{list(new.shape)} after it"
            )


def _numbers(given: Mapping[str, Any]) -> tuple[LanePlaceholder, ...]:
    return tuple(value for value in given.values() if isinstance(value, LanePlaceholder))


def _layers(model: Model) -> list[Layer]:
    """The layers of a model that has numbers of its lane."""
    found: list[Layer] = []

    def see(values: Mapping[str, Any]) -> None:
        with bound(values):
            found.extend(model.layers())

    jax.eval_shape(see, abstract_values(model.numbers))
    return found


def _draws(closed: Any) -> bool:
    """Whether the trace uses its last argument, which is the key."""
    key = closed.jaxpr.invars[-1]
    return any(operand is key for equation in closed.jaxpr.eqns for operand in equation.invars)


def _is_whole(model: Model, closed: Any, inputs: Inputs) -> bool:
    """Whether its batches must be neither split nor padded: it keeps something of them, or mixes their rows."""
    count = len(jax.tree.leaves(model.shapes.state))
    before = len(model.numbers) + len(jax.tree.leaves(model.shapes.params))
    given, left = closed.jaxpr.invars[before : before + count], closed.jaxpr.outvars[-count:] if count else []
    if any(new is not old for new, old in zip(left, given, strict=True)):
        return True
    return not row_mixing.are_apart(closed) and row_mixing.influence_each_other(model, inputs)


def faults(use: str, arguments: Mapping[str, Any]) -> list[ArgumentFault]:
    """What is wrong with the names of a model's arguments.

    Raises:
        ModelError: there is no such model.
    """
    taken = taken_by(locate(use, ModelError))
    return [] if taken is None else argument_faults(use, taken, arguments, derived=DERIVED)


def _with_data_arguments(
    target: Callable[..., Any], arguments: Mapping[str, Any], input_shape: tuple[int, ...], outputs: int
) -> dict[str, Any]:
    derived = {"input_shape": input_shape, "outputs": outputs}
    names = parameters(target)
    return {**{name: value for name, value in derived.items() if name in names}, **arguments}


def in_bfloat16(model: Model) -> Model:
    """The model that computes in bfloat16 from float32 parameters, and whose outputs are float32 again.

    Its gradients are those of the float32 parameters, through the rounding. What it keeps stays float32.
    """

    def apply(params: Params, state: State, x: jax.Array, key: jax.Array, training: bool) -> tuple[jax.Array, State]:
        outputs, after = model.apply(jax.tree.map(_rounded, params), state, _rounded(x), key, training)
        after = jax.tree.map(lambda new, old: new.astype(old.dtype), after, state)
        return outputs.astype(jnp.float32), after

    return model._replace(apply=apply)


def _in_float32(apply: Callable[..., tuple[jax.Array, State]]) -> Callable[..., tuple[jax.Array, State]]:
    """Outputs of 16 bits as float32: else a loss would round the targets to 16 bits too."""

    def applied(*arguments: Any) -> tuple[jax.Array, State]:
        outputs, after = apply(*arguments)
        return outputs.astype(jnp.float32), after

    return applied


def _rounded(array: jax.Array) -> jax.Array:
    return array.astype(jnp.bfloat16) if array.dtype == jnp.float32 else array
