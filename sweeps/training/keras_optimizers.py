"""Keras's update rules where optax has them a little differently: `epsilon` stands where Keras has it.

Configs name these functions, so they stay where they are. Arguments are called as optax calls them. Kingma and Ba,
"Adam", 2015, have both forms of the rule: optax adds epsilon to the bias-corrected root of the second moment, Keras to
the root itself (their "epsilon hat", end of section 2).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

Rule = Callable[[jax.Array, jax.Array, jax.Array], Any]


def adam(
    learning_rate: Any, b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-7, weight_decay: Any = None
) -> optax.GradientTransformation:
    """Keras's Adam, or with `weight_decay` its AdamW (Loshchilov and Hutter, 2019)."""

    def rule(mean: jax.Array, square: jax.Array, count: jax.Array) -> Any:
        return mean / (1 - b1**count) * jnp.sqrt(1 - b2**count) / (jnp.sqrt(square) + eps)

    scaled = _by(optax.scale_by_adam(b1, b2), rule)
    decayed = [] if weight_decay is None else [optax.add_decayed_weights(weight_decay)]
    return optax.chain(scaled, *decayed, optax.scale_by_learning_rate(learning_rate))


def adamax(learning_rate: Any, b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-7) -> optax.GradientTransformation:
    """Keras's Adamax: epsilon is added to the greatest gradient, and is no part of it."""

    def rule(mean: jax.Array, greatest: jax.Array, count: jax.Array) -> Any:
        return mean / (1 - b1**count) / (greatest + eps)

    return optax.chain(_by(optax.scale_by_adamax(b1, b2, 0.0), rule), optax.scale_by_learning_rate(learning_rate))


def _by(moments: optax.GradientTransformation, rule: Rule) -> optax.GradientTransformation:
    """The moments as optax keeps them, and the rule for what is made of them: of both, and the count of updates."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        _, after = moments.update(updates, state, params)
        count = after.count.astype(jnp.float32)
        return jax.tree.map(lambda mean, other: rule(mean, other, count), after.mu, after.nu), after

    return optax.GradientTransformation(moments.init, update)
