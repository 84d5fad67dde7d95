"""How far a sweep is: what the runner yields and a display shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class BestSoFar(NamedTuple):
    """The best completed trial so far."""

    number: int
    value: float
    params: Mapping[str, Any]


class Running(NamedTuple):
    """A trial under way that has come to the end of `epoch`, the objective after it, and how many it has to train."""

    number: int
    epoch: int
    epochs: int
    value: float


@dataclass(frozen=True)
class Progress:
    """One look at a running sweep. `total` and `seconds_left` are None where they cannot be known."""

    done: int
    total: int | None
    busy: int
    lanes: int
    best: BestSoFar | None
    examples_per_second: float
    seconds_left: float | None
    outcomes: Mapping[str, int]  # ended trials by outcome
    compilations: int  # of the training program in this run, as JAX counts them
    news: tuple[str, ...]  # a line for each trial that ended since the last look
    is_stopped: bool = False  # before the sweep's end; the next run continues it
    warnings: tuple[str, ...] = ()  # of the news, what went wrong; of each reason of a failure the first
    continued: tuple[int, int] = (0, 0)  # trials that had ended, and that were under way, when this run began
    under_way: tuple[int, int] = (0, 0)  # trials that a stop has interrupted, and their epochs
    failures: tuple[tuple[str, str, int], ...] = ()  # an outcome, a reason and a count, of this run, the most first
    elapsed_s: float = 0.0  # since this run began
    running: tuple[Running, ...] = ()  # where no trial has ended for a while, those that are under way
