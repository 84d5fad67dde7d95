"""Model adapters: whatever `use:` names becomes one pair of pure functions.

`init(key) -> params` and `apply(params, x, key, training) -> outputs`, with `x` of shape `[rows, *input_shape]`,
`outputs` of shape `[rows, outputs]` and `params` any nested dict of arrays. `key` feeds whatever the model draws while
it trains (dropout).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from sweeps.errors import ModelError
from sweeps.locate import ArgumentFault, argument_faults, locate, origin, parameters, taken_by
from sweeps.training.convolution import as_products, has_products

Params: TypeAlias = Any
DERIVED = ("input_shape", "outputs", "rngs")
"""Arguments of a model that come from the data and the lane, never from a config."""


class Model(NamedTuple):
    """A model as two pure functions; `draws` says whether `apply` uses its key, `shapes` is what `init` makes."""

    init: Callable[[jax.Array], Params]
    apply: Callable[[Params, jax.Array, jax.Array, bool], jax.Array]
    draws: bool
    shapes: Params  # of jax.ShapeDtypeStruct

    @property
    def parameter_count(self) -> int:
        return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(self.shapes))


def build_model(
    use: str, arguments: Mapping[str, Any], input_shape: tuple[int, ...], outputs: int, input_dtype: Any = jnp.float32
) -> Model:
    """The model that `use` names, made for one kind of input and number of outputs.

    A Flax NNX module class gets its arguments, `rngs`, and those of `input_shape` and `outputs` that its constructor
    names. A plain function gets the same without `rngs` and returns `(init, apply)`, with `apply(params, x)` or
    `apply(params, x, key, training)`.

    Raises:
        ModelError: it cannot be found or built, or does not map `[rows, *input_shape]` to `[rows, outputs]`.
    """
    target = locate(use, ModelError) if ":" in use else None
    if target is None:
        raise ModelError(f"model.use must be 'module:name' such as 'models.mlp:MLP', but got {use!r}")
    given = _with_data_arguments(target, arguments, input_shape, outputs)
    key = (target, repr(sorted(given.items())), input_shape, outputs, input_dtype)
    if key not in _BUILT:
        _BUILT[key] = _build(use, target, given, input_shape, outputs, input_dtype)
    return _BUILT[key]


_BUILT: dict[Any, Model] = {}
"""Building traces the model, and a config's model is wanted by its check, its cost and its program."""


def _build(
    use: str,
    target: Any,
    given: Mapping[str, Any],
    input_shape: tuple[int, ...],
    outputs: int,
    input_dtype: Any,
) -> Model:
    try:
        model = _nnx_model(target, given) if _is_nnx_module(target) else _plain_model(target, given)
        x = jax.ShapeDtypeStruct((2, *input_shape), input_dtype)  # type: ignore[no-untyped-call]
        trace = jax.make_jaxpr(model.apply, static_argnums=3, return_shape=True)
        jaxpr, output = trace(model.shapes, x, abstract_key(), True)
        shape = output.shape
        if has_products(jaxpr):  # rewriting traces a model twice as often, for nothing in one without convolutions
            model = model._replace(apply=as_products(model.apply, static_argnums=(3,)))
    except ModelError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else "no message"
        raise ModelError(f"model {use} failed at {origin(error)}: {type(error).__name__}: {reason}") from error
    if shape != (2, outputs):
        raise ModelError(
            f"model {use} must map {('rows', *input_shape)} to ('rows', {outputs}) for this data and loss, "
            f"but its output is {('rows', *shape[1:])}"
        )
    return model


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


def _is_nnx_module(target: object) -> bool:
    from flax import nnx  # noqa: PLC0415  (a third of a second that a plain pair need not pay)

    return isinstance(target, type) and issubclass(target, nnx.Module)


def _nnx_model(module: type, arguments: Mapping[str, Any]) -> Model:
    from flax import nnx  # noqa: PLC0415

    def build(key: jax.Array) -> Any:
        return module(**arguments, rngs=nnx.Rngs(key))

    structure, abstract, rest = nnx.split(  # type: ignore[misc]  # mypy does not follow the `...`
        nnx.eval_shape(build, abstract_key()), nnx.Param, ...
    )
    variables = jax.tree.leaves(rest, is_leaf=lambda leaf: isinstance(leaf, nnx.Variable))
    stateful = sorted({type(variable).__name__ for variable in variables if not isinstance(variable, nnx.RngState)})
    if stateful:
        raise ModelError(
            f"model {module.__name__} keeps {', '.join(stateful)} between batches, which lanes do not hold"
        )

    def init(key: jax.Array) -> Params:
        return nnx.to_pure_dict(nnx.split(build(key), nnx.Param, ...)[1])

    def apply(params: Params, x: jax.Array, key: jax.Array, training: bool) -> jax.Array:
        state = jax.tree.map(lambda leaf: leaf, abstract)
        nnx.replace_by_pure_dict(state, params)
        random = nnx.state(build(key), nnx.RngState) if variables else rest
        model = nnx.merge(structure, state, random)
        model.train() if training else model.eval()
        outputs: jax.Array = model(x)
        return outputs

    return Model(init, apply, draws=bool(variables), shapes=nnx.to_pure_dict(abstract))


def _plain_model(target: Callable[..., Any], arguments: Mapping[str, Any]) -> Model:
    made = target(**arguments)
    if not (isinstance(made, tuple) and len(made) == 2 and all(callable(part) for part in made)):
        raise ModelError(
            f"a model must be a Flax NNX module class or a function that returns (init, apply), "
            f"but {target.__name__} returned {type(made).__name__}"
        )
    init, apply = made
    takes_key = len(parameters(apply)) >= 4

    def applied(params: Params, x: jax.Array, key: jax.Array, training: bool) -> jax.Array:
        outputs: jax.Array = apply(params, x, key, training) if takes_key else apply(params, x)
        return outputs

    return Model(init, applied, draws=takes_key, shapes=jax.eval_shape(init, abstract_key()))


def in_bfloat16(model: Model) -> Model:
    """The model that computes in bfloat16 from float32 parameters, and whose outputs are float32 again.

    Its gradients are those of the float32 parameters, through the rounding.
    """

    def apply(params: Params, x: jax.Array, key: jax.Array, training: bool) -> jax.Array:
        outputs = model.apply(jax.tree.map(_rounded, params), _rounded(x), key, training)
        return outputs.astype(jnp.float32)

    return model._replace(apply=apply)


def _rounded(array: jax.Array) -> jax.Array:
    return array.astype(jnp.bfloat16) if array.dtype == jnp.float32 else array


def abstract_key() -> Any:
    """A random key for tracing: a real one is computed, and for that a small program is compiled."""
    return jax.eval_shape(jax.random.key, 0)
