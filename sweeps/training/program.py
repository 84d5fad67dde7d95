"""The compiled program of one signature: init, epoch and test. The only room with a `jax.jit` in it.

The rule: one signature compiles its training program once, whatever the lanes' learning rates, batch sizes, epochs and
seeds. Lanes are *mapped* (one a call, on CPU cores: branches are real branches) or *vmapped* (many a call, on a GPU).
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sweeps.training import lane as lanes
from sweeps.training import microbatch
from sweeps.training.lane import Data, Gradient, LaneProgram, LaneState, LaneValues

ONE_THREAD = {"xla_cpu_multi_thread_eigen": False}
"""On CPU each core runs lanes of its own; more threads inside one matrix product only get in each other's way."""

CALL_SECONDS = 1.0
"""About how long a device call may take: signals, the display and checkpoints wait for one at most."""
FIRST_CALL_PARTS = 256


class Report(NamedTuple):
    """What leaves the device after a call: diagnostics, apart from state. `[lanes, …]` in a vmapped program."""

    scores: jax.Array  # f32 [2 + metrics]: train loss, valid loss, metrics; meaningless until the epoch is whole
    finished: jax.Array  # bool, whether the epoch is whole
    steps: jax.Array  # i32, parts computed in this call


class Program:
    """The compiled functions of one signature on one device.

    `lane_count=None` makes a mapped program, whose state and values have no lane axis. Compilation happens at the first
    call of `compile`, from any thread, once.
    """

    def __init__(
        self,
        lane: LaneProgram,
        data: Data,
        micro_batches: tuple[int, ...],
        lane_count: int | None,
        device: jax.Device,
    ) -> None:
        if lane_count is not None and len(micro_batches) != 1:
            raise ValueError(f"a vmapped program has one micro-batch size, but got {micro_batches}")
        self.lane, self.data, self.micro_batches, self.lane_count = lane, data, micro_batches, lane_count
        self.device = device
        self.parts_per_call = FIRST_CALL_PARTS
        self._lock = threading.Lock()
        self._compiled: dict[str, Any] = {}

    def pace(self, parts: int, seconds: float) -> None:
        """Learn from a call how many parts the next one may take."""
        if parts and seconds > 0:
            self.parts_per_call = max(1, min(2 * self.parts_per_call, round(CALL_SECONDS * parts / seconds)))

    def compile(self) -> None:
        """Compile init and epoch, beside each other."""
        with self._lock:
            if self._compiled:
                return
            values = self._abstract_values()
            state = jax.eval_shape(self._init_function(), values)
            limit = jax.ShapeDtypeStruct((), jnp.int32)
            with ThreadPoolExecutor(2) as pool:
                epoch = pool.submit(self._lower, self._epoch_function(), state, values, self.data, limit, donate=True)
                init = pool.submit(self._lower, self._init_function(), values)
                self._compiled = {"epoch": epoch.result(), "init": init.result()}

    def init(self, values: LaneValues) -> LaneState:
        """Fresh lanes for these values (every lane of a vmapped program: see `admit`)."""
        state: LaneState = self._compiled["init"](values)
        return state

    def admit(self, state: LaneState, values: LaneValues, fresh: np.ndarray) -> LaneState:
        """A vmapped program's lanes, those marked in `fresh` (bool `[lanes]`) at the start of their first epoch."""
        return _replace_lanes(state, self.init(values), fresh)

    def epoch(self, state: LaneState, values: LaneValues, limit: int) -> tuple[LaneState, Report]:
        """Take at most about `limit` parts of each lane's current epoch; at its end, evaluate. `state` is consumed."""
        result: tuple[LaneState, Report] = self._compiled["epoch"](state, values, self.data, np.int32(limit))
        return result

    def parameters(self) -> Any:
        """One lane's parameters as a tree of shapes and dtypes."""
        return jax.eval_shape(self.lane.model.init, jax.random.key(0))

    def test(self, params: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Loss and metrics of one lane's parameters on rows that take no part in training: f32 `[1 + metrics]`."""
        evaluate = jax.jit(self.lane.evaluate, compiler_options=self._options())
        return np.asarray(evaluate(*jax.device_put((params, x, y), self.device), self.data.affine))

    def _options(self) -> dict[str, Any]:
        return ONE_THREAD if self.device.platform == "cpu" else {}

    def _lower(self, function: Callable[..., Any], *arguments: Any, donate: bool = False) -> Any:
        jitted = jax.jit(function, donate_argnums=(0,) if donate else (), compiler_options=self._options())
        with jax.default_device(self.device):
            return jitted.lower(*arguments).compile()

    def _abstract_values(self) -> LaneValues:
        axis = () if self.lane_count is None else (self.lane_count,)
        return LaneValues(
            jax.ShapeDtypeStruct((*axis, lanes.INTS), jnp.int32),  # type: ignore[arg-type]  # abstract stands for array
            jax.ShapeDtypeStruct((*axis, len(self.lane.float_names)), jnp.float32),  # type: ignore[arg-type]
        )

    def _init_function(self) -> Callable[..., LaneState]:
        init = self.lane.init if self.lane_count is None else jax.vmap(self.lane.init)

        def init_lanes(values: LaneValues) -> LaneState:
            return init(values)

        return init_lanes

    def _epoch_function(self) -> Callable[..., tuple[LaneState, Report]]:
        if self.lane_count is None:
            function = functools.partial(mapped_epoch, self.lane, self.micro_batches)
        else:
            function = functools.partial(vmapped_epoch, self.lane, self.micro_batches[0])

        def train_epoch(state: LaneState, values: LaneValues, data: Data, limit: jax.Array) -> tuple[LaneState, Report]:
            return function(state, values, data, limit)

        return train_epoch


TRAINING_FUNCTION = "jit(train_epoch)"
"""What JAX calls the training program when it reports a compilation."""


def mapped_epoch(
    lane: LaneProgram,
    micro_batches: tuple[int, ...],
    state: LaneState,
    values: LaneValues,
    data: Data,
    limit: jax.Array,
) -> tuple[LaneState, Report]:
    """One lane, with real branches: the body for its micro-batch, a loop over updates, in it a loop over parts."""
    examples = len(data.train_x)
    batch_size = values.ints[lanes.BATCH_SIZE]
    order = lane.order(values, state.epoch, examples, max(micro_batches))
    updates = microbatch.iterations_per_epoch(examples, batch_size)

    def train(micro_batch: int, state: LaneState) -> tuple[LaneState, jax.Array]:
        def one_update(_: jax.Array, state: LaneState) -> LaneState:
            size = jnp.clip(examples - state.update * batch_size, 1, batch_size)
            part = functools.partial(lane.gradient, values, state, data, order, micro_batch=micro_batch)
            # The first part stands outside the loop: a batch of one part then costs no accumulator.
            first = part(index=jnp.zeros((), jnp.int32))
            whole = jax.lax.fori_loop(
                1,
                microbatch.parts_per_batch(size, micro_batch),
                lambda index, summed: lanes.add(summed, part(index=index)),
                first,
            )
            return lane.update(values, state, whole, examples)

        parts = microbatch.parts_per_batch(batch_size, micro_batch)
        count = jnp.minimum(updates - state.update, jnp.maximum(limit // parts, 1))
        return jax.lax.fori_loop(0, count, one_update, state), count * parts

    bodies = [functools.partial(train, micro_batch) for micro_batch in micro_batches]
    state, steps = jax.lax.switch(values.ints[lanes.BODY], bodies, state)
    finished = state.update >= updates
    return _end_of_call(lane, state, data, finished, steps, jax.lax.cond)


def vmapped_epoch(
    lane: LaneProgram, micro_batch: int, state: LaneState, values: LaneValues, data: Data, limit: jax.Array
) -> tuple[LaneState, Report]:
    """All lanes in step, a part at a time; the optimizer runs whenever any lane has completed a batch.

    A lane that has reached its epoch's end, or runs no trial, is masked until the others get there. `limit` counts
    updates' worth of parts; a call ends between two updates of every lane.
    """
    examples = len(data.train_x)
    running = jax.vmap(lanes.is_running)(values)
    order = jax.vmap(functools.partial(lane.order, examples=examples, micro_batch=micro_batch))(values, state.epoch)
    batch_sizes = values.ints[:, lanes.BATCH_SIZE]
    updates = jnp.where(running, microbatch.iterations_per_epoch(examples, batch_sizes), 0)
    last = jnp.where(
        running, jnp.minimum(updates, state.update + jnp.maximum(limit // _parts(batch_sizes, micro_batch), 1)), 0
    )

    class Walk(NamedTuple):
        state: LaneState
        index: jax.Array  # i32 [lanes], the part that comes next
        summed: Gradient
        steps: jax.Array

    def one_part(walk: Walk) -> Walk:
        active = walk.state.update < last
        gradient = jax.vmap(functools.partial(lane.gradient, micro_batch=micro_batch), in_axes=(0, 0, None, 0, 0))(
            values, walk.state, data, order, walk.index
        )
        summed = lanes.add(walk.summed, gradient)
        size = jnp.clip(examples - walk.state.update * batch_sizes, 1, batch_sizes)
        completes = active & (walk.index >= _parts(size, micro_batch) - 1)

        def apply() -> tuple[LaneState, Gradient]:
            updated = jax.vmap(functools.partial(lane.update, examples=examples))(values, walk.state, summed)
            return select(completes, updated, walk.state), select(
                completes, jax.vmap(lanes.zero_gradient)(summed.params), summed
            )

        new_state, summed = jax.lax.cond(completes.any(), apply, lambda: (walk.state, summed))
        index = jnp.where(completes | ~active, 0, walk.index + 1)
        return Walk(new_state, index, summed, walk.steps + active)

    zero = jnp.zeros(len(running), jnp.int32)
    start = Walk(state, zero, jax.vmap(lanes.zero_gradient)(state.params), zero)
    walk = jax.lax.while_loop(lambda walk: (walk.state.update < last).any(), one_part, start)
    finished = running & (walk.state.update >= updates)

    def evaluate_if_any(
        finished: jax.Array, evaluate: Callable[[LaneState], jax.Array], skip: Any, state: LaneState
    ) -> Any:
        return jax.lax.cond(finished.any(), jax.vmap(evaluate), jax.vmap(skip), state)

    return _end_of_call(lane, walk.state, data, finished, walk.steps, evaluate_if_any)


def _end_of_call(
    lane: LaneProgram, state: LaneState, data: Data, finished: jax.Array, steps: jax.Array, branch: Callable[..., Any]
) -> tuple[LaneState, Report]:
    """Evaluate whole epochs, and set their lanes at the start of the next."""

    def evaluate(state: LaneState) -> jax.Array:
        return lane.evaluate(state.params, data.valid_x, data.valid_y, data.affine)

    def skip(_: LaneState) -> jax.Array:
        return jnp.zeros(1 + len(lane.metrics), jnp.float32)

    scores = branch(finished, evaluate, skip, state)
    train_loss = state.loss_sum / len(data.train_x)
    report = Report(jnp.concatenate([train_loss[..., None], scores], axis=-1), finished, steps)
    state = state._replace(
        epoch=state.epoch + finished.astype(jnp.int32),
        update=jnp.where(finished, 0, state.update),
        loss_sum=jnp.where(finished, 0.0, state.loss_sum),
    )
    return state, report


def select(chosen: jax.Array, left: Any, right: Any) -> Any:
    """Trees of `[lanes, …]` arrays: lane by lane `left` where chosen (bool `[lanes]`), else `right`."""

    def one(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where(chosen.reshape(chosen.shape + (1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(one, left, right)


def _parts(batch_sizes: jax.Array, micro_batch: int) -> jax.Array:
    return microbatch.parts_per_batch(batch_sizes, micro_batch)


_replace_lanes = jax.jit(lambda state, fresh_state, fresh: select(fresh, fresh_state, state), donate_argnums=0)
