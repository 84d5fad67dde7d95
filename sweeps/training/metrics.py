"""Metrics: `metric(outputs, targets)` over a whole split at once, so that they are exact, however it is batched.

Outputs are `[rows, outputs]`; class targets int32 `[rows]`, others float32 `[rows]` or `[rows, outputs]`. The result
is a scalar f32. A class is predicted by the highest output, the first of equals, or by whether the one output is above
a threshold. Metrics of order (`top`, `auc`) count ties as ties, so that the order of rows changes nothing. A metric of
the user's own has the same signature.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp

from sweeps.config.names import TOP
from sweeps.training import components

Metric: TypeAlias = Callable[[jax.Array, jax.Array], jax.Array]


def accuracy(outputs: jax.Array, targets: jax.Array, threshold: float = 0.0) -> jax.Array:
    """The fraction of rows whose predicted class is the target."""
    return (_predicted(outputs, threshold) == _labels(outputs, targets)).mean(dtype=jnp.float32)


def precision(outputs: jax.Array, targets: jax.Array, threshold: float = 0.0) -> jax.Array:
    """Of the rows that are predicted to be of class 1, the fraction that are; 0 where none is predicted to be."""
    hits, predicted, _ = _of_class_one("precision", outputs, targets, threshold)
    return _quotient(hits, predicted)


def recall(outputs: jax.Array, targets: jax.Array, threshold: float = 0.0) -> jax.Array:
    """Of the rows of class 1, the fraction that are predicted to be; 0 where there are none."""
    hits, _, actual = _of_class_one("recall", outputs, targets, threshold)
    return _quotient(hits, actual)


def f1(outputs: jax.Array, targets: jax.Array, threshold: float = 0.0) -> jax.Array:
    """The harmonic mean of precision and recall of class 1; 0 where it is neither predicted nor there."""
    hits, predicted, actual = _of_class_one("f1", outputs, targets, threshold)
    return _quotient(2 * hits, predicted + actual)


def precision_macro(outputs: jax.Array, targets: jax.Array, threshold: float = 0.0) -> jax.Array:
    """The mean of the classes' precisions, over the classes that are predicted or there."""
    hits, predicted, actual = _counts(outputs, targets, threshold)
    return _mean(_quotient(hits, predicted), predicted + actual > 0)


def recall_macro(outputs: jax.Array, targets: jax.Array, threshold: float = 0.0) -> jax.Array:
    """The mean of the classes' recalls, over the classes that are predicted or there."""
    hits, predicted, actual = _counts(outputs, targets, threshold)
    return _mean(_quotient(hits, actual), predicted + actual > 0)


def f1_macro(outputs: jax.Array, targets: jax.Array, threshold: float = 0.0) -> jax.Array:
    """The mean of the classes' F1, over the classes that are predicted or there."""
    hits, predicted, actual = _counts(outputs, targets, threshold)
    return _mean(_quotient(2 * hits, predicted + actual), predicted + actual > 0)


def top(among: int, outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """The fraction of rows whose target is among the `among` highest outputs; of equal outputs the first is higher.

    Raises:
        ValueError: there are not more outputs than that.
    """
    classes = outputs.shape[-1]
    if among >= classes:
        raise ValueError(f"top_{among} needs more than {among} classes, but there are {classes}")
    labels = _labels(outputs, targets)[:, None]
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
    labels = _labels(outputs, targets)
    classes = outputs.shape[-1]
    if classes <= 2:
        return _area(outputs[:, -1] - (outputs[:, 0] if classes == 2 else 0), labels == 1)
    scores = jax.nn.log_softmax(outputs, axis=-1).T
    are_positive = labels[None] == jnp.arange(classes)[:, None]
    areas: jax.Array = jax.lax.map(lambda each: _area(*each), (scores, are_positive))
    return areas.mean()


def r2(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """The part of the targets' variance that is explained, averaged over outputs.

    Where targets do not vary it is 1 if they are met exactly, and 0 if not.
    """
    targets = _like(targets, outputs)
    left = jnp.square(targets - outputs).sum(axis=0)
    total = jnp.square(targets - targets.mean(axis=0)[None]).sum(axis=0)
    steady = jnp.where(left == 0, 1.0, 0.0)
    return jnp.where(total == 0, steady, 1 - left / jnp.where(total == 0, 1, total)).mean()


def mean_absolute_error(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """The absolute difference, averaged over rows and outputs."""
    return jnp.abs(outputs - _like(targets, outputs)).mean()


def mean_squared_error(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """The squared difference, averaged over rows and outputs."""
    return jnp.square(outputs - _like(targets, outputs)).mean()


OF_CLASSES: dict[str, Callable[..., jax.Array]] = {
    "accuracy": accuracy,
    "precision": precision,
    "recall": recall,
    "f1": f1,
    "precision_macro": precision_macro,
    "recall_macro": recall_macro,
    "f1_macro": f1_macro,
}
"""Those that predict a class, and so need to know which value of a single output divides two classes."""
METRICS: dict[str, Metric] = {
    **OF_CLASSES,
    "auc": auc,
    "r2": r2,
    "mean_absolute_error": mean_absolute_error,
    "mean_squared_error": mean_squared_error,
}


def build_metric(use: str, threshold: float = 0.0) -> Metric:
    """The metric that `use` names: built in, `top_5` and its like, or `module:name`.

    Class 1 is predicted where a single output is above `threshold`.

    Raises:
        ModelError: there is no such metric.
    """
    if use in OF_CLASSES and threshold != 0:
        return functools.partial(OF_CLASSES[use], threshold=threshold)
    if among := TOP.fullmatch(use):
        return functools.partial(top, int(among[1]))
    return components.find(use, METRICS)


def _predicted(outputs: jax.Array, threshold: float) -> jax.Array:
    """The predicted class of each row, i32 `[rows]`."""
    predicted = outputs[:, 0] > threshold if outputs.shape[-1] == 1 else outputs.argmax(axis=-1)
    return predicted.astype(jnp.int32)


def _labels(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    return targets.reshape(len(outputs)).astype(jnp.int32)


def _counts(outputs: jax.Array, targets: jax.Array, threshold: float) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Of each class, i32 `[classes]`: rows that are rightly predicted, rows that are predicted, rows that there are."""
    classes = jnp.arange(max(outputs.shape[-1], 2), dtype=jnp.int32)
    predicted = _predicted(outputs, threshold)[:, None] == classes[None]
    actual = _labels(outputs, targets)[:, None] == classes[None]
    hits, said, there = ((each).sum(axis=0, dtype=jnp.int32) for each in (predicted & actual, predicted, actual))
    return hits, said, there


def _of_class_one(
    name: str, outputs: jax.Array, targets: jax.Array, threshold: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    if outputs.shape[-1] > 2:
        raise ValueError(f"{name} is of two classes; for {outputs.shape[-1]}, use {name}_macro")
    hits, predicted, actual = (counts[1] for counts in _counts(outputs, targets, threshold))
    return hits, predicted, actual


def _quotient(part: jax.Array, whole: jax.Array) -> jax.Array:
    """`part / whole`, or 0 where `whole` is 0."""
    return part.astype(jnp.float32) / jnp.maximum(whole, 1).astype(jnp.float32)


def _mean(values: jax.Array, counts: jax.Array) -> jax.Array:
    return jnp.where(counts, values, 0).sum() / counts.sum(dtype=jnp.float32)


def _like(targets: jax.Array, outputs: jax.Array) -> jax.Array:
    return targets.reshape(outputs.shape).astype(outputs.dtype)


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
