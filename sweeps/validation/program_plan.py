"""What a run would do: which programs its search space needs, and what a lane of each takes.

Which parameter selects programs and which is a value of a lane is found out by making the program keys of sample
trials, as a run makes those of its own. Shapes are traced; nothing is compiled or trained.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from sweeps.config import Choices, IntRange, Parameter, SweepConfig, Value, space
from sweeps.config.parameters import name_of
from sweeps.engine.devices import Policy
from sweeps.engine.memory import LaneBytes
from sweeps.engine.programs import Programs
from sweeps.study.grid import values as grid_values
from sweeps.training import microbatch
from sweeps.training.program_key import ProgramKey
from sweeps.validation.sample_configs import reach

MOST_COMBINATIONS = 64
"""Of choices that select programs: past so many, programs are bounded and not counted."""
MANY = 1e6
FEW = 4
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

    `micro_batches` has the micro-batch sizes of each program that one choice needs; it is () if batches are taken
    whole. `programs` are all of them where `is_whole`, leaving micro-batch sizes aside; otherwise they are samples.
    """

    policy: Policy
    in_lanes: tuple[str, ...]
    static: Mapping[str, float]
    micro_batches: tuple[tuple[int, ...], ...]
    batches: tuple[Taken, ...]
    programs: tuple[Planned, ...]
    is_whole: bool

    @property
    def most_programs(self) -> float:
        """How many programs a run can need."""
        choices = len(self.programs) if self.is_whole else math.prod(self.static.values())
        return choices * max(1, len(self.micro_batches))

    @property
    def number_of_programs(self) -> str:
        """The same in words."""
        most = self.most_programs
        if most == 1:
            return "1, compiled once"
        if math.isinf(most):
            each = " and ".join(name for name, count in self.static.items() if math.isinf(count))
            return f"one for each value of {each}: choices would be fewer"
        number = f"{most:,.0f}" if most < MANY else f"{most:.1e}"
        return f"{number}, each compiled once" if self.is_whole else f"at most {number}"


def make_plan(config: SweepConfig, programs: Programs) -> Plan:
    """The plan of a config that has passed its checks.

    Raises:
        SweepError: some choice cannot be trained.
    """
    found = _find(config, programs)
    are_split = not any(programs.model(program_key).is_whole for program_key in found.trials)
    traced = _traced(found.trials)
    return Plan(
        policy=programs.policy,
        in_lanes=tuple(name for name in config.search_space if name in traced - set(map(name_of, found.static))),
        static=found.static,
        micro_batches=tuple(each.sizes for each in programs.program_micro_batches) if are_split else (),
        batches=tuple(
            _taken(programs, size) if are_split else Taken(size, size, 1, 0.0)
            for size in _few(space.batch_sizes(config))
        ),
        programs=tuple(_planned(programs, *each, found.static) for each in found.trials.items()),
        is_whole=found.is_whole,
    )


class _Found(NamedTuple):
    static: Mapping[str, float]
    trials: Mapping[ProgramKey, Mapping[str, Value]]  # the parameters of one trial of each program
    is_whole: bool


def _find(config: SweepConfig, programs: Programs) -> _Found:
    """The parameters that select programs, and a trial of each program.

    Every parameter is tried under every combination of those that have been found to select programs, until there are
    no more of them: an optimizer may take a number as a value of a lane where another makes its own program of it.
    """
    parameters = config.parameters()
    tried = {name: _to_try(config, name) for name in parameters}
    values: dict[str, Sequence[Value]] = {name: each[:1] for name, each in tried.items()}
    static: dict[str, float] = {}
    trials: dict[ProgramKey, Mapping[str, Value]] = {}
    is_whole, is_new = True, True
    while is_whole and is_new:
        trials, others = {}, [name for name in parameters if name not in static]
        combinations = [dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())]
        for chosen in combinations:
            _program_key(config, programs, chosen, trials)
        for chosen, name in itertools.product(combinations, others):
            each_chosen = [reach(name, parameters, {**chosen, name: value}) for value in tried[name]]
            keys = [_program_key(config, programs, each, trials) for each in each_chosen]
            count, several = _distinct(parameters[name], tried[name], keys)
            if count > static.get(name, 1):
                static[name], values[name] = count, several
        is_new = any(name in static for name in others)
        is_whole = (
            max(static.values(), default=1) < math.inf and math.prod(map(len, values.values())) <= MOST_COMBINATIONS
        )
    return _Found({name: static[name] for name in parameters if name in static}, trials, is_whole)


def _program_key(
    config: SweepConfig,
    programs: Programs,
    chosen: Mapping[str, Value],
    trials: dict[ProgramKey, Mapping[str, Value]],
) -> ProgramKey:
    """A trial's program key, whatever its batch size, unless the model takes batches whole; noted in `trials`."""
    params = space.active_params(config, chosen)
    program_key = programs.lane_trial(0, space.resolve(config, params)).program_key
    if not programs.model(program_key).is_whole:
        program_key = replace(program_key, micro_batches=programs.program_micro_batches[0])
    trials.setdefault(program_key, params)
    return program_key


def _to_try(config: SweepConfig, name: str) -> tuple[Value, ...]:
    """Values of a parameter that tell whether it selects programs: all of few, or else two within a range first.

    The ends of a range may be cases of their own in the code of a model. Where there are values between any two, a
    proposal never is such an end. Values that the conditions of others name decide whether those are there.
    """
    entry = config.parameters()[name]
    if isinstance(entry, Choices) or (entry.count is not None and entry.count <= FEW):
        return tuple(grid_values(entry))
    within: tuple[Value, ...] = (entry.low + (entry.high - entry.low) / 3, entry.high - (entry.high - entry.low) / 3)
    if isinstance(entry, IntRange):
        within = tuple(entry.low + entry.step * (entry.count * part // 3) for part in (1, 2))
    ends = () if entry.count is None else (entry.low, entry.high)
    wanted = [when[name] for each in config.parameters().values() if name in (when := each.when or {})]
    named = [value for each in wanted for value in (each if isinstance(each, tuple) else (each,))]
    return (*within, *ends, *(entry.canonical(value) for value in named if entry.contains(value)))


def _distinct(entry: Parameter, tried: Sequence[Value], keys: Sequence[ProgramKey]) -> tuple[float, Sequence[Value]]:
    """How many programs a parameter asks for by itself, and a value for each, unless they cannot be counted."""
    if len(set(tried)) == entry.count or keys[0] == keys[1]:
        several: dict[ProgramKey, Value] = {}
        for key, value in zip(keys, tried, strict=True):
            several.setdefault(key, value)
        return len(several), tuple(several.values())
    return (math.inf, tried) if entry.count is None else (entry.count, grid_values(entry))


def _traced(program_keys: Iterable[ProgramKey]) -> set[str]:
    """What is a value of a lane in some of these programs, by the names of a search space."""
    floats = {name for program_key in program_keys for name in program_key.float_names}
    names = {name if "." in name else f"optimizer.{name}" for name in floats}
    return {"epochs", "batch_size", "seed"} | names | (floats & {"learning_rate"})


def _planned(
    programs: Programs, program_key: ProgramKey, params: Mapping[str, Value], static: Mapping[str, float]
) -> Planned:
    return Planned(
        choices={name: value for name, value in params.items() if name in map(name_of, static)},
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
