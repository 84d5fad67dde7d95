"""Losses: `loss(outputs, targets)` gives one number a row; the program takes their mean over each batch.

Outputs are logits of shape `[rows, outputs]`; class targets are int32 `[rows]`, other targets float32 `[rows]` or
`[rows, outputs]`. A loss of the user's own has the same signature.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
import optax

from sweeps.datasets.base import Dataset
from sweeps.errors import DataError, ModelError
from sweeps.locate import locate

Loss: TypeAlias = Callable[[jax.Array, jax.Array], jax.Array]


def mean_squared_error(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """The squared difference, averaged over a row's outputs."""
    return jnp.square(outputs - _like(targets, outputs)).mean(axis=-1)


def binary_cross_entropy(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """The cross-entropy of independent yes/no targets (0 or 1), averaged over a row's outputs."""
    losses: jax.Array = optax.sigmoid_binary_cross_entropy(outputs, _like(targets, outputs))
    return losses.mean(axis=-1)


def softmax_cross_entropy(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """The cross-entropy of one class among many; targets are class labels.

    The label's output is picked with a mask, because on a CPU picking by index makes its gradient a scatter, which
    takes longer than the rest of the loss.
    """
    shifted = outputs - jax.lax.stop_gradient(outputs.max(axis=-1, keepdims=True))
    is_label = jax.nn.one_hot(targets, outputs.shape[-1], dtype=bool)
    of_label = jnp.where(is_label, shifted, 0).sum(axis=-1)
    return jnp.log(jnp.exp(shifted).sum(axis=-1)) - of_label


LOSSES: dict[str, Loss] = {
    "mean_squared_error": mean_squared_error,
    "binary_cross_entropy": binary_cross_entropy,
    "softmax_cross_entropy": softmax_cross_entropy,
}


def find_loss(use: str) -> Loss:
    """The loss that `use` names, built in or `module:name`."""
    if use in LOSSES:
        return LOSSES[use]
    loss: Loss = locate(use, ModelError)
    return loss


def outputs_needed(use: str, dataset: Dataset) -> int:
    """How many outputs a model must have under a loss: one a class for softmax, else one a target number.

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
    if ":" in use and dataset.classes is not None:
        return dataset.classes
    return dataset.target_width


def _like(targets: jax.Array, outputs: jax.Array) -> jax.Array:
    return targets.reshape(outputs.shape).astype(outputs.dtype)
