"""One lane: its values, its state, and the pure functions that take it through an epoch.

Nothing here knows how many lanes there are. What a lane computes depends on its values, the data and the micro-batch
alone; `epoch.py` maps or vmaps these functions over lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from sweeps.training import augmentation, microbatch
from sweeps.training.adapters.model import Model, Params, State, Variables
from sweeps.training.losses import Loss
from sweeps.training.metrics import Metric
from sweeps.training.shuffle import permutation

NUMBER, SEED, BATCH_SIZE, RUNNING = range(4)
INTS = 4
"""The columns of a lane's whole numbers: trial number, seed, batch size, whether it runs."""
EVALUATION_ROWS = 512
INIT, ORDER, DRAWS, OPTIMIZER, AUGMENTATION = range(5)
"""What a lane's random keys are for; each is folded into its key."""


class Data(NamedTuple):
    """The rows of a dataset on a device. `x` keeps its storage dtype; `affine` is f32 `[2]`: scale and offset.

    Streamed training rows come as a window: those of chunk `chunk` (i32), and those of the next one after them. Where
    training rows have weights, `train_w` is f32 `[rows]`.
    """

    train_x: jax.Array
    train_y: jax.Array
    valid_x: jax.Array
    valid_y: jax.Array
    affine: jax.Array
    chunk: jax.Array | None = None
    train_w: jax.Array | None = None


class LaneValues(NamedTuple):
    """What tells one trial from another: `ints` i32 `[INTS]` and `floats` f32 `[hyperparameters]`."""

    ints: jax.Array
    floats: jax.Array


class LaneState(NamedTuple):
    """A lane between two calls. Few arrays rather than many scalars: XLA compiles a kernel for each."""

    params: Params
    model_state: State
    optimizer_state: Any
    order_key: jax.Array  # u32 [2], what the order of every epoch's rows is drawn from
    progress: jax.Array  # i32 [2]: whole epochs done, optimizer updates done in this epoch
    loss_sum: jax.Array  # f32, the losses of this epoch's examples so far; of the last epoch's, before the first update

    @property
    def variables(self) -> Variables:
        return Variables(self.params, self.model_state)

    @property
    def epoch(self) -> jax.Array:
        return self.progress[..., 0]

    @property
    def update(self) -> jax.Array:
        return self.progress[..., 1]


class Batch(NamedTuple):
    """One part of a batch. A masked row repeats the part's first row, and weighs nothing."""

    rows: jax.Array  # i32 [micro-batch], places of its rows in the data
    weights: jax.Array  # f32 [micro-batch], 1 / examples in the whole batch, times the row's own weight; or 0
    targets: jax.Array  # [micro-batch, …]

    def first(self, rows: int) -> Batch:
        return Batch(*(each[:rows] for each in self))


class Gradient(NamedTuple):
    """The part of a batch's gradient that has been summed so far."""

    params: Params
    model_state: State  # as the latest part has left it
    loss: jax.Array  # f32, the mean loss of the batch once it is whole


@dataclass(frozen=True)
class LaneProgram:
    """The static choices of a program: with them, a lane is values and state alone.

    `rows` training rows are shuffled within chunks of `chunk_rows`. `build_loss` and `build_optimizer` get the
    traced values by name, those of `float_names`; the optimizer also how many epochs are done (f32, with a fraction),
    and a function that it calls for a random key only if it draws.
    """

    model: Model
    build_loss: Callable[[Mapping[str, jax.Array]], Loss]
    metrics: tuple[Metric, ...]
    build_optimizer: Callable[
        [Mapping[str, jax.Array], jax.Array, Callable[[], jax.Array]], optax.GradientTransformationExtraArgs
    ]
    float_names: tuple[str, ...]
    rows: int
    chunk_rows: int

    def key(self, values: LaneValues, purpose: int) -> jax.Array:
        trial = jax.random.fold_in(jax.random.key(values.ints[SEED]), values.ints[NUMBER])
        return jax.random.fold_in(trial, purpose)

    def named(self, values: LaneValues) -> dict[str, jax.Array]:
        return {name: values.floats[index] for index, name in enumerate(self.float_names)}

    def bound(self, values: LaneValues) -> Model:
        return self.model.bound(self.named(values)) if self.model.numbers else self.model

    def loss(self, values: LaneValues) -> Loss:
        return self.build_loss(self.named(values))

    def optimizer(self, values: LaneValues, progress: jax.Array) -> optax.GradientTransformationExtraArgs:
        """As it is at a lane's `progress`."""
        updates = microbatch.iterations_per_epoch(self.rows, values.ints[BATCH_SIZE])
        epochs = progress[0].astype(jnp.float32) + progress[1].astype(jnp.float32) / jnp.float32(updates)
        return self.build_optimizer(self.named(values), epochs, lambda: self.key(values, OPTIMIZER))

    def init(self, values: LaneValues) -> LaneState:
        """A lane at the start of its first epoch."""
        params, model_state = self.bound(values).init(self.key(values, INIT))
        order_key = jax.random.key_data(self.key(values, ORDER))
        progress, loss_sum = jnp.zeros(2, jnp.int32), jnp.zeros((), jnp.float32)
        optimizer_state = self.optimizer(values, progress).init(params)
        return LaneState(params, model_state, optimizer_state, order_key, progress, loss_sum)

    def order(self, state: LaneState, data: Data, micro_batch: int) -> jax.Array:
        """The order of this epoch's rows, i32 `[places + micro_batch]`: a permutation of each chunk, then padding.

        Places are those of the whole epoch, or of the window where rows are streamed.
        """
        size = self.chunk_rows
        if data.chunk is None and self.rows <= size:
            return permutation(state.order_key, state.epoch, 0, size + micro_batch, jnp.int32(self.rows))
        chunks = jnp.arange(-(-self.rows // size)) if data.chunk is None else data.chunk + jnp.arange(2)
        firsts = jnp.arange(len(chunks), dtype=jnp.int32) * size

        def shuffled(chunk: jax.Array, first: jax.Array) -> jax.Array:
            count = jnp.clip(self.rows - chunk * size, 1, size)
            return first + permutation(state.order_key, state.epoch, chunk, size, count)

        order = jax.vmap(shuffled)(chunks, firsts).reshape(-1)
        return jnp.concatenate([order, jnp.zeros(micro_batch, jnp.int32)])

    def first_place(self, data: Data) -> jax.Array | int:
        """The place in the epoch that `order` begins at."""
        return 0 if data.chunk is None else data.chunk * self.chunk_rows

    def end_of_window(self, data: Data, batch_size: np.ndarray) -> np.ndarray:
        """The first update that must wait for another window: its batch begins after the chunk. On the host."""
        end = self.rows if data.chunk is None else min((int(data.chunk) + 1) * self.chunk_rows, self.rows)
        return np.asarray(microbatch.iterations_per_epoch(end, batch_size))

    def draws_key(self, values: LaneValues, state: LaneState, index: jax.Array, purpose: int = DRAWS) -> jax.Array:
        """What a model, or the augmentation, draws from in part `index` of the current batch."""
        update = jax.random.fold_in(jax.random.fold_in(self.key(values, purpose), state.epoch), state.update)
        return jax.random.fold_in(update, index)

    def batch(
        self, values: LaneValues, update: jax.Array, data: Data, order: jax.Array, index: jax.Array, micro_batch: int
    ) -> Batch:
        """Part `index` of the batch of an update."""
        part = microbatch.part(update, index, values.ints[BATCH_SIZE], self.rows, micro_batch)
        counts = jnp.arange(micro_batch) < part.rows
        # A masked row repeats the part's first row: a row of another batch must not leak even a NaN into this one.
        rows = jax.lax.dynamic_slice(order, (part.start - self.first_place(data),), (micro_batch,))
        rows = jnp.where(counts, rows, rows[0])
        weights = jnp.where(counts, part.weight, 0.0)
        if data.train_w is not None:
            weights = weights * data.train_w[rows]
        return Batch(rows, weights, data.train_y[rows])

    def inputs(self, values: LaneValues, state: LaneState, data: Data, batch: Batch, index: jax.Array) -> jax.Array:
        """The batch's rows in their storage dtype; images moved about where the lane has values for that."""
        if not augmentation.is_wanted(self.float_names):
            return data.train_x[batch.rows]
        key = self.draws_key(values, state, index, AUGMENTATION)
        return augmentation.taken(data.train_x, batch.rows, self.named(values), key)

    def gradient(self, values: LaneValues, state: LaneState, data: Data, batch: Batch, index: jax.Array) -> Gradient:
        """What part `index` of the lane's current batch adds to the gradient of that batch's mean loss."""
        key = self.draws_key(values, state, index) if self.model.draws else jax.random.key(0)
        x, y, weights = self.inputs(values, state, data, batch, index), batch.targets, batch.weights

        def loss(params: Params) -> tuple[jax.Array, State]:
            apply = self.bound(values).apply
            outputs, model_state = apply(params, state.model_state, as_input(x, data.affine), key, True)
            return jnp.sum(weights * self.loss(values)(outputs, y)), model_state

        (value, model_state), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
        return Gradient(gradient, model_state, value)

    def penalized(self, params: Params, gradient: Gradient) -> Gradient:
        """With what the model's weights add to the loss: once a batch, however many parts and row weights it has."""
        if self.model.penalty is None:
            return gradient
        value, slopes = jax.value_and_grad(self.model.penalty)(params)
        return gradient._replace(
            params=jax.tree.map(jnp.add, gradient.params, slopes), loss=gradient.loss + value.astype(jnp.float32)
        )

    def update(self, values: LaneValues, state: LaneState, gradient: Gradient) -> LaneState:
        """Apply the summed gradient of a whole batch: one iteration."""
        gradient = self.penalized(state.params, gradient)
        optimizer = self.optimizer(values, state.progress)
        changes, optimizer_state = optimizer.update(
            gradient.params, state.optimizer_state, state.params, value=gradient.loss
        )
        params = optax.apply_updates(state.params, changes)
        if self.model.constrain is not None:
            params = self.model.constrain(params)
        batch_size = values.ints[BATCH_SIZE]
        size = jnp.clip(self.rows - state.update * batch_size, 1, batch_size).astype(jnp.float32)
        return state._replace(
            params=params,
            model_state=gradient.model_state,
            optimizer_state=optimizer_state,
            progress=state.progress + jnp.array([0, 1]),
            loss_sum=jnp.where(state.update == 0, 0.0, state.loss_sum) + gradient.loss * size,
        )

    def evaluate(self, values: LaneValues, tree: Any, x: jax.Array, y: jax.Array, affine: jax.Array) -> jax.Array:
        """Mean loss with the weights' penalty, then the metrics, of a whole split: f32 `[1 + metrics]`.

        `tree` is that of `Variables`.
        """
        variables, rows = self.model.variables(tree), len(x)
        chunk = min(rows, EVALUATION_ROWS)

        def forward(start: jax.Array) -> jax.Array:
            part = jax.lax.dynamic_slice_in_dim(x, start, chunk, allow_negative_indices=False)
            return self.bound(values).apply(*variables, as_input(part, affine), jax.random.key(0), False)[0]

        def fill(index: jax.Array, outputs: jax.Array) -> jax.Array:
            # The last slice begins early rather than being padded (slices stay inside), so that no row is made up.
            start = index * chunk
            return jax.lax.dynamic_update_slice_in_dim(outputs, forward(start), start, 0, allow_negative_indices=False)

        shape = jax.eval_shape(forward, jnp.zeros((), jnp.int32))
        outputs = jnp.zeros((rows, *shape.shape[1:]), shape.dtype)
        outputs = jax.lax.fori_loop(0, -(-rows // chunk), fill, outputs)
        loss = self.loss(values)(outputs, y).mean()
        if self.model.penalty is not None:
            loss = loss + self.model.penalty(variables.params)
        scores = [loss, *(metric(outputs, y) for metric in self.metrics)]
        return jnp.stack([score.astype(jnp.float32) for score in scores])


def as_input(x: jax.Array, affine: jax.Array) -> jax.Array:
    """Rows as a model sees them: scaled float32, except that int32 (tokens) stays as it is."""
    return x if x.dtype == jnp.int32 else x.astype(jnp.float32) * affine[0] + affine[1]


def zero_gradient(state: LaneState) -> Gradient:
    """That of no part at all."""
    return Gradient(jax.tree.map(jnp.zeros_like, state.params), state.model_state, jnp.zeros((), jnp.float32))


def add(left: Gradient, right: Gradient) -> Gradient:
    """With a part that was taken after the others."""
    return Gradient(jax.tree.map(jnp.add, left.params, right.params), right.model_state, left.loss + right.loss)
