"""What every model is adapted to: two pure functions of arrays.

What a model holds is either trained (`params`) or kept from one batch to the next (`state`: running statistics);
nothing else outlives a call. Random draws come from the key of the call.
"""

from __future__ import annotations

import contextlib
import math
import operator
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from sweeps.errors import ModelError
from sweeps.training.adapters.layers import Layer
from sweeps.training.lane_placeholder import LanePlaceholder, within

Params: TypeAlias = Any
State: TypeAlias = Any


class Inputs(NamedTuple):
    """What a model is called on: `[rows, *shape]` of this dtype."""

    shape: tuple[int, ...]
    dtype: Any

    def rows(self, count: int) -> Any:
        """So many rows, for tracing."""
        return jax.ShapeDtypeStruct((count, *self.shape), self.dtype)  # type: ignore[no-untyped-call]


class Variables(NamedTuple):
    """The arrays of a model, as two trees of dicts and lists. Most models have an empty `state`."""

    params: Params
    state: State

    @property
    def tree(self) -> Any:
        """As one tree, for the disk: the parameters alone, or `{"params": …, "state": …}` where there is a state."""
        return self._asdict() if jax.tree.leaves(self.state) else self.params


class Model(NamedTuple):
    """A model as `init(key) -> Variables` and `apply(params, state, x, key, training) -> (outputs, state)`.

    `x` is `[rows, *input_shape]`, outputs are `[rows, outputs]`. `key` feeds what the model draws while it trains
    (dropout). A batch of a model that `is_whole` is never split into parts nor padded.
    """

    init: Callable[[jax.Array], Variables]
    apply: Callable[[Params, State, jax.Array, jax.Array, bool], tuple[jax.Array, State]]
    draws: bool  # whether `apply` uses its key
    shapes: Variables  # of jax.ShapeDtypeStruct: what `init` makes
    is_whole: bool = False
    ending: str = ""  # "softmax", "sigmoid" or "linear", where the trace shows what gives the outputs
    penalty: Callable[[Params], jax.Array] | None = None  # what weights add to a batch's loss (regularizers), a scalar
    constrain: Callable[[Params], Params] | None = None  # what parameters become after each update
    layers: Callable[[], list[Layer]] = list  # what `sweep summary` shows; [] where it is not known
    own: Callable[[Variables], Any] = operator.attrgetter("tree")
    """The user's own object with trained arrays in it; of plain functions, which hold none, the arrays."""
    constants: tuple[Any, ...] = ()
    """The arrays that `apply` brings along, by its trace."""
    numbers: tuple[LanePlaceholder, ...] = ()
    """Arguments whose values are those of the lane: nothing but `shapes` is to be had without `bound`."""

    @property
    def parameter_count(self) -> int:
        return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(self.shapes.params))

    def variables(self, tree: Any) -> Variables:
        """The reverse of `Variables.tree`."""
        return Variables(**tree) if jax.tree.leaves(self.shapes.state) else Variables(tree, self.shapes.state)

    def bound(self, values: Mapping[str, Any]) -> Model:
        """With a lane's values of its numbers, by their names, which must be tracers; others are passed over."""
        if not self.numbers:
            return self
        mine = {number.name: values[number.name] for number in self.numbers}
        return self._replace(init=within(mine, self.init), apply=within(mine, self.apply))


class MadeAnew:
    """Lets every module pass that a function returns, but the one that it returned before.

    That was made once, when its file was imported, and trials would begin with the same weights.
    """

    def __init__(self, target: Callable[..., Any], source: str) -> None:
        self._called, self._source = getattr(target, "__name__", str(target)), source
        self._last: Callable[[], Any] = lambda: None

    def __call__(self, module: Any) -> Any:
        """Raises: ModelError where the function has returned it before."""
        if module is not None and self._last() is module:
            what = f"{self._called} returned a model that it had returned before, and trials would begin with the same"
            raise ModelError(f"{what} weights. Make it within the function, with its `{self._source}`")
        with contextlib.suppress(TypeError):  # of what is no module, which is told elsewhere
            self._last = weakref.ref(module)
        return module


def abstract_key() -> Any:
    """A random key for tracing: a real one is computed, and for that a small program is compiled."""
    return jax.eval_shape(jax.random.key, 0)


def abstract_values(numbers: Iterable[LanePlaceholder]) -> dict[str, Any]:
    """Values of lane numbers for tracing."""
    scalar = jax.ShapeDtypeStruct((), jnp.float32)  # type: ignore[no-untyped-call]  # JAX leaves it untyped
    return {number.name: scalar for number in numbers}


def shapes_of(init: Callable[[jax.Array], Any], numbers: Iterable[LanePlaceholder] = ()) -> Any:
    """What `init` makes, as `jax.eval_shape` has it."""
    return jax.eval_shape(lambda key, values: within(values, init)(key), abstract_key(), abstract_values(numbers))
