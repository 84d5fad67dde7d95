"""One epoch of lanes, mapped or vmapped: the loops that `engine.program` compiles.

Both do the same arithmetic on the same lane functions. *Mapped* takes one lane, so its branches are real and
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


class Span(NamedTuple):
    """How far a call goes. Computed on the host, where a scalar costs nothing; `[lanes]` in a vmapped program."""

    last: jax.Array  # i32, the update to stop before
    ends: jax.Array  # bool, whether the epoch is whole then
    after: jax.Array  # i32 [2], the lane's `progress` after the call


class _Walk(NamedTuple):
    """Where vmapped lanes stand within an epoch."""

    state: LaneState
    part: jax.Array  # i32 [lanes], the part of its batch that each takes next
    summed: Gradient  # of the batch so far


def mapped_epoch(
    lane: LaneProgram,
    micro_batches: microbatch.MicroBatches,
    state: LaneState,
    values: LaneValues,
    data: Data,
    span: Span,
) -> tuple[LaneState, jax.Array]:
    """One lane, with real branches: a loop over updates, and in it one over the parts of a large batch.

    Returns:
        The state after the span, and f32 `[2 + metrics]`: the epoch's mean training loss, the validation loss and the
        metrics where the span ends the epoch, else zeros.
    """
    batch_size = values.ints[lanes.BATCH_SIZE]
    largest = micro_batches.sizes[-1]
    order = lane.order(state, data, largest)

    def one_update(state: LaneState, sizes: tuple[int, ...], choice: jax.Array) -> LaneState:
        def part(index: jax.Array) -> lanes.Batch:
            return lane.batch(values, state.update, data, order, index, largest)

        # The first part stands outside the loop: a batch of one part then costs no accumulator.
        none, first = jnp.zeros((), jnp.int32), part(jnp.zeros((), jnp.int32))
        branches = [lambda size=size: lane.gradient(values, state, data, first.first(size), none) for size in sizes]
        whole = jax.lax.switch(choice, branches)
        if micro_batches.splits:
            size = jnp.clip(lane.rows - state.update * batch_size, 1, batch_size)
            whole = jax.lax.fori_loop(
                1,
                microbatch.parts_per_batch(size, largest),
                lambda index, summed: lanes.add(summed, lane.gradient(values, state, data, part(index), index)),
                whole,
            )
        return lane.update(values, state, whole)

    def stretch(state: LaneState, sizes: tuple[int, ...], last: jax.Array) -> LaneState:
        choice = microbatch.choice_of(batch_size, sizes)
        update = functools.partial(one_update, sizes=sizes, choice=choice)
        return jax.lax.while_loop(lambda state: state.update < last, update, state)

    for sizes, last in _stretches(lane, micro_batches, span.last):
        state = stretch(state, sizes, last)
    return _end_of_call(lane, state, values, data, span, jax.lax.cond)


def vmapped_epoch(
    lane: LaneProgram,
    micro_batches: microbatch.MicroBatches,
    state: LaneState,
    values: LaneValues,
    data: Data,
    span: Span,
) -> tuple[LaneState, jax.Array]:
    """All lanes in step, a part at a time; the optimizer runs whenever any lane has completed a batch.

    A lane that has got to its last update is masked until the others get there; a call ends between two updates of
    every lane.

    Args:
        lane: What one lane computes.
        micro_batches: Of one size, and maybe another for an epoch's last batch.
        state: Of all lanes: every array has a leading axis `[lanes]`, and so have `values` and `span`.
        values: What tells the lanes apart.
        data: The rows, which all lanes share.
        span: How far each lane goes.

    Returns:
        As `mapped_epoch`, with a leading axis `[lanes]`.
    """
    order = jax.vmap(functools.partial(lane.order, data=data, micro_batch=micro_batches.sizes[-1]))(state)
    batch_sizes = values.ints[:, lanes.BATCH_SIZE]

    def one_part(walk: _Walk, micro_batch: int, last: jax.Array) -> _Walk:
        def one_gradient(values: LaneValues, state: LaneState, order: jax.Array, index: jax.Array) -> Gradient:
            batch = lane.batch(values, state.update, data, order, index, micro_batch)
            return lane.gradient(values, state, data, batch, index)

        # Lanes differ in how many parts their batches have and where their epochs end, but a vmapped loop has one body.
        # So every lane computes a part in every turn, and what must not count is left out afterwards: a lane that is
        # done goes on summing into a gradient that nothing takes, which is cheaper than a branch (both sides of which
        # would be computed).
        active = walk.state.update < last
        gradient = jax.vmap(one_gradient)(values, walk.state, order, walk.part)
        summed = lanes.add(walk.summed, gradient)
        size = jnp.clip(lane.rows - walk.state.update * batch_sizes, 1, batch_sizes)
        completes = active & (walk.part >= _parts(size, micro_batch) - 1)

        def apply() -> tuple[LaneState, Gradient]:
            updated = jax.vmap(lane.update)(values, walk.state, summed)
            state = select(completes, updated, walk.state)
            return state, select(completes, jax.vmap(lanes.zero_gradient)(state), summed)

        # This branch is real, since its condition is of all lanes together: while no lane has completed a batch, no
        # optimizer runs. Inside, `select` keeps the lanes that have not.
        new_state, summed = jax.lax.cond(completes.any(), apply, lambda: (walk.state, summed))
        part = jnp.where(completes | ~active, 0, walk.part + 1)
        return _Walk(new_state, part, summed)

    zero = jnp.zeros(len(batch_sizes), jnp.int32)

    def stretch(state: LaneState, micro_batch: int, last: jax.Array) -> LaneState:
        start = _Walk(state, zero, jax.vmap(lanes.zero_gradient)(state))
        part = functools.partial(one_part, micro_batch=micro_batch, last=last)
        return jax.lax.while_loop(lambda walk: (walk.state.update < last).any(), part, start).state

    for sizes, last in _stretches(lane, micro_batches, span.last):
        state = stretch(state, sizes[-1], last)

    def evaluate_if_any(
        finished: jax.Array, evaluate: Callable[..., jax.Array], skip: Callable[..., jax.Array], *lane_by_lane: Any
    ) -> Any:
        return jax.lax.cond(finished.any(), jax.vmap(evaluate), jax.vmap(skip), *lane_by_lane)

    return _end_of_call(lane, state, values, data, span, evaluate_if_any)


def _stretches(
    lane: LaneProgram, micro_batches: microbatch.MicroBatches, last: jax.Array
) -> list[tuple[tuple[int, ...], jax.Array]]:
    """Micro-batch sizes, and the update that they serve up to; a last batch of its own size follows the whole ones."""
    if not micro_batches.tail:
        return [(micro_batches.sizes, last)]
    return [
        (micro_batches.sizes, jnp.minimum(last, lane.rows // micro_batches.sizes[-1])),
        ((micro_batches.tail,), last),
    ]


def _end_of_call(
    lane: LaneProgram,
    state: LaneState,
    values: LaneValues,
    data: Data,
    span: Span,
    branch: Callable[..., Any],
) -> tuple[LaneState, jax.Array]:
    """Evaluate whole epochs, and set their lanes at the start of the next; their scores, f32 `[2 + metrics]` a lane."""

    def evaluate(state: LaneState, values: LaneValues) -> jax.Array:
        train_loss = state.loss_sum / lane.rows
        scores = lane.evaluate(values, state.variables.tree, data.valid_x, data.valid_y, data.affine)
        return jnp.stack([train_loss, *scores])

    def skip(_: LaneState, __: LaneValues) -> jax.Array:
        return jnp.zeros(2 + len(lane.metrics), jnp.float32)

    scores = branch(span.ends, evaluate, skip, state, values)
    return state._replace(progress=span.after), scores


def select(chosen: jax.Array, left: Any, right: Any) -> Any:
    """Trees of `[lanes, …]` arrays: lane by lane `left` where chosen (bool `[lanes]`), else `right`."""

    def one(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where(chosen.reshape(chosen.shape + (1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(one, left, right)


def _parts(batch_sizes: jax.Array, micro_batch: int) -> jax.Array:
    parts: jax.Array = microbatch.parts_per_batch(batch_sizes, micro_batch)
    return parts
