"""One lane: its values, its state, and the pure functions that take it through an epoch.

The rule: nothing here knows how many lanes there are. What a lane computes depends on its values, the data and the
micro-batch alone; `program.py` maps or vmaps these functions over lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from sweeps.training import microbatch
from sweeps.training.losses import Loss
from sweeps.training.metrics import Metric
from sweeps.training.models import Model, Params
from sweeps.training.shuffle import permutation

NUMBER, SEED, BATCH_SIZE, RUNNING = range(4)
INTS = 4
"""The columns of a lane's whole numbers: trial number, seed, batch size, whether it runs."""
EVALUATION_ROWS = 512
INIT, ORDER, DRAWS, OPTIMIZER = range(4)
"""What a lane's random keys are for; each is folded into its key."""


class Data(NamedTuple):
    """The rows of a dataset on a device. `x` keeps its storage dtype; `affine` is f32 `[2]`: scale and shift.

    Streamed training rows come as a window: those of chunk `chunk` (i32), and those of the next one.
    """

    train_x: jax.Array
    train_y: jax.Array
    valid_x: jax.Array
    valid_y: jax.Array
    affine: jax.Array
    next_x: jax.Array | None = None
    next_y: jax.Array | None = None
    chunk: jax.Array | None = None

    def train(self, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Training rows, i32 `[rows]`, by their place in the window where they are streamed."""
        if self.next_x is None or self.next_y is None:
            return self.train_x[rows], self.train_y[rows]
        here, size = (self.train_x, self.train_y), len(self.train_x)
        then = (self.next_x, self.next_y)

        def both() -> tuple[jax.Array, jax.Array]:
            is_here = rows < size
            near, far = jnp.where(is_here, rows, 0), jnp.where(is_here, 0, rows - size)
            x, y = (_choose(is_here, a[near], b[far]) for a, b in zip(here, then, strict=True))
            return x, y

        taken: tuple[jax.Array, jax.Array] = jax.lax.cond(
            (rows >= size).any(), both, lambda: (here[0][rows], here[1][rows])
        )
        return taken


class LaneValues(NamedTuple):
    """What tells one trial from another: `ints` i32 `[INTS]` and `floats` f32 `[hyperparameters]`."""

    ints: jax.Array
    floats: jax.Array


class LaneState(NamedTuple):
    """A lane between two calls. Scalars unless said otherwise."""

    params: Params
    optimizer_state: Any
    order_key: jax.Array  # u32 [2], what the order of every epoch's rows is drawn from
    epoch: jax.Array  # i32, whole epochs done
    update: jax.Array  # i32, optimizer updates done in this epoch
    loss_sum: jax.Array  # f32, the losses of this epoch's examples so far


class Gradient(NamedTuple):
    """The part of a batch's gradient that has been summed so far."""

    params: Params
    loss: jax.Array  # f32, the mean loss of the batch once it is whole


@dataclass(frozen=True)
class LaneProgram:
    """The static choices of a program: with them, a lane is values and state alone.

    `rows` training rows are shuffled within chunks of `chunk_rows`. `build_optimizer(floats by name, key)` makes the
    optimizer from traced values in `float_names` order; it calls `key` for a random key only if it draws.
    """

    model: Model
    loss: Loss
    metrics: tuple[Metric, ...]
    build_optimizer: Callable[[Mapping[str, jax.Array], Callable[[], jax.Array]], optax.GradientTransformationExtraArgs]
    float_names: tuple[str, ...]
    rows: int
    chunk_rows: int

    def key(self, values: LaneValues, purpose: int) -> jax.Array:
        trial = jax.random.fold_in(jax.random.key(values.ints[SEED]), values.ints[NUMBER])
        return jax.random.fold_in(trial, purpose)

    def optimizer(self, values: LaneValues) -> optax.GradientTransformationExtraArgs:
        named = {name: values.floats[index] for index, name in enumerate(self.float_names)}
        return self.build_optimizer(named, lambda: self.key(values, OPTIMIZER))

    def init(self, values: LaneValues) -> LaneState:
        """A lane at the start of its first epoch."""
        params = self.model.init(self.key(values, INIT))
        order_key = jax.random.key_data(self.key(values, ORDER))
        zero = jnp.zeros((), jnp.int32)
        return LaneState(params, self.optimizer(values).init(params), order_key, zero, zero, jnp.zeros((), jnp.float32))

    def order(self, state: LaneState, data: Data, micro_batch: int) -> jax.Array:
        """The order of this epoch's rows, i32 `[places + micro_batch]`: a permutation of each chunk, then padding.

        Places are those of the whole epoch, or of the window where rows are streamed.
        """
        size = self.chunk_rows
        chunks = jnp.arange(-(-self.rows // size)) if data.chunk is None else data.chunk + jnp.arange(2)
        firsts = jnp.arange(len(chunks), dtype=jnp.int32) * size

        def shuffled(chunk: jax.Array, first: jax.Array) -> jax.Array:
            count = jnp.clip(self.rows - chunk * size, 1, size)
            return first + permutation(state.order_key, state.epoch, chunk, size, count)

        order = jax.vmap(shuffled)(chunks, firsts) if len(chunks) > 1 else shuffled(chunks[0], firsts[0])
        return jnp.concatenate([order.reshape(-1), jnp.zeros(micro_batch, jnp.int32)])

    def first_place(self, data: Data) -> jax.Array | int:
        """The place in the epoch that `order` begins at."""
        return 0 if data.chunk is None else data.chunk * self.chunk_rows

    def end_of_window(self, data: Data, batch_size: jax.Array) -> jax.Array:
        """The first update that must wait for another window, i32: its batch begins after the chunk."""
        end = self.rows if data.chunk is None else jnp.minimum((data.chunk + 1) * self.chunk_rows, self.rows)
        return jnp.asarray(microbatch.iterations_per_epoch(end, batch_size))

    def draws_key(self, values: LaneValues, state: LaneState, index: jax.Array) -> jax.Array:
        """What a model draws from in part `index` of the current batch."""
        update = jax.random.fold_in(jax.random.fold_in(self.key(values, DRAWS), state.epoch), state.update)
        return jax.random.fold_in(update, index)

    def gradient(
        self, values: LaneValues, state: LaneState, data: Data, order: jax.Array, index: jax.Array, micro_batch: int
    ) -> Gradient:
        """What part `index` of the lane's current batch adds to the gradient of that batch's mean loss."""
        batch_size = values.ints[BATCH_SIZE]
        part = microbatch.part(state.update, index, batch_size, self.rows, micro_batch)
        counts = jnp.arange(micro_batch) < part.rows
        # A masked row repeats the part's first row: a row of another batch must not leak even a NaN into this one.
        rows = jax.lax.dynamic_slice(order, (part.start - self.first_place(data),), (micro_batch,))
        rows = jnp.where(counts, rows, rows[0])
        weights = jnp.where(counts, part.weight, 0.0)
        key = self.draws_key(values, state, index) if self.model.draws else jax.random.key(0)
        x, y = data.train(rows)

        def loss(params: Params) -> jax.Array:
            outputs = self.model.apply(params, as_input(x, data.affine), key, True)
            return jnp.sum(weights * self.loss(outputs, y))

        value, gradient = jax.value_and_grad(loss)(state.params)
        return Gradient(gradient, value)

    def update(self, values: LaneValues, state: LaneState, gradient: Gradient) -> LaneState:
        """Apply the summed gradient of a whole batch: one iteration."""
        optimizer = self.optimizer(values)
        changes, optimizer_state = optimizer.update(
            gradient.params, state.optimizer_state, state.params, value=gradient.loss
        )
        batch_size = values.ints[BATCH_SIZE]
        size = jnp.clip(self.rows - state.update * batch_size, 1, batch_size).astype(jnp.float32)
        return state._replace(
            params=optax.apply_updates(state.params, changes),
            optimizer_state=optimizer_state,
            update=state.update + 1,
            loss_sum=state.loss_sum + gradient.loss * size,
        )

    def evaluate(self, params: Params, x: jax.Array, y: jax.Array, affine: jax.Array) -> jax.Array:
        """Mean loss, then the metrics, of a whole split: f32 `[1 + metrics]`."""
        rows = len(x)
        chunk = min(rows, EVALUATION_ROWS)

        def forward(start: jax.Array) -> jax.Array:
            part = as_input(jax.lax.dynamic_slice_in_dim(x, start, chunk), affine)
            return self.model.apply(params, part, jax.random.key(0), False)

        def fill(index: jax.Array, outputs: jax.Array) -> jax.Array:
            # The last chunk starts early rather than being padded, so that no row is made up.
            start = jnp.minimum(index * chunk, rows - chunk)
            return jax.lax.dynamic_update_slice_in_dim(outputs, forward(start), start, axis=0)

        shape = jax.eval_shape(forward, jnp.zeros((), jnp.int32))
        outputs = jnp.zeros((rows, *shape.shape[1:]), shape.dtype)
        outputs = jax.lax.fori_loop(0, -(-rows // chunk), fill, outputs)
        scores = [self.loss(outputs, y).mean(), *(metric(outputs, y) for metric in self.metrics)]
        return jnp.stack([score.astype(jnp.float32) for score in scores])


def as_input(x: jax.Array, affine: jax.Array) -> jax.Array:
    """Rows as a model sees them: scaled float32, except that int32 (tokens) stays as it is."""
    return x if x.dtype == jnp.int32 else x.astype(jnp.float32) * affine[0] + affine[1]


def _choose(chosen: jax.Array, left: jax.Array, right: jax.Array) -> jax.Array:
    """Row by row `left` where chosen (bool `[rows]`), else `right`."""
    return jnp.where(chosen.reshape(-1, *(1,) * (left.ndim - 1)), left, right)


def zero_gradient(params: Params) -> Gradient:
    return Gradient(jax.tree.map(jnp.zeros_like, params), jnp.zeros((), jnp.float32))


def add(left: Gradient, right: Gradient) -> Gradient:
    total: Gradient = jax.tree.map(jnp.add, left, right)
    return total


def is_running(values: LaneValues) -> jax.Array:
    return values.ints[RUNNING] > 0
