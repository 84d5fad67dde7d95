"""One epoch of lanes, mapped or vmapped: the loops that `program.py` compiles.

The rule: both do the same arithmetic on the same lane functions. *Mapped* takes one lane, so its branches are real and
a batch's parts are an inner loop. *Vmapped* takes many lanes in step, a part at a time, because under `vmap` both
sides of a branch are computed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from sweeps.training import lane as lanes
from sweeps.training import microbatch
from sweeps.training.lane import Data, Gradient, LaneProgram, LaneState, LaneValues


class Report(NamedTuple):
    """What leaves the device after a call: diagnostics, apart from state. `[lanes, …]` in a vmapped program."""

    scores: jax.Array  # f32 [2 + metrics]: train loss, valid loss, metrics; meaningless until the epoch is whole
    finished: jax.Array  # bool, whether the epoch is whole
    place: jax.Array  # i32, rows that the whole updates so far have taken of the epoch
    steps: jax.Array  # i32, parts computed in this call


class _Progress(NamedTuple):
    """A report's fields but for the scores."""

    finished: jax.Array
    place: jax.Array
    steps: jax.Array


class _Walk(NamedTuple):
    """Where vmapped lanes stand within an epoch."""

    state: LaneState
    part: jax.Array  # i32 [lanes], the part of its batch that each takes next
    summed: Gradient  # of the batch so far
    steps: jax.Array  # i32 [lanes], parts taken


def mapped_epoch(
    lane: LaneProgram,
    ladder: microbatch.Ladder,
    state: LaneState,
    values: LaneValues,
    data: Data,
    limit: jax.Array,
) -> tuple[LaneState, Report]:
    """One lane, with real branches: a loop over updates, and in it one over the parts of a large batch."""
    batch_size = values.ints[lanes.BATCH_SIZE]
    largest = ladder.sizes[-1]
    order = lane.order(state, data, largest)
    updates = microbatch.iterations_per_epoch(lane.rows, batch_size)
    rung = microbatch.rung(batch_size, ladder.sizes)
    parts = microbatch.parts_per_batch(batch_size, largest)

    def one_update(_: jax.Array, state: LaneState) -> LaneState:
        part = functools.partial(lane.gradient, values, state, data, order)
        # The first part stands outside the loop: a batch of one part then costs no accumulator.
        first = [functools.partial(part, index=jnp.zeros((), jnp.int32), micro_batch=size) for size in ladder.sizes]
        whole = jax.lax.switch(rung, first)
        if ladder.splits:
            size = jnp.clip(lane.rows - state.update * batch_size, 1, batch_size)
            whole = jax.lax.fori_loop(
                1,
                microbatch.parts_per_batch(size, largest),
                lambda index, summed: lanes.add(summed, part(index=index, micro_batch=largest)),
                whole,
            )
        return lane.update(values, state, whole)

    count = jnp.minimum(lane.end_of_window(data, batch_size) - state.update, jnp.maximum(limit // parts, 1))
    state = jax.lax.fori_loop(0, count, one_update, state)
    steps = count * parts
    finished = state.update >= updates
    return _end_of_call(lane, state, data, _Progress(finished, state.update * batch_size, steps), jax.lax.cond)


def vmapped_epoch(
    lane: LaneProgram, micro_batch: int, state: LaneState, values: LaneValues, data: Data, limit: jax.Array
) -> tuple[LaneState, Report]:
    """All lanes in step, a part at a time; the optimizer runs whenever any lane has completed a batch.

    A lane that has reached its epoch's end, or runs no trial, is masked until the others get there. `limit` counts
    updates' worth of parts; a call ends between two updates of every lane.
    """
    running = jax.vmap(lanes.is_running)(values)
    order = jax.vmap(functools.partial(lane.order, data=data, micro_batch=micro_batch))(state)
    batch_sizes = values.ints[:, lanes.BATCH_SIZE]
    updates = jnp.where(running, microbatch.iterations_per_epoch(lane.rows, batch_sizes), 0)
    allowed = state.update + jnp.maximum(limit // _parts(batch_sizes, micro_batch), 1)
    last = jnp.where(running, jnp.minimum(lane.end_of_window(data, batch_sizes), allowed), 0)

    def one_part(walk: _Walk) -> _Walk:
        active = walk.state.update < last
        gradient = jax.vmap(functools.partial(lane.gradient, micro_batch=micro_batch), in_axes=(0, 0, None, 0, 0))(
            values, walk.state, data, order, walk.part
        )
        summed = lanes.add(walk.summed, gradient)
        size = jnp.clip(lane.rows - walk.state.update * batch_sizes, 1, batch_sizes)
        completes = active & (walk.part >= _parts(size, micro_batch) - 1)

        def apply() -> tuple[LaneState, Gradient]:
            updated = jax.vmap(lane.update)(values, walk.state, summed)
            return select(completes, updated, walk.state), select(
                completes, jax.vmap(lanes.zero_gradient)(summed.params), summed
            )

        new_state, summed = jax.lax.cond(completes.any(), apply, lambda: (walk.state, summed))
        part = jnp.where(completes | ~active, 0, walk.part + 1)
        return _Walk(new_state, part, summed, walk.steps + active.astype(jnp.int32))

    zero = jnp.zeros(len(running), jnp.int32)
    start = _Walk(state, zero, jax.vmap(lanes.zero_gradient)(state.params), zero)
    walk = jax.lax.while_loop(lambda walk: (walk.state.update < last).any(), one_part, start)
    finished = running & (walk.state.update >= updates)

    def evaluate_if_any(
        finished: jax.Array, evaluate: Callable[[LaneState], jax.Array], skip: Any, state: LaneState
    ) -> Any:
        return jax.lax.cond(finished.any(), jax.vmap(evaluate), jax.vmap(skip), state)

    progress = _Progress(finished, walk.state.update * batch_sizes, walk.steps)
    return _end_of_call(lane, walk.state, data, progress, evaluate_if_any)


def _end_of_call(
    lane: LaneProgram, state: LaneState, data: Data, progress: _Progress, branch: Callable[..., Any]
) -> tuple[LaneState, Report]:
    """Evaluate whole epochs, and set their lanes at the start of the next."""
    finished = progress.finished

    def evaluate(state: LaneState) -> jax.Array:
        return lane.evaluate(state.params, data.valid_x, data.valid_y, data.affine)

    def skip(_: LaneState) -> jax.Array:
        return jnp.zeros(1 + len(lane.metrics), jnp.float32)

    scores = branch(finished, evaluate, skip, state)
    train_loss = state.loss_sum / lane.rows
    report = Report(jnp.concatenate([train_loss[..., None], scores], axis=-1), *progress)
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
