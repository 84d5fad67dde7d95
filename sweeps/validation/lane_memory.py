"""Whether a lane of each program fits into memory, before anything is trained.

A lane that does not would end its trials as out of memory at best; at worst the system ends the process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from sweeps.amounts import size
from sweeps.config import SweepConfig, Value, space
from sweeps.engine.memory import LaneBytes
from sweeps.engine.programs import Programs
from sweeps.errors import ModelError, SweepError
from sweeps.training.program_key import ProgramKey
from sweeps.validation.sample_configs import assignments

MOST_STATES = 16
"""An optimizer's state is no more than so many times the parameters: smaller lanes need not be looked into."""


def refuse_large_lanes(config: SweepConfig, programs: Programs) -> None:
    """Look at every choice and every end of a range once, with the first value of all others.

    Raises:
        ModelError: a lane of a trial needs more than the memory that there is.
    """
    available = programs.policy.lane_memory_bytes
    if available is None:
        return
    for program_key, params in _sample_trials(config, programs).items():
        if MOST_STATES * 4 * programs.model(program_key).parameter_count < available:
            continue
        lane = programs.lane_bytes(program_key)
        if lane.needed > available:
            raise ModelError(_complaint(config, params, lane, available))


def _sample_trials(config: SweepConfig, programs: Programs) -> Mapping[ProgramKey, Mapping[str, Value]]:
    found: dict[ProgramKey, Mapping[str, Value]] = {}
    for _, chosen in assignments(config.parameters()):
        params = space.active_params(config, chosen)
        with suppress(SweepError):  # another mistake, which its own trial meets
            found.setdefault(programs.lane_trial(0, space.resolve(config, params)).program_key, params)
    return found


def _complaint(config: SweepConfig, params: Mapping[str, Value], lane: LaneBytes, available: int) -> str:
    choices = {name: value for name, value in params.items() if name.partition(".")[0] in ("model", "optimizer")}
    trial = f"a trial with {_words(choices.items())}" if choices else f"the model {config.model.use}"
    return (
        f"{trial} needs {size(lane.needed)} for a lane (parameters, the optimizer's state and a gradient), and "
        f"there are {size(available)} of memory. Take such choices out of the search space, or make the model "
        f"smaller"
    )


def _words(items: Iterable[tuple[str, Value]]) -> str:
    return ", ".join(f"{name}={list(value) if isinstance(value, tuple) else value}" for name, value in items)
