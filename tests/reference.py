"""The meaning of the system in fifty lines: one trial, trained in a plain loop.

No lanes, no micro-batches, no masks: each batch is sliced whole and its mean loss is differentiated at once. Everything
fast is compared with this. JAX compiles what is done with a batch, because most tests wait for this loop.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from sweeps.datasets.dataset import Dataset
from sweeps.training.adapters.model import Model, Variables

INIT, ORDER, DRAWS, AUGMENTATION = 0, 1, 2, 4


class Epoch(NamedTuple):
    train_loss: float
    valid_loss: float
    metrics: tuple[float, ...]


def train(
    dataset: Dataset,
    model: Model,
    loss: Callable[..., jax.Array],
    metrics: tuple[Callable[..., jax.Array], ...],
    optimizer: optax.GradientTransformation,
    *,
    seed: int,
    number: int,
    batch_size: int,
    epochs: int,
    chunk_rows: int | None = None,
    augmentation: Mapping[str, float] | None = None,
) -> tuple[Any, list[Epoch]]:
    """Parameters (and the model's state) after the last epoch, and what each epoch reported.

    Rows make one chunk unless said otherwise.
    """
    x, y = dataset.train
    weights = np.ones(len(x), np.float32) if dataset.weights is None else dataset.weights
    lane_key = jax.random.fold_in(jax.random.key(seed), number)
    params, kept = model.init(jax.random.fold_in(lane_key, INIT))
    state, history = optimizer.init(params), []
    differentiated, evaluated = compiled(model.apply, loss)
    for epoch in range(epochs):
        losses = []
        cut = batches(len(x), batch_size, seed=seed, number=number, epoch=epoch, chunk_rows=chunk_rows)
        for update, rows in enumerate(cut):
            key, moves = (drawn_from(lane_key, purpose, epoch, update) for purpose in (DRAWS, AUGMENTATION))
            taken = x[rows] if not augmentation else moved(x[rows], augmentation, moves)
            (value, kept), gradient = differentiated(params, kept, inputs(dataset, taken), y[rows], weights[rows], key)
            changes, state = optimizer.update(gradient, state, params)
            params = optax.apply_updates(params, changes)
            losses.append(float(value) * len(rows))
        outputs, _ = evaluated(params, kept, inputs(dataset, dataset.valid.x), lane_key, False)
        targets = jnp.asarray(dataset.valid.y)
        scores = [float(metric(outputs, targets)) for metric in metrics]
        history.append(Epoch(sum(losses) / len(x), float(loss(outputs, targets).mean()), tuple(scores)))
    return Variables(params, kept).tree, history


@functools.lru_cache(maxsize=32)
def compiled(
    apply: Callable[..., Any], loss: Callable[..., jax.Array]
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A batch's mean loss (with what the model keeps) and its gradient; and the model's outputs."""

    def mean_loss(params: Any, kept: Any, x: jax.Array, y: jax.Array, weights: jax.Array, key: jax.Array) -> Any:
        outputs, kept = apply(params, kept, x, key, True)
        return (weights * loss(outputs, y)).mean(), kept

    return jax.jit(jax.value_and_grad(mean_loss, has_aux=True)), jax.jit(apply, static_argnums=4)


def drawn_from(lane_key: jax.Array, purpose: int, epoch: int, update: int) -> jax.Array:
    """The key of the first part of a batch."""
    for number in (purpose, epoch, update, 0):
        lane_key = jax.random.fold_in(lane_key, number)
    return lane_key


def moved(images: np.ndarray, augmentation: Mapping[str, float], key: jax.Array) -> np.ndarray:
    """Each image mirrored or not and then moved down and right, pixel by pixel; zeros come in."""
    drawn = np.asarray(jax.random.uniform(key, (len(images), 3)))
    made, (height, width) = np.zeros_like(images), images.shape[1:3]
    for row, image in enumerate(images):
        shift = int(augmentation.get("shift", 0))
        down, right = (int(part * (2 * shift + 1)) - shift for part in drawn[row, :2])
        turned = image[:, ::-1] if drawn[row, 2] < augmentation.get("flip", 0) else image
        for line in range(height):
            for column in range(width):
                if 0 <= line + down < height and 0 <= column + right < width:
                    made[row, line + down, column + right] = turned[line, column]
    return made


def batches(
    rows: int, batch_size: int, *, seed: int, number: int, epoch: int, chunk_rows: int | None = None
) -> list[np.ndarray]:
    """The rows of each batch of an epoch (from 0): a random order of every chunk, cut; the last may be shorter."""
    lane_key = jax.random.fold_in(jax.random.key(seed), number)
    key = np.asarray(jax.random.key_data(jax.random.fold_in(lane_key, ORDER)))
    size = rows if chunk_rows is None else chunk_rows
    order = [
        first + permutation(key, epoch, chunk, min(size, rows - first))
        for chunk, first in enumerate(range(0, rows, size))
    ]
    order = np.concatenate(order)
    return [order[start : start + batch_size] for start in range(0, rows, batch_size)]


def permutation(key: np.ndarray, epoch: int, chunk: int, rows: int) -> np.ndarray:
    """An epoch's order of the `rows` rows of a chunk, place by place, in Python's own whole numbers."""
    bits = max((rows - 1).bit_length(), 1)
    word = mix((mix(epoch) + chunk) % 2**32) ^ int(key[0])
    constants = [mix((mix(word) + 0x9E3779B9 * index) % 2**32 ^ int(key[1])) for index in range(24)]

    def scatter(place: int) -> int:
        for factor, addend in zip(constants[:12], constants[12:], strict=True):
            place = (place * (factor | 1) + addend) % 2**bits
            place ^= place >> (bits + 1) // 2
        return place

    def land(place: int) -> int:
        while (place := scatter(place)) >= rows:
            pass
        return place

    return np.array([land(place) for place in range(rows)])


def mix(word: int) -> int:
    word = (word ^ word >> 16) * 0x85EBCA6B % 2**32
    word = (word ^ word >> 13) * 0xC2B2AE35 % 2**32
    return word ^ word >> 16


def inputs(dataset: Dataset, x: np.ndarray) -> jax.Array:
    return jnp.asarray(x.astype(np.float32) * np.float32(dataset.scale) + np.float32(dataset.offset))
