"""Losses: `loss(outputs, targets)` gives one number a row; the program takes their mean over each batch.

Outputs are of shape `[rows, outputs]`; class targets are int32 `[rows]`, other targets float32 `[rows]` or
`[rows, outputs]`. A loss's numbers, such as huber's `delta`, may be tracers, so that they differ from lane to lane. A
loss of the user's own has the same signature, and says what outputs are to it: `datasets.targets.said_outputs`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jax import lax

from sweeps.datasets import targets as reading
from sweeps.datasets.dataset import Dataset
from sweeps.errors import DataError
from sweeps.training import components

Loss: TypeAlias = Callable[[jax.Array, jax.Array], jax.Array]
Number: TypeAlias = float | jax.Array
"""A number of a config, or a lane's own as a tracer (f32)."""
EDGE = 1e-7
FEW_CLASSES = 32
"""Up to here classes come first. On an AMD EPYC the loss and slope of 32 rows compile in 129 ms of CPU instead of 261
for 10 classes, 196 instead of 450 for 26, 221 instead of 216 for 47; 256 rows of 10 take 48 us instead of 40."""


def mean_squared_error(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """The squared difference, averaged over a row's outputs."""
    return jnp.square(outputs - _like(targets, outputs)).mean(axis=-1)


def mean_absolute_error(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """The absolute difference, averaged over a row's outputs."""
    return jnp.abs(outputs - _like(targets, outputs)).mean(axis=-1)


def huber(outputs: jax.Array, targets: jax.Array, delta: Number = 1.0) -> jax.Array:
    """Half the squared difference up to `delta`, a straight line beyond it, averaged over the outputs.

    Args:
        outputs: `[rows, outputs]`.
        targets: `[rows]` or `[rows, outputs]`.
        delta: The difference up to which it is squared.

    Returns:
        f32 `[rows]`.

    References:
        Huber, Robust estimation of a location parameter, 1964.

    >>> huber(jnp.array([[0.5], [3.0]]), jnp.zeros(2)).tolist()
    [0.125, 2.5]
    """
    difference = jnp.abs(outputs - _like(targets, outputs))
    curved = jnp.minimum(difference, delta)
    return (0.5 * jnp.square(curved) + delta * (difference - curved)).mean(axis=-1)


def binary_cross_entropy(
    outputs: jax.Array, targets: jax.Array, from_logits: bool = True, label_smoothing: Number = 0.0
) -> jax.Array:
    """The cross-entropy of independent yes/no targets, averaged over a row's outputs.

    Args:
        outputs: `[rows, outputs]`, logits or probabilities. The latter are kept `EDGE` away from 0 and 1, so that the
            loss of a model which is sure of what is wrong stays finite.
        targets: `[rows]` or `[rows, outputs]`, from 0 to 1.
        from_logits: Whether outputs are logits.
        label_smoothing: How much of each target is spread evenly over yes and no.

    Returns:
        f32 `[rows]`.
    """
    targets = _like(targets, outputs)
    if not (isinstance(label_smoothing, float) and label_smoothing == 0):
        targets = targets * (1 - label_smoothing) + label_smoothing / 2
    if from_logits:
        losses: jax.Array = optax.sigmoid_binary_cross_entropy(outputs, targets)
    else:
        chances = jnp.clip(outputs, EDGE, 1 - EDGE)
        losses = -targets * jnp.log(chances) - (1 - targets) * jnp.log1p(-chances)
    return losses.mean(axis=-1)


@jax.custom_jvp
def softmax_cross_entropy(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """The cross-entropy of one class among many; targets are class labels.

    The label's output is picked with a mask, because on a CPU picking by index makes its gradient a scatter, which
    takes longer than the rest of the loss. The derivative is written down (softmax minus label), because XLA makes half
    as many kernels again of what differentiation finds, and each takes it 15 ms to compile.
    """
    return _softmax_cross_entropy(outputs, targets)[0]


@softmax_cross_entropy.defjvp
def _(primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, Any]) -> tuple[jax.Array, jax.Array]:
    loss, slope = _softmax_cross_entropy(*primals)
    return loss, lax.reduce_sum(lax.mul(slope, tangents[0]), (slope.ndim - 1,))


def _softmax_cross_entropy(outputs: jax.Array, targets: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The loss `[rows]`, and its derivative by the outputs `[rows, outputs]`.

    A few classes come first and the rows last: LLVM writes a loop over a few classes out in full, which takes it twice
    as long to compile (`FEW_CLASSES`). `lax` throughout, as each operator of `jnp` is traced as a function of its own.
    """
    last = outputs.ndim - 1
    axis = 0 if outputs.shape[last] <= FEW_CLASSES else last
    order = (last, *range(last)) if axis == 0 else tuple(range(outputs.ndim))
    back = (*range(1, outputs.ndim), 0) if axis == 0 else order
    logits = lax.transpose(outputs, order)
    rows = tuple(dimension for dimension in range(logits.ndim) if dimension != axis)

    def spread(of_rows: jax.Array) -> jax.Array:
        return lax.broadcast_in_dim(of_rows, logits.shape, rows)

    shifted = lax.sub(logits, spread(lax.reduce_max(logits, (axis,))))
    exponentials = lax.exp(shifted)
    total = lax.reduce_sum(exponentials, (axis,))
    is_label = lax.eq(lax.broadcasted_iota(targets.dtype, logits.shape, axis), spread(targets))
    of_label = lax.reduce_sum(lax.select(is_label, shifted, lax.full_like(shifted, 0)), (axis,))
    slope = lax.sub(lax.div(exponentials, spread(total)), lax.convert_element_type(is_label, outputs.dtype))
    return lax.sub(lax.log(total), of_label), lax.transpose(slope, back)


def smoothed_softmax_cross_entropy(outputs: jax.Array, targets: jax.Array, label_smoothing: Number = 0.0) -> jax.Array:
    """`softmax_cross_entropy` against targets of which a part is spread evenly over all classes.

    Moving that part to the mean over classes adds what the label's output has over the mean output.

    References:
        Szegedy et al., Rethinking the inception architecture for computer vision, 2016.
    """
    classes = outputs.ndim - 1
    is_label = lax.broadcasted_iota(targets.dtype, outputs.shape, classes) == targets[..., None]
    excess = (outputs * (is_label.astype(outputs.dtype) - 1 / outputs.shape[classes])).sum(axis=-1)
    return softmax_cross_entropy(outputs, targets) + label_smoothing * excess


def softmax_cross_entropy_of_probabilities(
    outputs: jax.Array, targets: jax.Array, label_smoothing: Number = 0.0
) -> jax.Array:
    """The same of outputs that have gone through a softmax already; they are kept `EDGE` away from 0 and 1.

    Logits are the better way: where a model is sure of what is wrong, this loss has no slope.
    """
    chances = jnp.clip(outputs / outputs.sum(axis=-1, keepdims=True), EDGE, 1 - EDGE)
    logarithms = jnp.log(chances)
    is_label = lax.broadcasted_iota(targets.dtype, outputs.shape, outputs.ndim - 1) == targets[..., None]
    of_label = jnp.where(is_label, logarithms, 0).sum(axis=-1)
    return -of_label - label_smoothing * (logarithms.mean(axis=-1) - of_label)


LOSSES: dict[str, Callable[..., jax.Array]] = {
    "mean_squared_error": mean_squared_error,
    "mean_absolute_error": mean_absolute_error,
    "huber": huber,
    "binary_cross_entropy": binary_cross_entropy,
    "softmax_cross_entropy": softmax_cross_entropy,
}


def build_loss(use: str, arguments: Mapping[str, Any]) -> Loss:
    """The loss with its arguments, some of which may be tracers.

    Raises:
        ModelError: there is no such loss.
    """
    loss, given = components.find(use, LOSSES), _taken(use, arguments)
    if loss is softmax_cross_entropy and not given.pop("from_logits", True):
        loss = softmax_cross_entropy_of_probabilities
    elif loss is softmax_cross_entropy and given:
        loss = smoothed_softmax_cross_entropy
    return functools.partial(loss, **given) if given else loss


def traceable_arguments(use: str, arguments: Mapping[str, Any]) -> frozenset[str]:
    """The numeric arguments that are values of a lane: all of a built-in loss; one's own are tried on two rows.

    Raises:
        ModelError: there is no such loss.
    """
    loss, arguments = components.find(use, LOSSES), _taken(use, arguments)
    if use in LOSSES:
        return frozenset(name for name, value in arguments.items() if components.is_number(value))
    outputs, labels, numbers = jnp.zeros((2, 2)), jnp.zeros(2, jnp.int32), jnp.zeros((2, 2))
    of_labels = components.traceable(lambda given: loss(outputs, labels, **given), arguments)
    return of_labels | components.traceable(lambda given: loss(outputs, numbers, **given), arguments)


def decision_threshold(use: str, arguments: Mapping[str, Any]) -> float:
    """Above which value a single output means class 1, of a model that is trained with this loss.

    It is 0 for logits and scores. Probabilities, and values regressed on the labels 0 and 1, are halfway at 0.5.
    """
    if use == "binary_cross_entropy":
        return 0.0 if arguments.get("from_logits", True) else 0.5
    if use in reading.OF_NUMBERS:
        return 0.5
    meaning = reading.said_outputs(use, arguments).meaning
    return {"probabilities": 0.5, "values": 0.5, "counts": 0.5, "log_counts": math.log(0.5)}.get(str(meaning), 0.0)


def meaning(use: str, arguments: Mapping[str, Any], dataset: Dataset | None = None) -> str:
    """What outputs are after training with a loss: logits of a "softmax" or "sigmoid", or what they are called.

    Without a dataset the logits of a loss of the user's own are those of a softmax. Where such a loss says nothing,
    outputs are "values".
    """
    if use in LOSSES:
        logits = {"binary_cross_entropy": "sigmoid", "softmax_cross_entropy": "softmax"}.get(use, "values")
        return logits if logits == "values" or arguments.get("from_logits", True) else "probabilities"
    said = reading.said_outputs(use, arguments)
    if said.meaning != "logits":
        return said.meaning or "values"
    is_softmax = dataset is None or (dataset.classes is not None and said.number != 1)
    return "softmax" if is_softmax else "sigmoid"


def outputs_needed(use: str, dataset: Dataset, arguments: Mapping[str, Any] = reading.NO_ARGUMENTS) -> int:
    """How many outputs a model must have under a loss: one a class for softmax, else one a target number.

    A loss of the user's own says whether its outputs are of classes, and may say how many there are.

    Raises:
        DataError: the loss does not take such targets.
    """
    if use == "softmax_cross_entropy":
        if dataset.classes is None:
            raise DataError("softmax_cross_entropy needs class labels (whole numbers), but the targets are fractional")
        return dataset.classes
    if use == "binary_cross_entropy":
        low, high = dataset.train.y.min(), dataset.train.y.max()
        if low < 0 or high > 1:
            other = "; use softmax_cross_entropy" if dataset.classes else ""
            raise DataError(f"binary_cross_entropy needs targets between 0 and 1, but got {low:g} to {high:g}{other}")
    return _of_own(use, dataset, reading.said_outputs(use, arguments)) if ":" in use else dataset.target_width


def _of_own(use: str, dataset: Dataset, said: reading.SaidOutputs) -> int:
    """How many outputs a loss of the user's own needs, by what it says of them."""
    classes = None if said.meaning in reading.NUMBER_OUTPUTS else dataset.classes
    if said.meaning in reading.CLASS_OUTPUTS and classes is None and dataset.target_width == 1:
        low, high = dataset.train.y.min(), dataset.train.y.max()
        if low < 0 or high > 1:
            raise DataError(
                f"to {use} outputs are {said.meaning}, but the targets are fractions from {low:g} to {high:g}"
            )
    if said.number is None:
        return classes or dataset.target_width
    if classes is not None and said.number != classes and (said.number, classes) != (1, 2):
        one = "1 or 2" if classes == 2 else f"{classes}"
        raise DataError(f"`{reading.COUNT}` of {use} must be {one} for {classes} classes, but got {said.number}")
    if dataset.target_scaling is not None and said.number != dataset.target_width:
        rule = f"scale_target needs an output for each of a target's {dataset.target_width} numbers"
        raise DataError(f"{rule}, but {use} has {said.number}, which could not be taken back into the data's units")
    return said.number


def _taken(use: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that a loss's function takes: what one's own says of outputs is for the sweep."""
    ours = (reading.OUTPUTS, reading.COUNT) if ":" in use else ()
    return {name: value for name, value in arguments.items() if name not in ours}


def _like(targets: jax.Array, outputs: jax.Array) -> jax.Array:
    return targets.reshape(outputs.shape).astype(outputs.dtype)
