"""The compiled program of one program key: init, epoch and test. Everything that trains is compiled here.

Elsewhere `jax.jit` only tries a model out on a few rows (`training.traced_arguments`, `training.row_mixing`), makes one
equation of a trace (`training.ops.convolution`), or predicts (`results.predictor`).

One program key compiles its training program once for all learning rates, batch sizes, epochs and seeds of its lanes.
Lanes are *mapped* (one a call, on CPU cores, where a branch computes one side alone) or *vmapped* (many a call, on a
GPU).
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sweeps.engine.feed import Feed
from sweeps.engine.memory import Share, check_memory, is_out_of_memory
from sweeps.training import lane as lanes
from sweeps.training import microbatch
from sweeps.training.epoch import Span, mapped_epoch, select, vmapped_epoch
from sweeps.training.lane import Data, LaneProgram, LaneState, LaneValues
from sweeps.training.microbatch import MicroBatches
from sweeps.training.pytrees import on_host
from sweeps.user_code import exits_refused

ONE_THREAD = {"xla_cpu_multi_thread_eigen": False}
"""On CPU each core runs lanes of its own; more threads inside one matrix product only get in each other's way."""
TRAINING = {**ONE_THREAD, "xla_disable_hlo_passes": "tree_reduction_rewriter", "xla_cpu_prefer_vector_width": 512}
"""For the training program. A sum over a batch as a tree of sums is a few more kernels to compile, and no more exact at
these sizes. Vectors as wide as the processor has make an update quicker on one with AVX-512."""
ONCE = {**ONE_THREAD, "xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
"""For what runs once a trial or less: compiles in a quarter of the time."""
CALL_SECONDS = 1.0
"""About how long a device call may take: signals, the display and checkpoints wait for one at most."""
FIRST_CALL_PARTS = 256


class EpochReport(NamedTuple):
    """What a call came to, on the host. `[lanes, …]` for a vmapped program."""

    scores: np.ndarray  # f32 [2 + metrics]: train loss, valid loss, metrics; meaningless until the epoch is whole
    finished: np.ndarray  # bool, whether the epoch is whole
    place: np.ndarray  # i32, rows that the whole updates so far have taken of the epoch
    steps: np.ndarray  # i32, parts computed in this call


class Program:
    """The compiled functions of one program key on one device.

    `lane_count=None` makes a mapped program, whose state and values have no lane axis. It is compiled once, by the
    first thread that asks.
    """

    def __init__(
        self,
        lane: LaneProgram,
        feed: Feed,
        micro_batches: MicroBatches,
        lane_count: int | None,
        device: jax.Device,
        share: Share | None = None,
    ) -> None:
        if lane_count is not None and len(micro_batches.sizes) != 1:
            raise ValueError(f"a vmapped program has one micro-batch size, but got {micro_batches.sizes}")
        self.lane, self.feed, self.micro_batches, self.lane_count = lane, feed, micro_batches, lane_count
        self.device, self._share = device, share
        self.parts_per_call = FIRST_CALL_PARTS
        self._lock = threading.Lock()
        self._compiling: dict[str, Future[Any]] = {}
        self._compiled: dict[str, Any] = {}
        self.failure: Exception | None = None
        """Why it does not compile, once that is known and more memory would not help."""
        self._trace: TracebackType | None = None

    def pace(self, parts: int, seconds: float) -> None:
        """Learn from a call how many parts the next one may take."""
        if parts and seconds > 0:
            self.parts_per_call = max(1, min(2 * self.parts_per_call, round(CALL_SECONDS * parts / seconds)))

    def begin_to_compile(self) -> None:
        """Trace and lower, which needs Python, and leave the rest to two threads, which do not."""
        self._begun()

    def compile(self) -> None:
        """Compile what has not been compiled yet, or wait for it.

        Raises:
            TooManyLanesError: the program does not fit in its share of the device.
            Exception: what tracing the model, or XLA, raises.
        """
        if self._compiled:
            return
        if self.failure is not None:
            raise self.failure.with_traceback(self._trace)  # as it was: it would grow with every raise
        begun: dict[str, Future[Any]] = {}
        try:
            begun = self._begun()
            compiled = {name: compiling.result() for name, compiling in begun.items()}
        except Exception as error:
            if not is_out_of_memory(error):
                self._trace, self.failure = error.__traceback__, error
            with self._lock:
                if self._compiling is begun:
                    self._compiling = {}  # there may be memory for it another time
            raise
        if self._share is not None and self.lane_count is not None:
            check_memory(compiled["epoch"].memory_analysis(), self.lane_count, self._share)
        self._compiled = compiled

    def init(self, values: LaneValues) -> LaneState:
        """Fresh lanes for these values (every lane of a vmapped program: see `admit`)."""
        state: LaneState = self._compiled["init"](values)
        return state

    def admit(self, state: LaneState, values: LaneValues, fresh: np.ndarray) -> LaneState:
        """A vmapped program's lanes, those marked in `fresh` (bool `[lanes]`) at the start of their first epoch."""
        admitted: LaneState = _replace_lanes(state, self.init(values), fresh)
        return admitted

    def epoch(self, state: LaneState, values: LaneValues, data: Data, limit: int) -> tuple[LaneState, EpochReport]:
        """Take at most about `limit` parts of each lane's current epoch; at its end, evaluate. `state` is consumed.

        Where rows are streamed, a lane also stops before the first batch that begins after the window's first chunk.
        """
        span, report = self._span(on_host(state.progress), np.asarray(values.ints), data, limit)
        state, scores = self._compiled["epoch"](state, values, data, span)
        return state, report._replace(scores=on_host(scores))

    def _span(self, progress: np.ndarray, ints: np.ndarray, data: Data, limit: int) -> tuple[Span, EpochReport]:
        """How far each lane goes in a call, and what it will have done then; a lane that does not run stays."""
        rows, update, batch_size = self.lane.rows, progress[..., 1], ints[..., lanes.BATCH_SIZE]
        parts, running = (
            microbatch.parts_per_batch(batch_size, self.micro_batches.sizes[-1]),
            ints[..., lanes.RUNNING] > 0,
        )
        end = np.minimum(self.lane.end_of_window(data, batch_size), update + np.maximum(limit // parts, 1))
        last = np.where(running, end, update).astype(np.int32)
        ends = running & (last >= microbatch.iterations_per_epoch(rows, batch_size))
        report = EpochReport(np.empty(0), ends, last * batch_size, (last - update) * parts)
        after = np.stack([progress[..., 0] + ends, np.where(ends, 0, last)], axis=-1).astype(np.int32)
        return Span(last, ends, after), report  # type: ignore[arg-type]  # NumPy arrays travel with the call

    def parameters(self) -> Any:
        """What is kept of a lane's model, a tree of shapes and dtypes: see `Variables.tree`."""
        return self.lane.model.shapes.tree

    def test(self, values: LaneValues, tree: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Loss and metrics of one lane's parameters on rows that take no part in training: f32 `[1 + metrics]`."""
        arguments = (*jax.device_put((values, tree, x, y), self.device), self.feed.affine)
        return on_host(self._compile(jax.jit(self.lane.evaluate).lower(*arguments), ONCE)(*arguments))

    def _begun(self) -> dict[str, Future[Any]]:
        with self._lock:
            if self._compiling:
                return self._compiling
            values = self._abstract_values()
            pool = ThreadPoolExecutor(2)
            with jax.default_device(self.device), exits_refused():
                init = jax.jit(self._init_function()).trace(values)
                starting = pool.submit(self._compile, init.lower(), ONCE)  # while the epoch is traced
                epoch = jax.jit(self._epoch_function(), donate_argnums=0)
                training = epoch.lower(init.out_info, values, self.feed.shapes, self._abstract_span())
                self._compiling = {"epoch": pool.submit(self._compile, training, TRAINING), "init": starting}
            pool.shutdown(wait=False)
            return self._compiling

    def _compile(self, lowered: jax.stages.Lowered, options: dict[str, Any]) -> jax.stages.Compiled:
        if self.device.platform != "cpu":
            return lowered.compile()
        try:
            return lowered.compile(options)
        except Exception as error:
            if "No such compile option" not in str(error):
                raise
            return lowered.compile()  # slower, by another XLA that does not know them

    def _abstract_values(self) -> LaneValues:
        axis = () if self.lane_count is None else (self.lane_count,)
        return LaneValues(
            _shape(*axis, lanes.INTS, dtype=jnp.int32),
            _shape(*axis, len(self.lane.float_names), dtype=jnp.float32),
        )

    def _abstract_span(self) -> Span:
        axis = () if self.lane_count is None else (self.lane_count,)
        after = _shape(*axis, 2, dtype=jnp.int32)
        return Span(_shape(*axis, dtype=jnp.int32), _shape(*axis, dtype=jnp.bool), after)

    def _init_function(self) -> Callable[..., LaneState]:
        init = self.lane.init if self.lane_count is None else jax.vmap(self.lane.init)

        def init_lanes(values: LaneValues) -> LaneState:
            return init(values)

        return init_lanes

    def _epoch_function(self) -> Callable[..., tuple[LaneState, jax.Array]]:
        if self.lane_count is None:
            function = functools.partial(mapped_epoch, self.lane, self.micro_batches)
        else:
            function = functools.partial(vmapped_epoch, self.lane, self.micro_batches)

        def train_epoch(state: LaneState, values: LaneValues, data: Data, span: Span) -> tuple[LaneState, jax.Array]:
            return function(state, values, data, span)

        return train_epoch


TRAINING_FUNCTION = "jit(train_epoch)"
"""What JAX calls the training program when it reports a compilation."""


def _shape(*shape: int, dtype: Any) -> Any:
    return jax.ShapeDtypeStruct(shape, dtype)  # type: ignore[no-untyped-call]  # JAX leaves it untyped


_replace_lanes = jax.jit(lambda state, fresh_state, fresh: select(fresh, fresh_state, state), donate_argnums=0)
