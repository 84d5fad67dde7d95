"""Device memory: what a lane takes, how many lanes fit, and which errors say that they do not.

Sizes come from shapes and from XLA's own analysis of the compiled program. What neither foresees comes as an
out-of-memory error, and halves the lanes.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from sweeps.training.lane import INTS, LaneProgram, LaneValues

USABLE = 0.8
"""Of a device's memory: the rest is for fragments, and for what the libraries below XLA set aside."""
SHORTAGE = re.compile("RESOURCE_EXHAUSTED|out of memory", re.IGNORECASE)


class TooManyLanesError(Exception):
    """A compiled program needs more memory than its device has; so many lanes would fit."""

    def __init__(self, fitting: int) -> None:
        super().__init__(fitting)  # what it is made of, so that it can be pickled
        self.fitting = fitting

    def __str__(self) -> str:
        return f"the device has memory for {self.fitting} lanes"


class Share(NamedTuple):
    """Who shares a device: `groups` each keep their own state in its `device_bytes`, and take turns to advance."""

    device_bytes: int
    groups: int

    @property
    def usable(self) -> int:
        return int(USABLE * self.device_bytes)


class LaneBytes(NamedTuple):
    """What a lane keeps on its device between two calls."""

    parameters: int
    optimizer_state: int
    model_state: int = 0

    @property
    def total(self) -> int:
        return self.parameters + self.optimizer_state + self.model_state

    @property
    def needed(self) -> int:
        """At least, while it trains: a gradient as well."""
        return self.total + self.parameters


def lane_bytes(lane: LaneProgram) -> LaneBytes:
    """From the shapes alone: nothing is computed or compiled."""
    names = len(lane.float_names)
    state = jax.eval_shape(lambda: lane.init(LaneValues(jnp.zeros(INTS, jnp.int32), jnp.zeros(names, jnp.float32))))
    return LaneBytes(_bytes(state.params), _bytes(state.optimizer_state), _bytes(state.model_state))


def most_lanes(lane: LaneBytes, share: Share) -> int:
    """How many lanes a lane group can have at most, before anything is compiled; at least one.

    Every lane group keeps its state; the one that advances holds a gradient and the state after it as well.
    """
    needed = share.groups * lane.total + lane.needed
    return max(1, share.usable // max(needed, 1))


def check_memory(analysis: Any, lanes: int, share: Share) -> None:
    """Hold a training program that was compiled for `lanes` lanes, by XLA's analysis of it, against its device.

    Raises:
        TooManyLanesError: it needs too much, and would not with fewer lanes.
    """
    if analysis is None or lanes == 1:
        return  # not every backend knows; a single lane is tried in any case
    arguments, outputs = analysis.argument_size_in_bytes, analysis.output_size_in_bytes
    shared = analysis.alias_size_in_bytes  # a state goes in and comes out in the same place
    state = shared or outputs
    needed = arguments + outputs - shared + analysis.temp_size_in_bytes + (share.groups - 1) * state
    rows = arguments - state  # the data, and a little, for any number of lanes
    if needed > share.usable:
        fitting = math.floor(lanes * (share.usable - rows) / (needed - rows))
        raise TooManyLanesError(min(max(fitting, 1), lanes - 1))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a compilation or a call ended for want of device memory."""
    if isinstance(error, MemoryError):  # of the host, which a copy needs too
        return True
    return isinstance(error, jax.errors.JaxRuntimeError) and SHORTAGE.search(str(error)) is not None


def fewer_lanes(error: BaseException, lanes: int) -> int | None:
    """How many lanes to go on with after an error; None where fewer would not help, or there are none fewer.

    >>> fewer_lanes(TooManyLanesError(5), 64), fewer_lanes(ValueError("shape"), 64)
    (5, None)
    """
    if lanes > 1 and isinstance(error, TooManyLanesError):
        return error.fitting
    return lanes // 2 if lanes > 1 and is_out_of_memory(error) else None


def _bytes(tree: Any) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
