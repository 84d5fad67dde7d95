"""Runs to a Markdown table. The rule: medians with their spread, and the machine that they come from, or nothing."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.workloads import RATE_BATCH_SIZES, training_gflop_per_example

PEERS = {
    "ours": ("`sweep run`", ""),
    "strong": ("strong hand-written JAX loop", "≥ 1.3"),
    "strong_ahead": ("the same, compiling ahead in a thread", ""),
    "ordinary": ("Optuna + jitted step, Python loop", "≥ 2"),
    "keras_fit": ("Keras 3 on JAX, `fit`", "≥ 3"),
}
PACKAGES = ("jax", "jaxlib", "optax", "flax", "optuna", "keras", "numpy")


class Run(NamedTuple):
    """One run of one program: wall seconds, CPU seconds, its JSON line (None where it failed)."""

    name: str
    wall: float
    cpu: float
    result: dict[str, Any] | None


def markdown(runs: Sequence[Run], loads: Iterable[tuple[float, float, float]]) -> str:
    """The whole page."""
    by_name: dict[str, list[Run]] = {}
    for run in runs:
        if run.result is not None:
            by_name.setdefault(run.name, []).append(run)
    sections = [machine(loads), fixed_list(by_name), training_rate(by_name), mnist(by_name)]
    return "\n\n".join(section for section in sections if section) + "\n"


def machine(loads: Iterable[tuple[float, float, float]]) -> str:
    """Where and when: CPU, cores, date, load, versions."""
    before, after = (f"{load[0]:.2f}" for load in loads)
    facts = (
        ("device", f"CPU, {cpu_model()}, {len(os.sched_getaffinity(0))} cores"),
        ("system", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("load average before and after", f"{before}, {after}"),
        ("versions", ", ".join([f"python {platform.python_version()}", *map(version, PACKAGES)])),
    )
    return "# Benchmarks\n\n" + table(("", ""), facts)


def cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"{package} not installed"


def fixed_list(by_name: dict[str, list[Run]]) -> str:
    """Cold start to finish of the 8 trials, and the accuracies that show that all did the same work."""
    names = [name for name in PEERS if name in by_name]
    if not names:
        return ""
    walls = {name: statistics.median(run.wall for run in by_name[name]) for name in names}
    accuracies = {
        name: list(map(statistics.median, zip(*values(by_name[name], "accuracies"), strict=True))) for name in names
    }
    rows = []
    for name in names:
        title, goal = PEERS[name]
        ratio = f"{walls[name] / walls['ours']:.2f}" if "ours" in walls and name != "ours" else ""
        cpu = f"{statistics.median(run.cpu for run in by_name[name]):.1f}"
        rows.append((title, spread([run.wall for run in by_name[name]]), ratio, goal, cpu, phases(by_name[name])))
    heads = ("program", "wall s: median (min–max)", "÷ ours", "goal", "CPU s", "phases, median s")
    scores = [
        (PEERS[name][0], *(f"{score:.4f}" for score in accuracies[name]), difference(accuracies, name))
        for name in names
    ]
    score_heads = ("accuracy after the last epoch", *map(str, range(8)), "largest difference from the ordinary loop")
    head = f"## The fixed list: 8 trials, 17 epochs of MNIST, cold start to finish ({len(by_name[names[0]])} runs each)"
    return "\n\n".join((head, table(heads, rows), table(score_heads, scores)))


def difference(accuracies: dict[str, list[float]], name: str) -> str:
    if "ordinary" not in accuracies or name == "ordinary":
        return ""
    return f"{max(abs(a - b) for a, b in zip(accuracies[name], accuracies['ordinary'], strict=True)):.4f}"


def phases(runs: Sequence[Run]) -> str:
    seconds = values(runs, "seconds")
    return ", ".join(f"{name} {statistics.median(each[name] for each in seconds):.2f}" for name in seconds[0])


def training_rate(by_name: dict[str, list[Run]]) -> str:
    """GFLOP/s of training (the products that the network needs, nothing else) against JAX's own matrix products."""
    ours = values(by_name.get("rate", []), "examples_per_second")
    products = values(by_name.get("matmul", []), "gflop_per_second")
    ways = list(products[0]) if products else []
    rows = []
    for size in map(str, RATE_BATCH_SIZES if ours or products else ()):
        training = [each[size] * training_gflop_per_example() for each in ours]
        reached = [statistics.median(each[way][size] for each in products) for way in ways]
        share = f"{statistics.median(training) / max(reached):.0%}" if training and reached else ""
        rows.append((size, spread(training, 0), *(f"{rate:.0f}" for rate in reached), share, "≥ 70%"))
    if not rows:
        return ""
    heads = (
        "batch size",
        "`sweep run`: median (min–max)",
        *(f"products, {way}" for way in ways),
        "ours ÷ best",
        "goal",
    )
    return "## Training rate in GFLOP/s, against JAX's own matrix products of the same shapes\n\n" + table(heads, rows)


def mnist(by_name: dict[str, list[Run]]) -> str:
    """`configs/mnist.yaml` from a cold start to its end."""
    if "mnist" not in by_name:
        return ""
    run = by_name["mnist"][0]
    result = run.result or {}
    rows = [
        ("wall s (goal: ≤ 180)", f"{run.wall:.1f}"),
        ("trials", result["trials"]),
        ("best validation accuracy (goal: ≥ 0.975)", f"{result['best_value']:.4f}"),
        ("test accuracy of the best trial", f"{result['test']['test_accuracy']:.4f}"),
        ("compilations of the training program", result["compilations"]),
    ]
    return "## `sweep run configs/mnist.yaml`, cold start to finished\n\n" + table(("", ""), rows)


def values(runs: Sequence[Run], key: str) -> list[Any]:
    return [run.result[key] for run in runs if run.result is not None]


def spread(numbers: Sequence[float], digits: int = 2) -> str:
    """`median (min–max)`, or nothing for no numbers."""
    if not numbers:
        return ""
    median, low, high = (f"{each:.{digits}f}" for each in (statistics.median(numbers), min(numbers), max(numbers)))
    return f"{median} ({low}–{high})"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
