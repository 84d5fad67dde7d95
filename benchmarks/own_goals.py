"""What `sweep run` is held to by itself: whole searches, idle devices, and growth."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.markdown import at_least, at_most, spread, table
from benchmarks.measurements import GPU, GROWTH_LEAST
from benchmarks.process import Run

Row = tuple[str, str, str]
TEST_ACCURACY = 0.99
LEAST_LINEAR = 0.8  # a time for each trial that does not grow with their number
MIB_IN_MB = 2**20 / 1e6


def own_goals(by_name: Mapping[str, Sequence[Run]], device: str) -> str:
    """The section; empty if none of its programs ran."""
    sections: dict[str, Callable[[Sequence[Run], str], list[Row]]] = {
        "mnist": _search,
        "target": _target,
        "streaming": _streaming,
        **{f"growth/{variant}": _growth for variant in GROWTH_LEAST},
    }
    rows = [row for name, rows_of in sections.items() if by_name.get(name) for row in rows_of(by_name[name], device)]
    if not rows:
        return ""
    return "## `sweep run` by itself\n\n" + table(("what", "median (min–max)", "goal"), rows)


def _search(runs: Sequence[Run], device: str) -> list[Row]:
    """`configs/mnist.yaml`, whose log also says how busy lanes and devices were under hyperband."""
    walls, results = [run.wall for run in runs], [_result(run) for run in runs]
    best, busy, idle = ([each[name] for each in results] for name in ("best_value", "lanes_busy", "device_idle"))
    most_idle = 0.05 if device == GPU else 0.02
    name = f"`configs/mnist.yaml` ({results[0]['trials']} trials)"
    return [
        (f"{name}: wall s, cold", spread(walls), at_most(statistics.median(walls), 180)),
        (f"{name}: best validation accuracy", spread(best, 4), at_least(statistics.median(best), 0.975)),
        (f"{name}: test accuracy", spread([each["test_accuracy"] for each in results], 4), ""),
        (f"{name}: compilations", spread([each["compilations"] for each in results], 0), ""),
        ("lanes busy under hyperband", _percent(busy), at_least(statistics.median(busy), 0.95, "≥ {:.0%}")),
        ("devices idle between epochs", _percent(idle), at_most(statistics.median(idle), most_idle, "≤ {:.0%}")),
    ]


def _target(runs: Sequence[Run], device: str) -> list[Row]:
    """The search for 99 % on MNIST, from nothing known to the end."""
    rows = []
    for kind, most in (("cold", 30), ("warm", 10)):
        of_kind = [run for run in runs if run.is_warm == (kind == "warm")]
        walls, tested = ([run.wall for run in of_kind], [_result(run)["test_accuracy"] for run in of_kind])
        if not of_kind:
            continue
        is_there = statistics.median(tested) >= TEST_ACCURACY
        name = f"search for {TEST_ACCURACY:.0%} MNIST test accuracy: wall s, {kind}"
        goal = at_most(statistics.median(walls), most) if device == GPU else "reported"
        trials = spread([_result(run)["trials"] for run in of_kind], 0)
        reached = f"{'reached' if is_there else '**not reached**'}: {spread(tested, 4)} on the test images"
        rows.append((name, f"{spread(walls)}, {trials} trials", f"{goal}; {reached}"))
    return rows


def _streaming(runs: Sequence[Run], _: str) -> list[Row]:
    shares = [_result(run)["throughput"] for run in runs]
    goal = at_least(statistics.median(shares), 0.8)
    return [("rows that stream, MNIST in six chunks: throughput ÷ that of resident rows", spread(shares), goal)]


def _growth(runs: Sequence[Run], _: str) -> list[Row]:
    """A sweep of trials that train nothing: what the host does for each of them, and what it keeps."""
    result = _result(runs[0])
    name, least = f"{result['trials']:,} trials of nothing, {result['variant']}", GROWTH_LEAST[result["variant"]]
    rate, memory, rates = result["trials_per_second"], result["memory_growth_mib"] * MIB_IN_MB, result["rates"]
    linear = rates[-1] / rates[0]
    return [
        (f"{name}: trials/s", f"{rate:,.0f}", at_least(rate, least) if least else ""),
        (f"{name}: rate of the last tenth ÷ of the first", f"{linear:.2f}", at_least(linear, LEAST_LINEAR)),
        (f"{name}: memory growth in MB", f"{memory:.0f}", at_most(memory, 50)),
    ]


def _percent(fractions: Sequence[float]) -> str:
    return f"{spread([100 * each for each in fractions], 1)} %"


def _result(run: Run) -> dict[str, Any]:
    assert run.result is not None, "failed runs are left out before"
    return run.result
