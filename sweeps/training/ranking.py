"""Metrics of order: which outputs are higher than which. The rule: ties are ties, so that no order of rows matters."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def top(among: int, outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """The fraction of rows whose target is among the `among` highest outputs; of equal outputs the first is higher.

    Raises:
        ValueError: there are not more outputs than that.
    """
    classes = outputs.shape[-1]
    if among >= classes:
        raise ValueError(f"top_{among} needs more than {among} classes, but there are {classes}")
    labels = targets.reshape(len(outputs)).astype(jnp.int32)[:, None]
    own = jnp.take_along_axis(outputs, labels, axis=1)
    places = jnp.arange(classes, dtype=jnp.int32)[None]
    # Written as "not below", so that no output beats a NaN.
    is_below = (outputs < own) | ((outputs == own) & (places > labels))
    ahead = (~is_below & (places != labels)).sum(axis=1, dtype=jnp.int32)
    return (ahead < among).mean(dtype=jnp.float32)


def auc(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """The area under the receiver operating characteristic; NaN where a class has no rows, or all.

    It is the chance that a row of the class scores higher than one that is not (Hanley and McNeil, 1982). One output is
    the score of class 1, and of two their difference; of more, outputs are logits, each class is held against the rest
    by its probability, and the classes' areas are averaged.
    """
    labels = targets.reshape(len(outputs)).astype(jnp.int32)
    classes = outputs.shape[-1]
    if classes <= 2:
        return _area(outputs[:, -1] - (outputs[:, 0] if classes == 2 else 0), labels == 1)
    scores = jax.nn.log_softmax(outputs, axis=-1).T
    are_positive = labels[None] == jnp.arange(classes)[:, None]
    areas: jax.Array = jax.lax.map(lambda each: _area(*each), (scores, are_positive))
    return areas.mean()


def _area(scores: jax.Array, is_positive: jax.Array) -> jax.Array:
    """By counting: `scores` f32 `[rows]`, `is_positive` bool `[rows]`.

    Each positive row adds its own fraction of negatives below it, which float32 holds; sums of ranks would not fit.
    """
    negatives = jnp.sort(jnp.where(is_positive, jnp.inf, scores))
    count = (~is_positive).sum(dtype=jnp.int32)
    below, upto = (jnp.minimum(jnp.searchsorted(negatives, scores, side=side), count) for side in ("left", "right"))
    beaten = (below + upto).astype(jnp.float32) / (2 * count).astype(jnp.float32)
    area = jnp.where(is_positive, beaten, 0).sum() / is_positive.sum(dtype=jnp.float32)
    return jnp.where(jnp.isnan(scores).any(), jnp.nan, area)
