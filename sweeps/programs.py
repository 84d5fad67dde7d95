"""The programs of a sweep: a trial comes in, the compiled program that it rides in and its lane values come out.

The rule: a dataset is loaded once and is on each device once; a signature has one program a device.
"""

from __future__ import annotations

import contextlib
from typing import NamedTuple

import jax
import numpy as np

from sweeps.config import SweepConfig, space
from sweeps.datasets.base import Dataset
from sweeps.datasets.loading import Datasets
from sweeps.devices import Policy, choose_policy
from sweeps.training import lane, microbatch
from sweeps.training.compilations import training_compilations
from sweeps.training.program import Program
from sweeps.training.signature import Arguments, Signature, lane_program, sign


class Occupant(NamedTuple):
    """A trial that is to ride in a lane: its program's signature, and the values that tell it from its neighbours."""

    number: int
    epochs: int
    batch_size: int
    examples: int
    signature: Signature
    ints: np.ndarray  # i32 [lane.INTS]
    floats: np.ndarray  # f32 [hyperparameters]
    cost: float  # modelled work of an epoch, in rows times parameters


class Programs:
    """Makes and keeps programs. Not for use from several threads, except through the programs themselves."""

    def __init__(self, config: SweepConfig, datasets: Datasets, policy: Policy | None = None) -> None:
        self._config, self._datasets = config, datasets
        self._compiled_before = training_compilations()
        self.policy = choose_policy(config) if policy is None else policy
        self._data: dict[tuple[tuple[str, Arguments], jax.Device], lane.Data] = {}
        self._programs: dict[tuple[Signature, jax.Device], Program] = {}
        self._lanes: dict[Signature, lane.LaneProgram] = {}
        self.ladder = ladder(config, self.policy)

    def occupant(self, number: int, trial: space.Trial) -> Occupant:
        """A trial as a lane sees it.

        Raises:
            ModelError, DataError: the trial's own choices cannot be trained.
        """
        signature, floats = sign(trial, self._config.metrics)
        examples = self.dataset(signature).train.rows
        # A searched seed is a trial's whole identity; otherwise trials differ by their number.
        seed, stream = (self._config.seed, number) if trial.seed is None else (trial.seed, 0)
        ints = np.zeros(lane.INTS, np.int32)
        ints[[lane.NUMBER, lane.SEED, lane.BATCH_SIZE, lane.RUNNING]] = (
            stream, np.uint32(seed).astype(np.int32), trial.batch_size, 1,
        )  # fmt: skip
        rows = examples * microbatch.cost_per_example(trial.batch_size, self.ladder.sizes)
        cost = rows * self._lane_program(signature).model.parameter_count
        return Occupant(
            number, trial.epochs, trial.batch_size, examples, signature, ints, np.asarray(floats, np.float32), cost
        )

    @property
    def compilations(self) -> int:
        """How often JAX has compiled the training program since these programs were made."""
        return training_compilations() - self._compiled_before

    def compile_ahead(self) -> None:
        """Begin to compile, before any trial is known, where every trial will have the same program."""
        trial = space.only_numbers_searched(self._config)
        if trial is not None:
            signature = self.occupant(0, trial).signature
            for device in self.policy.devices:
                with contextlib.suppress(Exception):  # met again, and dealt with, by the first trial
                    self.program(signature, device).begin_to_compile()

    def program(self, signature: Signature, device: jax.Device) -> Program:
        """The program of a signature on a device; it compiles when it is first used."""
        place = (signature, device)
        if place not in self._programs:
            self._programs[place] = Program(
                self._lane_program(signature),
                self._on(device, signature),
                self.ladder,
                self.policy.lanes_per_population,
                device,
            )
        return self._programs[place]

    def dataset(self, signature: Signature) -> Dataset:
        use, arguments = signature.dataset
        return self._datasets.get(use, dict(arguments))

    def _lane_program(self, signature: Signature) -> lane.LaneProgram:
        if signature not in self._lanes:
            self._lanes[signature] = lane_program(signature, self.dataset(signature))
        return self._lanes[signature]

    def _on(self, device: jax.Device, signature: Signature) -> lane.Data:
        place = (signature.dataset, device)
        if place not in self._data:
            dataset = self.dataset(signature)
            affine = np.array([dataset.scale, dataset.shift], np.float32)
            arrays = jax.device_put((*dataset.train, *dataset.valid, affine), device)
            self._data[place] = lane.Data(*arrays)
        return self._data[place]


def ladder(config: SweepConfig, policy: Policy) -> microbatch.Ladder:
    """The micro-batch sizes that the config's batch sizes are taken in."""
    batch_sizes = space.batch_sizes(config)
    if config.micro_batch != "auto":
        sizes: tuple[int, ...] = (int(config.micro_batch),)
    else:
        most = 1 if policy.lanes_per_population is not None else microbatch.MOST_RUNGS
        sizes = microbatch.choose_ladder(batch_sizes, most)
    return microbatch.Ladder(sizes, splits=max(batch_sizes) > sizes[-1])
