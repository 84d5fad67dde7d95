"""Schedules: `schedule(progress, …)` is what the learning rate is multiplied by after a part of a trial's iterations.

`progress` is iterations done / iterations in all, from 0 to just below 1; it and every argument may be tracers. So one
program serves all lengths of training, which optax's own schedules, that count steps, do not allow.

All rise from `start` to 1 in the first `warmup` of the iterations: in a straight line, but for `one_cycle`. Then `rest`
goes from 0 to 1.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from sweeps.training import components

Number: TypeAlias = float | jax.Array
Schedule: TypeAlias = Callable[[jax.Array], jax.Array]


def constant(progress: jax.Array, warmup: Number = 0.0, start: Number = 0.0) -> jax.Array:
    """1 after the warm-up."""
    return _after_warmup(progress, warmup, start, jnp.ones_like)


def linear(progress: jax.Array, warmup: Number = 0.0, start: Number = 0.0, final: Number = 0.0) -> jax.Array:
    """A straight line to `final`.

    >>> [float(linear(jnp.float32(progress), final=0.5)) for progress in (0, 0.5, 1)]
    [1.0, 0.75, 0.5]
    """
    return _after_warmup(progress, warmup, start, lambda rest: 1 + (final - 1) * rest)


def cosine(progress: jax.Array, warmup: Number = 0.0, start: Number = 0.0, final: Number = 0.0) -> jax.Array:
    """Half a cosine wave down to `final` (Loshchilov and Hutter, 2017)."""
    return _after_warmup(progress, warmup, start, lambda rest: _wave(1.0, final, rest))


def exponential(progress: jax.Array, warmup: Number = 0.0, start: Number = 0.0, final: Number = 0.01) -> jax.Array:
    """By the same factor in every iteration, to `final`."""
    return _after_warmup(progress, warmup, start, lambda rest: jnp.power(jnp.float32(final), rest))


def one_cycle(progress: jax.Array, warmup: Number = 0.3, start: Number = 0.04, final: Number = 4e-6) -> jax.Array:
    """Half a cosine wave up and half a one down (Smith and Topin, 2018)."""
    rising = _wave(start, 1.0, progress / jnp.maximum(warmup, TINY))
    return jnp.where(progress < warmup, rising, _wave(1.0, final, _rest(progress, warmup)))


SCHEDULES: dict[str, Callable[..., jax.Array]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "exponential": exponential,
    "one_cycle": one_cycle,
}
TINY = 1e-30


def build_schedule(use: str, arguments: Mapping[str, Any]) -> Schedule:
    """The schedule with its arguments, some of which may be tracers.

    Raises:
        ModelError: there is no such schedule.
    """
    return functools.partial(components.find(use, SCHEDULES), **arguments)


def traceable_arguments(use: str, arguments: Mapping[str, Any]) -> frozenset[str]:
    """The numeric arguments that may be tracers: all of a built-in schedule; one's own are tried.

    Raises:
        ModelError: there is no such schedule.
    """
    schedule = components.find(use, SCHEDULES)
    if use in SCHEDULES:
        return frozenset(name for name, value in arguments.items() if components.is_number(value))
    return components.traceable(lambda given: schedule(jnp.zeros(()), **given), arguments)


def _after_warmup(
    progress: jax.Array, warmup: Number, start: Number, shape: Callable[[jax.Array], jax.Array]
) -> jax.Array:
    rising = start + (1 - start) * progress / jnp.maximum(warmup, TINY)
    return jnp.where(progress < warmup, rising, shape(_rest(progress, warmup)))


def _rest(progress: jax.Array, warmup: Number) -> jax.Array:
    """How far the iterations after the warm-up have gone, from 0 to 1."""
    return jnp.maximum(progress - warmup, 0) / jnp.maximum(1 - warmup, TINY)


def _wave(first: Number, last: Number, part: jax.Array) -> jax.Array:
    return last + (first - last) * (1 + jnp.cos(jnp.pi * part)) / 2
