"""Numbers of a model that are not known while it is made: they are those of the lane that computes.

A `LanePlaceholder` stands for a number whose value is known in a lane only. Computing with it needs `bound`, and gives
arrays. A comparison with a plain number is answered where the whole searched interval answers alike. Anything else that
a model asks of it raises, and then the argument selects programs as any other does.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from numbers import Real
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


class UnboundError(Exception):
    """A model wants to know what it cannot know of a number of its lane."""


def _operators(compute: Callable[[Any, Any], Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """How a lane number is computed with from its left, and from its right."""
    return (
        lambda number, other: compute(number.__jax_array__(), other),
        lambda number, other: compute(other, number.__jax_array__()),
    )


@dataclass(frozen=True, eq=False)
class LanePlaceholder:
    """Stands for the argument called `name`, whose values are searched from `low` to `high`.

    Equality with a plain number between them is answered False, and the number is remembered: see `asked`. To JAX it
    is a tree of one array, a weakly typed f32 scalar as a Python float is, and so may be passed to jitted functions.

    >>> rate = LanePlaceholder("model.shown", 0.0, 0.5)
    >>> rate == 0.0, 0 <= rate <= 1, asked(rate)
    (False, True, frozenset({0.0}))
    >>> with bound({"model.shown": jnp.float32(0.25)}):
    ...     print(1 - rate)
    0.75
    """

    name: str
    low: float
    high: float
    __array_ufunc__ = None  # so that NumPy leaves operators to this class
    dtype = jnp.dtype("float32")
    __add__, __radd__ = _operators(operator.add)
    __sub__, __rsub__ = _operators(operator.sub)
    __mul__, __rmul__ = _operators(operator.mul)
    __truediv__, __rtruediv__ = _operators(operator.truediv)
    __pow__, __rpow__ = _operators(operator.pow)

    def __jax_array__(self) -> jax.Array:
        values = _VALUES.get()
        if self.name not in values:
            raise UnboundError(f"{self.name} has no value while the model is made")
        return values[self.name]

    def __hash__(self) -> int:
        return hash((self.name, self.low, self.high))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, LanePlaceholder):
            return (self.name, self.low, self.high) == (other.name, other.low, other.high)
        return self._answer(operator.eq, float(other)) if isinstance(other, Real) else NotImplemented

    def __ne__(self, other: object) -> bool:
        is_equal = self.__eq__(other)
        return is_equal if is_equal is NotImplemented else not is_equal

    def __bool__(self) -> bool:
        return self != 0

    def __str__(self) -> str:
        return f"{self.low}…{self.high}"

    def __neg__(self) -> jax.Array:
        return -self.__jax_array__()

    def __abs__(self) -> jax.Array:
        return abs(self.__jax_array__())

    def __lt__(self, other: Any) -> Any:
        return self._ordered(operator.lt, other)

    def __le__(self, other: Any) -> Any:
        return self._ordered(operator.le, other)

    def __gt__(self, other: Any) -> Any:
        return self._ordered(operator.gt, other)

    def __ge__(self, other: Any) -> Any:
        return self._ordered(operator.ge, other)

    def _ordered(self, compare: Callable[[Any, Any], Any], other: Any) -> Any:
        if not isinstance(other, Real):
            return compare(self.__jax_array__(), other)
        if self.low < float(other) < self.high:
            raise UnboundError(f"some values of {self.name} are less than {other}, and some are not")
        return self._answer(compare, float(other))

    def _answer(self, compare: Callable[[Any, Any], Any], other: float) -> bool:
        """That of the values between `low` and `high` that are not `other`; those that answer otherwise are noted."""
        is_so = False if compare is operator.eq else bool(compare(self.low / 2 + self.high / 2, other))
        odd = {end for end in (self.low, self.high, other) if self.low <= end <= self.high}
        _ASKED.setdefault(self, set()).update(end for end in odd if compare(end, other) != is_so)
        return is_so


def asked(number: LanePlaceholder) -> frozenset[float]:
    """Values of this number for which a comparison has been answered as it is for all the others."""
    return frozenset(_ASKED.get(number, ()))


@contextlib.contextmanager
def bound(values: Mapping[str, Any]) -> Iterator[None]:
    """Meanwhile, in this thread, lane numbers stand for these values, scalars by the numbers' names.

    They must be tracers wherever a model runs: what its own jitted functions have seen of plain arrays would stay.
    """
    weak = {name: _weak(jnp.asarray(value, jnp.float32)) for name, value in values.items()}
    token = _VALUES.set(weak)
    try:
        yield
    finally:
        _VALUES.reset(token)


def within(values: Mapping[str, Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, during whose calls lane numbers stand for these values."""

    def call(*arguments: Any, **named: Any) -> Any:
        with bound(values):
            return function(*arguments, **named)

    return call


_VALUES: ContextVar[Mapping[str, jax.Array]] = ContextVar("values", default=MappingProxyType({}))
_ASKED: dict[LanePlaceholder, set[float]] = {}


def _weak(value: jax.Array) -> jax.Array:
    """The same, but typed as weakly as a Python float: beside an array of 16 bits it has 16 bits."""
    weak: jax.Array = lax.convert_element_type_p.bind(value, new_dtype=value.dtype, weak_type=True, sharding=None)
    return weak


def _flatten(number: LanePlaceholder) -> tuple[tuple[jax.Array, ...], LanePlaceholder]:
    return ((number.__jax_array__(),) if number.name in _VALUES.get() else ()), number


def _unflatten(number: LanePlaceholder, arrays: Iterable[Any]) -> Any:
    return next(iter(arrays), number)


# A jitted function takes no other object than a tree of arrays, and what it gets is the array itself.
jax.tree_util.register_pytree_node(LanePlaceholder, _flatten, _unflatten)
