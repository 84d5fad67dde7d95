"""How near `sweep run` comes to what the machine allows, and what mixed batch sizes cost it.

Only products that the network needs count as work (`workloads.epoch_gflop_per_example`): those of training,
and those of the test rows that go forward after each epoch in the same calls. Rates are per second of device calls,
so that start-up and idle time stand in other tables.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.gpu_limits import EXAMPLES, bound
from benchmarks.markdown import at_least, spread, table
from benchmarks.measurements import GPU
from benchmarks.process import Run
from benchmarks.workloads import RATE_BATCH_SIZES, epoch_gflop_per_example

LEAST_SHARE, SHARE_FROM = 0.7, 128  # of the products' rate on a CPU, at batch sizes from here on
LEAST_MIXED = 0.8
LEAST_LANE_EPOCHS = 1_000  # per second, on a GPU


def rates(by_name: Mapping[str, Sequence[Run]], device: str) -> str:
    """The section; empty unless rates were taken."""
    ours = [run.result["examples_per_second"] for run in by_name.get("rate", ()) if run.result]
    limits = [run.result for run in by_name.get("limits", ()) if run.result]
    if not ours:
        return ""
    share = _on_a_gpu(ours, limits) if device == GPU else _on_a_cpu(ours, limits)
    return "\n\n".join(("## W1's training rate, and what the machine allows", share, _mixed(ours)))


def mixed_over_uniform(rate: Mapping[str, float]) -> float:
    """The rate with all batch sizes mixed, over what lists of one batch size each would make of the same trials.

    Each size trains as many rows of the mixed list, so the uniform lists' time for them is the sum of rows over rate:
    the harmonic mean of their rates. A size that is slow by itself is no fault of mixing.

    >>> mixed_over_uniform({"32": 1.0, "64": 2.0, "128": 2.0, "256": 4.0, "512": 4.0, "mixed": 2.0})
    1.0
    """
    return rate["mixed"] / statistics.harmonic_mean([rate[str(size)] for size in RATE_BATCH_SIZES])


def _mixed(ours: Sequence[Mapping[str, float]]) -> str:
    ratios = [mixed_over_uniform(rate) for rate in ours]
    mixed = spread([rate["mixed"] for rate in ours], 0)
    row = (mixed, spread(ratios), at_least(statistics.median(ratios), LEAST_MIXED))
    heads = ("examples/s, batch sizes 32 to 512 mixed", "÷ lists of one batch size each", "goal")
    return table(heads, [row])


def _on_a_cpu(ours: Sequence[Mapping[str, float]], limits: Sequence[Mapping[str, Any]]) -> str:
    """GFLOP/s of training beside JAX's own bare products of the same shapes."""
    products = [each["gflop_per_second"] for each in limits]
    ways = list(products[0]) if products else []
    rows = []
    for batch_size in RATE_BATCH_SIZES:
        size = str(batch_size)
        training = [rate[size] * epoch_gflop_per_example() for rate in ours]
        reached = [statistics.median(each[way][size] for each in products) for way in ways]
        share = statistics.median(training) / max(reached) if reached else None
        has_goal = share is not None and batch_size >= SHARE_FROM
        verdict = (
            f"{share:.0%}" if share is not None else "",
            at_least(share or 0.0, LEAST_SHARE, "≥ {:.0%}") if has_goal else "",
        )
        examples = spread([rate[size] for rate in ours], 0)
        rows.append((size, examples, spread(training, 0), *(f"{rate:.0f}" for rate in reached), *verdict))
    heads = (
        "batch size", "`sweep run`: examples/s", "GFLOP/s", *(f"bare products, {way}" for way in ways),
        "ours ÷ best", "goal",
    )  # fmt: skip
    return table(heads, rows)


def _on_a_gpu(ours: Sequence[Mapping[str, float]], limits: Sequence[Mapping[str, Any]]) -> str:
    """Lane-epochs a second beside the bound of arithmetic, memory traffic and launches."""
    rows = []
    for size in RATE_BATCH_SIZES:
        reached = [rate[str(size)] / EXAMPLES for rate in ours]
        bounds = [bound(dict(each), size) for each in limits]
        seconds = {name: statistics.median(each[name] for each in bounds) for name in bounds[0]} if bounds else {}
        most = {name: 1 / each for name, each in seconds.items()}
        median = statistics.median(reached)
        share = f"{median / min(most.values()):.0%} ({min(most, key=lambda name: most[name])})" if most else ""
        # The goal is of the list's own sizes; 128 stands for them.
        goal = at_least(median, LEAST_LANE_EPOCHS) if size == 128 else ""
        rows.append((size, spread(reached, 0), *(f"{each:,.0f}" for each in most.values()), share, goal))
    names = list(bound(dict(limits[0]), 128)) if limits else []
    heads = (
        "batch size", "`sweep run`: lane-epochs/s", *(f"at most, {name}" for name in names), "ours ÷ least", "goal",
    )  # fmt: skip
    return table(heads, rows)
