"""`sweep plan`: what a run would do, in lanes and programs. Nothing is compiled or trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from sweeps.amounts import count, size
from sweeps.command import display
from sweeps.config import read_draft
from sweeps.datasets.loading import Datasets
from sweeps.engine.devices import Policy
from sweeps.engine.programs import Programs
from sweeps.user_code import project_folders
from sweeps.validation import validate
from sweeps.validation.lane_memory import refuse_large_lanes
from sweeps.validation.program_plan import Plan, Planned, Taken, make_plan

MOST_LISTED = 12


def plan(console: Console, file: Path, overrides: Sequence[str]) -> None:
    """Print the programs, the lanes and the micro-batches of a sweep.

    Raises:
        SweepError: the file has mistakes (a ConfigError, which holds all of them), or a choice cannot be trained.
    """
    draft, datasets = read_draft(file, overrides), Datasets()
    with project_folders(file):
        validate.examine(draft, datasets)
        config = draft.config()
        programs = Programs(config, datasets)
        refuse_large_lanes(config, programs)
        made = make_plan(config, programs)
    display.line(console, f"{file}: right")
    display.facts(console, facts(made))
    for text in table(made.batches):
        display.line(console, text)
    display.facts(console, of_programs(made))


def facts(made: Plan) -> list[tuple[str, str]]:
    """What holds for all programs, as rows of a name and a text."""
    static = ", ".join(f"{name} ({_values(count)})" for name, count in made.static.items())
    each = " or ".join(_words(sizes) for sizes in made.micro_batches)
    several = ", a program for each" if len(made.micro_batches) > 1 else ""
    return [
        ("device", device(made.policy)),
        ("in lanes", ", ".join(made.in_lanes)),
        ("static", static or "nothing that is searched"),
        ("programs", made.number_of_programs),
        ("micro-batch", f"{each} rows{several}" if each else "none: the model takes batches whole"),
    ]


def device(policy: Policy) -> str:
    """The lane policy.

    >>> import jax
    >>> device(Policy((jax.devices()[0],), 2, 4, None))
    '1 cpu: 4 lanes, one after the other in 2 threads (mapped)'
    """
    devices = f"{len(policy.devices)} {policy.devices[0].platform}"
    if policy.is_mapped:
        threads = count(policy.threads_per_device, "thread")
        return f"{devices}: {count(policy.lanes, 'lane')}, one after the other in {threads} (mapped)"
    groups = count(policy.groups, "group")
    return f"{devices}: {groups} of at most {policy.lanes_per_group} lanes side by side (vmapped)"


def table(batches: Sequence[Taken]) -> list[str]:
    r"""How batches are taken and what padding it costs, as columns of up to eight sizes.

    >>> print(*table([Taken(48, 64, 1, 0.25), Taken(128, 64, 2, 0.0)]), sep="\n")
      batch size       48     128
      taken as       1x64    2x64
      padding         25%      0%
    """
    rows = {
        "batch size": [f"{taken.batch_size}" for taken in batches],
        "taken as": [f"{taken.parts}x{taken.micro_batch}" for taken in batches],
        "padding": [f"{taken.padding:.0%}" for taken in batches],
    }
    return [f"  {name:11}{''.join(f'{text:>8}' for text in texts)}" for name, texts in rows.items()]


def of_programs(made: Plan) -> list[tuple[str, str]]:
    """A row for each program, as far as they can be listed."""
    rows = [
        (f"program {index}", _program(planned, made.policy))
        for index, planned in enumerate(made.programs[:MOST_LISTED], 1)
    ]
    rest = len(made.programs) - len(rows)
    if not made.is_whole:
        return [*rows, ("…", "these are samples")]
    return [*rows, ("…", f"and {rest} more")] if rest else rows


def _program(planned: Planned, policy: Policy) -> str:
    choices = f"{display.parameters(planned.choices)}: " if planned.choices else ""
    lane = f"{size(planned.lane.total)} a lane, {size(planned.lane.optimizer_state)} of it optimizer state"
    fewer = not policy.is_mapped and planned.lanes < (policy.lanes_per_group or 1)
    fit = f"; memory holds at most {planned.lanes} lanes a group" if fewer else ""
    return f"{choices}{planned.parameters:,} parameters; {lane}{fit}"


def _values(count: float) -> str:
    return "any number" if math.isinf(count) else f"{count:,g} values"


def _words(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, sizes))
