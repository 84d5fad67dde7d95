"""What a run would do: which programs its search space needs, and what a lane of each takes.

The rule: the split between lanes and programs is derived, by making the program keys of sample trials. Shapes are
traced; nothing is compiled or trained.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sweeps.config import Choices, FloatRange, Parameter, SweepConfig, Value, space
from sweeps.datasets.loading import Datasets
from sweeps.engine.devices import Policy
from sweeps.engine.memory import LaneBytes
from sweeps.engine.programs import Programs
from sweeps.study.grid import walk
from sweeps.training import microbatch, traced_arguments
from sweeps.training.program_key import ProgramKey
from sweeps.validation import sample_configs

MOST_COMBINATIONS = 64
"""Of choices that select programs: past so many, programs are bounded and not counted."""
COLUMNS = 8


class Planned(NamedTuple):
    """A program: the choices that select it, what its model has, and what each of its lanes keeps on the device."""

    choices: Mapping[str, Value]
    parameters: int
    lane: LaneBytes
    lanes: int  # of a lane group


class Taken(NamedTuple):
    """How batches of one size are taken, and the fraction of the computed rows that are masked."""

    batch_size: int
    micro_batch: int
    parts: int
    padding: float


@dataclass(frozen=True)
class Plan:
    """What a run would do. `static` counts the values of each parameter that selects programs (`inf`: unlimited).

    `programs` are all of them where `is_whole`, leaving their micro-batch sizes aside; otherwise they are samples.
    """

    policy: Policy
    in_lanes: tuple[str, ...]
    static: Mapping[str, float]
    micro_batches: tuple[
        tuple[int, ...], ...
    ]  # the set of micro-batch sizes of each program that one choice needs; () if all are whole
    batches: tuple[Taken, ...]
    programs: tuple[Planned, ...]
    is_whole: bool

    @property
    def most_programs(self) -> float:
        """How many programs a run can need."""
        choices = len(self.programs) if self.is_whole else math.prod(self.static.values())
        return choices * max(1, len(self.micro_batches))


def make_plan(config: SweepConfig, programs: Programs) -> Plan:
    """The plan of a config that has passed its checks.

    Raises:
        SweepError: some choice cannot be trained.
    """
    seen: dict[str, set[ProgramKey]] = {}
    samples: dict[ProgramKey, Mapping[str, Value]] = {}
    for place, chosen in sample_configs.assignments(config.search_space):
        params = _active(config, chosen)
        program_key = _program_key(config, programs, params)
        samples.setdefault(program_key, params)
        seen.setdefault(str(place[1]) if place else "", set()).add(program_key)
    parameters = config.parameters()
    static = {
        name: _count(entry, seen[name])
        for name, entry in parameters.items()
        # An end of a range may be a case of its own in the code of a model; what lies between has one program.
        if len(seen[name]) > 1 and not (isinstance(entry, FloatRange) and name in _traced(seen[name]))
    }
    is_whole = math.prod(static.values()) <= MOST_COMBINATIONS
    found = _every(config, programs, static) if is_whole else samples
    are_split = not any(programs.model(program_key).is_whole for program_key in found)
    return Plan(
        policy=programs.policy,
        in_lanes=tuple(name for name in config.search_space if name in _traced(samples) and name not in static),
        static=static,
        micro_batches=tuple(micro_batches.sizes for micro_batches in programs.program_micro_batches)
        if are_split
        else (),
        batches=tuple(
            _taken(programs, size) if are_split else Taken(size, size, 1, 0.0)
            for size in _few(space.batch_sizes(config))
        ),
        programs=tuple(_planned(programs, program_key, params, static) for program_key, params in found.items()),
        is_whole=is_whole,
    )


def numbers_in_lanes(config: SweepConfig, datasets: Datasets) -> tuple[str, ...]:
    """What rides in lanes, where the model may have to do with it; () where no number of the model is searched."""
    if not traced_arguments.searched(config.parameters()):
        return ()
    return make_plan(config, Programs(config, datasets)).in_lanes


def _every(config: SweepConfig, programs: Programs, static: Mapping[str, Any]) -> dict[ProgramKey, Mapping[str, Value]]:
    """Every program key that the static choices can make, each with the first parameters that make it."""
    pinned = {
        name: next(iter(sample_configs.samples(name, entry)))[1]
        for name, entry in config.parameters().items()
        if name not in static
    }
    found: dict[ProgramKey, Mapping[str, Value]] = {}
    for params in walk(config, pinned):
        found.setdefault(_program_key(config, programs, params), params)
    return found


def _program_key(config: SweepConfig, programs: Programs, params: Mapping[str, Value]) -> ProgramKey:
    """A trial's program key, whatever its batch size, unless the model takes batches whole."""
    program_key = programs.lane_trial(0, space.resolve(config, params)).program_key
    return (
        program_key
        if programs.model(program_key).is_whole
        else replace(program_key, micro_batches=programs.program_micro_batches[0])
    )


def _active(config: SweepConfig, chosen: Mapping[str, Value]) -> dict[str, Value]:
    return {name: chosen[name] for name in config.parameters() if space.active(config, chosen, name)}


def _count(entry: Parameter, program_keys: set[ProgramKey]) -> float:
    """How many programs a parameter asks for by itself: every choice has been tried, of a range both ends."""
    if isinstance(entry, Choices):
        return len(program_keys)
    return math.inf if entry.count is None else entry.count


def _traced(program_keys: Iterable[ProgramKey]) -> set[str]:
    """What these programs hold as values of a lane, by the names of a search space."""
    floats = {name for program_key in program_keys for name in program_key.float_names}
    return {"epochs", "batch_size", "seed", "learning_rate"} | {
        name if "." in name else f"optimizer.{name}" for name in floats
    }


def _planned(
    programs: Programs, program_key: ProgramKey, params: Mapping[str, Value], static: Mapping[str, Any]
) -> Planned:
    return Planned(
        choices={name: value for name, value in params.items() if name in static},
        parameters=programs.model(program_key).parameter_count,
        lane=programs.lane_bytes(program_key),
        lanes=programs.lane_count(program_key) or 1,
    )


def _taken(programs: Programs, batch_size: int) -> Taken:
    sizes = programs.micro_batches(batch_size).sizes
    micro_batch = microbatch.micro_batch_of(batch_size, sizes)
    return Taken(batch_size, micro_batch, -(-batch_size // micro_batch), microbatch.padding(batch_size, sizes))


def _few(sizes: tuple[int, ...]) -> Iterator[int]:
    """At most `COLUMNS` of them, spread evenly, both ends included."""
    if len(sizes) <= COLUMNS:
        return iter(sizes)
    return (sizes[round(index * (len(sizes) - 1) / (COLUMNS - 1))] for index in range(COLUMNS))
