"""The programs of a sweep: what a trial is to a lane, and the compiled program that such lanes run.

A dataset is loaded once and is on each device once; a program key has one program a device.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np

from sweeps.config import SweepConfig, space
from sweeps.datasets.dataset import Dataset
from sweeps.datasets.loading import Datasets
from sweeps.engine import memory
from sweeps.engine.buckets import choose_buckets
from sweeps.engine.compilations import training_compilations
from sweeps.engine.devices import Policy, choose_policy
from sweeps.engine.feed import CHUNK_BYTES, Feed, chunk_rows, feed
from sweeps.engine.program import Program
from sweeps.training import lane, microbatch, traced_arguments
from sweeps.training.adapters.model import Inputs, Model
from sweeps.training.losses import outputs_needed
from sweeps.training.models import in_bfloat16
from sweeps.training.program_key import Arguments, ProgramKey, lane_program, sign


class LaneTrial(NamedTuple):
    """A trial as a lane sees it: the key of its program, and the values that tell it from its neighbours."""

    number: int
    epochs: int
    batch_size: int
    examples: int
    program_key: ProgramKey
    ints: np.ndarray  # i32 [lane.INTS]
    floats: np.ndarray  # f32 [hyperparameters]
    cost: float  # modelled work of an epoch, in rows times parameters


class Programs:
    """Makes and keeps programs. For one thread, but for `program` and the programs themselves."""

    def __init__(
        self, config: SweepConfig, datasets: Datasets, policy: Policy | None = None, chunk_bytes: int = CHUNK_BYTES
    ) -> None:
        self._config, self._datasets, self._chunk_bytes = config, datasets, chunk_bytes
        self._compiled_before = training_compilations()
        self.policy = choose_policy(config) if policy is None else policy
        self._feeds: dict[tuple[tuple[str, Arguments], object, jax.Device], Feed] = {}
        self._programs: dict[tuple[ProgramKey, jax.Device, int | None], Program] = {}
        self._lock = threading.Lock()
        self._lanes: dict[ProgramKey, lane.LaneProgram] = {}
        self._lane_counts: dict[ProgramKey, int] = {}
        self._numbers = traced_arguments.searched(config.parameters())
        self._optimizer_numbers = traced_arguments.searched_of_optimizer(config.parameters())
        self.program_micro_batches = program_micro_batches(config, self.policy)

    def lane_trial(self, number: int, trial: space.Trial) -> LaneTrial:
        """A trial as a lane sees it.

        Raises:
            ModelError, DataError: the trial's own choices cannot be trained.
        """
        micro_batches = self.micro_batches(trial.batch_size)
        of_optimizer = traced_arguments.traced_by_optimizer(
            trial.optimizer, trial.learning_rate, self._optimizer_numbers
        )
        program_key, floats = sign(trial, self._config.metrics, micro_batches, self._traced(trial), of_optimizer)
        examples = self.dataset(program_key).train.rows
        if self.model(program_key).is_whole:
            micro_batches = microbatch.whole_batches(trial.batch_size, examples)
            program_key = replace(program_key, micro_batches=micro_batches)
        # A searched seed is a trial's whole identity; otherwise trials differ by their number.
        seed, stream = (self._config.seed, number) if trial.seed is None else (trial.seed, 0)
        ints = np.zeros(lane.INTS, np.int32)
        ints[[lane.NUMBER, lane.SEED, lane.BATCH_SIZE, lane.RUNNING]] = (
            stream, np.uint32(seed).astype(np.int32), trial.batch_size, 1,
        )  # fmt: skip
        rows = examples * microbatch.cost_per_example(trial.batch_size, micro_batches.sizes)
        cost = rows * self.model(program_key).parameter_count
        return LaneTrial(
            number, trial.epochs, trial.batch_size, examples, program_key, ints, np.asarray(floats, np.float32), cost
        )

    @property
    def compilations(self) -> int:
        """How often JAX has compiled the training program since these programs were made."""
        return training_compilations() - self._compiled_before

    def compile_ahead(self) -> None:
        """Begin to compile, before any trial is known, where trials differ by their batch sizes' programs at most."""
        trial = space.only_numbers_searched(self._config)
        if trial is not None and self._takes_all_numbers(trial):
            for batch_size in self._batch_sizes_ahead(trial):
                program_key = self.lane_trial(0, replace(trial, batch_size=batch_size)).program_key
                for device in self.policy.devices:
                    with contextlib.suppress(Exception):  # met again, and dealt with, by the first trial
                        self.program(program_key, device).begin_to_compile()

    def program(self, program_key: ProgramKey, device: jax.Device, lane_count: int | None = None) -> Program:
        """The program of a program key on a device; it compiles when it is first used. For any thread.

        `lane_count` is that of a vmapped program, which is `self.lane_count` unless it is given.
        """
        count = self.lane_count(program_key) if lane_count is None else lane_count
        place = (program_key, device, count)
        with self._lock:
            if place not in self._programs:
                rows, share = self._feed(device, program_key), self._share
                own = self._lane_program(program_key)
                self._programs[place] = Program(own, rows, program_key.micro_batches, count, device, share)
            return self._programs[place]

    def lane_count(self, program_key: ProgramKey) -> int | None:
        """Lanes of a lane group of this program: the policy's, or as many as memory has been found to hold."""
        most = self.policy.lanes_per_group
        if most is None:
            return None
        if program_key not in self._lane_counts:
            bound = most if self._share is None else memory.most_lanes(self.lane_bytes(program_key), self._share)
            self._lane_counts[program_key] = min(most, bound)
        return self._lane_counts[program_key]

    def shrink(self, program_key: ProgramKey, lanes: int) -> None:
        """From now on, lane groups of this program have at most so many lanes; those that have more keep theirs."""
        self._lane_counts[program_key] = min(lanes, self._lane_counts.get(program_key, lanes))
        with self._lock:
            self._programs = {place: program for place, program in self._programs.items() if place[0] != program_key}

    def is_broken(self, program_key: ProgramKey) -> bool:
        """Whether this program has been found not to compile, so that its trials fail without another attempt."""
        with self._lock:
            programs = [program for place, program in self._programs.items() if place[0] == program_key]
        return any(program.failure is not None for program in programs)

    def lane_bytes(self, program_key: ProgramKey) -> memory.LaneBytes:
        """What a lane of this program keeps on its device."""
        return memory.lane_bytes(self._lane_program(program_key))

    def model(self, program_key: ProgramKey) -> Model:
        """This program's model."""
        return self._lane_program(program_key).model

    def dataset(self, program_key: ProgramKey) -> Dataset:
        use, arguments = program_key.dataset
        loss, of_loss = program_key.loss
        return self._datasets.get(use, dict(arguments), loss, dict(of_loss))

    @property
    def _share(self) -> memory.Share | None:
        device_bytes = self.policy.memory_bytes
        if device_bytes is None:
            return None
        return memory.Share(device_bytes, max(self.policy.groups_per_device, len(self.program_micro_batches)))

    def micro_batches(self, batch_size: int) -> microbatch.MicroBatches:
        """The micro-batch sizes of the program that batches of a size go to."""
        return next(
            (micro_batches for micro_batches in self.program_micro_batches if batch_size <= micro_batches.sizes[-1]),
            self.program_micro_batches[-1],
        )

    def _batch_sizes_ahead(self, trial: space.Trial) -> list[int]:
        """One for each program that is sure to be needed."""
        if self.model(self.lane_trial(0, trial).program_key).is_whole:
            return [trial.batch_size] if len(space.batch_sizes(self._config)) == 1 else []
        return [micro_batches.sizes[-1] for micro_batches in self.program_micro_batches]

    def _takes_all_numbers(self, trial: space.Trial) -> bool:
        """Whether every searched number of the model and the optimizer is a value of a lane of a trial's program."""
        searched = {number.name for number in (*self._numbers.values(), *self._optimizer_numbers.values())}
        return searched <= set(self.lane_trial(0, trial).program_key.float_names)

    def _traced(self, trial: space.Trial) -> traced_arguments.Numbers:
        """The searched numbers of a trial's model that are values of its lane."""
        if not self._numbers:
            return {}
        loss, of_loss = trial.loss.use, trial.loss.arguments
        dataset = self._datasets.get(trial.dataset.use, trial.dataset.arguments, loss, of_loss)
        inputs, outputs = Inputs(dataset.input_shape, dataset.input_dtype), outputs_needed(loss, dataset, of_loss)
        in_half = self._config.precision == "bfloat16"
        return traced_arguments.traced(trial.model, self._numbers, inputs, outputs, in_half=in_half)

    def _lane_program(self, program_key: ProgramKey) -> lane.LaneProgram:
        if program_key not in self._lanes:
            dataset = self.dataset(program_key)
            made = lane_program(program_key, dataset, self._chunk_rows(dataset))
            in_half = self._config.precision == "bfloat16"
            self._lanes[program_key] = replace(made, model=in_bfloat16(made.model)) if in_half else made
        return self._lanes[program_key]

    def _feed(self, device: jax.Device, program_key: ProgramKey) -> Feed:
        dataset = self.dataset(program_key)
        # Another loss may number the targets otherwise, or take them for numbers.
        place = (program_key.dataset, (dataset.labels, dataset.train.y.dtype), device)
        if place not in self._feeds:
            self._feeds[place] = feed(dataset, device, self._chunk_rows(dataset), self.policy.resident_bytes)
        return self._feeds[place]

    def _chunk_rows(self, dataset: Dataset) -> int:
        return chunk_rows(dataset, max(space.batch_sizes(self._config)), self._chunk_bytes)


def program_micro_batches(config: SweepConfig, policy: Policy) -> tuple[microbatch.MicroBatches, ...]:
    """The micro-batch sizes of each program that the config's batch sizes need.

    A mapped program has several sizes. A vmapped one has a single size, and there may be several such programs.
    """
    batch_sizes = space.batch_sizes(config)
    if config.micro_batch != "auto":
        chosen: list[tuple[int, ...]] = [(int(config.micro_batch),)]
    elif policy.is_mapped:
        chosen = [microbatch.choose_micro_batches(batch_sizes)]
    else:
        chosen = [(size,) for size in choose_buckets(batch_sizes)]
    *holding, last = chosen
    whole = [microbatch.MicroBatches(sizes, splits=False) for sizes in holding]
    return (*whole, microbatch.MicroBatches(last, splits=max(batch_sizes) > last[-1]))
