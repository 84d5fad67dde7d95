"""How a trial ended, and what a sampler learns of it.

    completed                  complete, with its value
    pruned                     pruned. TPE ranks these after all complete trials, the longest-lived first. GP learns
                               from complete trials only and would propose the same spot again, so for gp it is
                               complete with its last value.
    diverged                   infeasible, which TPE ranks behind everything else: by its last finite value alone, a
                               trial that fell apart late would rank as the best of the pruned. GP and CMA-ES know no
                               such thing: complete with the worst value so far, or failed when there is none yet.
    out_of_memory, timed_out,  failed: nothing is learnt from them
    interrupted, failed

A sampler by its dotted name learns what Optuna's own would: a trial that diverged is pruned and breaks a constraint.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from sweeps.config.schema import SweepConfig

OUTCOMES = ("completed", "pruned", "diverged", "out_of_memory", "timed_out", "interrupted", "failed")


class Report(NamedTuple):
    """The last recorded report of a running trial, and what the pruner made of it."""

    epoch: int
    value: float
    stop: bool


class Ending(NamedTuple):
    """`value` is that of a complete trial; `last` is its last report, if any."""

    state: Literal["complete", "pruned", "infeasible", "failed"]
    value: float | None
    last: Report | None


def ending_of(
    config: SweepConfig, outcome: str, value: float | None, latest: Report | None, *, worst: float | None
) -> Ending:
    """What the sampler learns of an outcome, by the table above. `worst` is the worst value of a complete trial."""
    sampler = config.sampler.use
    match outcome:
        case "completed":
            return Ending("complete", value, latest)
        case "pruned" if sampler == "gp" and latest is not None:
            return Ending("complete", latest.value, latest)
        case "pruned":
            return Ending("pruned", None, latest)
        case "diverged" if sampler in {"gp", "cmaes"}:
            return Ending("failed" if worst is None else "complete", worst, latest)
        case "diverged":
            return Ending("infeasible", None, latest)
        case _:
            return Ending("failed", None, latest)
