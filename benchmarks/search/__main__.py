"""Runs every arm on every task with every seed, and writes a page.

python -m benchmarks.search FOLDER --lanes 1 8 --seeds 20 --budget 1500 --out page.md
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import machine
from benchmarks.markdown import table
from benchmarks.search import tasks
from benchmarks.search.replay import Replay, config_of

ARMS: Mapping[str, Mapping[str, Any]] = {
    "random": {"sampler": "random", "pruner": "none"},
    "TPE": {"sampler": "tpe", "pruner": "none"},
    "TPE, hyperband": {"sampler": "tpe", "pruner": {"use": "hyperband"}},
    "TPE, successive halving": {"sampler": "tpe", "pruner": {"use": "successive_halving", "reduction_factor": 3}},
    "one epoch, then the best in full": {
        "sampler": "random",
        "pruner": {"use": "waves", "reduction_factor": 50, "wave_size": 500},
    },
    "TPE, ASHA": {"sampler": "tpe", "pruner": {"use": "asha"}},
    "random, ASHA": {"sampler": "random", "pruner": {"use": "asha"}},
    "random, waves": {"sampler": "random", "pruner": {"use": "waves"}},
    "TPE, waves": {"sampler": "tpe", "pruner": {"use": "waves"}},
    "TPE, waves, two brackets": {"sampler": "tpe", "pruner": {"use": "waves", "brackets": 2}},
}
YARDSTICK = "TPE"
"""The arm whose final value the others are to reach."""


class Case(NamedTuple):
    """One search."""

    family: str
    task: str
    arm: str
    seed: int
    lanes: int


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lanes", type=int, nargs="+", default=[1, 4, 32, 128])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--budget", type=int, default=1500, help="epochs of all trials together")
    parser.add_argument("--tasks", type=int, default=100, help="at most so many of each family")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    known = [(family, each) for family, found in _families(options.folder).items() for each in found[: options.tasks]]
    jobs = [(family, task, options.arms, options.seeds, options.lanes, options.budget) for family, task in known]
    found: dict[Case, np.ndarray] = {}
    before = os.getloadavg()[0]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for part in pool.map(_all_of_task, [(options.folder, *job) for job in jobs]):
            found |= part
    page = "\n\n".join([_head(options, (before, os.getloadavg()[0])), *_sections(found, options)])
    print(page)
    if options.out is not None:
        options.out.write_text(page + "\n")


def _families(folder: Path) -> dict[str, list[str]]:
    found = {"lcbench": tasks.lcbench(folder / "lcbench"), "taskset": tasks.taskset(folder / "taskset")}
    return {family: [each.name for each in every] for family, every in found.items() if (folder / family).is_dir()}


def _all_of_task(job: tuple[Path, str, str, list[str], int, list[int], int]) -> dict[Case, np.ndarray]:
    """Every search on one task: the normalised regret after each epoch, 0 at the task's best and 1 at its median."""
    folder, family, name, arms, seeds, lane_counts, budget = job
    every = tasks.lcbench(folder / family) if family == "lcbench" else tasks.taskset(folder / family)
    task = next(each for each in every if each.name == name)
    found = {}
    for arm in arms:
        for seed in range(seeds):
            for lanes in lane_counts:
                best = Replay(task, config_of(task, ARMS[arm], seed), lanes, budget).best
                regret = (best - task.best) / (task.typical - task.best)
                found[Case(family, name, arm, seed, lanes)] = regret.astype(np.float32)
    return found


def _head(options: argparse.Namespace, loads: tuple[float, float]) -> str:
    about = (
        f"{options.seeds} seeds; the budget is {options.budget:,} epochs of all trials together.\n\n"
        "Regret is 0 at a task's best configuration and 1 at its median one. *Reaches TPE*: in which part of the tasks "
        "and seeds an arm comes to what TPE without pruning has after the whole budget, and after which part of it."
    )
    facts = table(("what", "is"), machine.describe("cpu", loads))
    return f"# Searches on recorded curves\n\nMade by `python -m benchmarks.search`.\n\n{facts}\n\n{about}"


def _sections(found: Mapping[Case, np.ndarray], options: argparse.Namespace) -> Iterator[str]:
    for family in dict.fromkeys(case.family for case in found):
        for lanes in options.lanes:
            chosen = {case: curve for case, curve in found.items() if (case.family, case.lanes) == (family, lanes)}
            count = len({case.task for case in chosen})
            rows = [_row(arm, chosen) for arm in options.arms]
            heads = (
                "arm",
                "regret at ¼, mean",
                "at the end, mean",
                "median",
                "reaches TPE",
                "after so much of the budget",
            )
            yield f"## {family}, {count} tasks, {lanes} lane{'s' * (lanes > 1)}\n\n{table(heads, rows)}"


def _row(arm: str, chosen: Mapping[Case, np.ndarray]) -> tuple[str, ...]:
    curves = {case: curve for case, curve in chosen.items() if case.arm == arm}
    quarter = [float(curve[len(curve) // 4 - 1]) for curve in curves.values()]
    end = [float(curve[-1]) for curve in curves.values()]
    shares = [_share(curve, chosen.get(case._replace(arm=YARDSTICK))) for case, curve in curves.items()]
    known = [share for share in shares if share is not None]
    reached = f"{np.mean([share <= 1 for share in known]):.0%}" if known else ""
    part = f"{min(float(np.median(known)), 1.0):.2f}" if known else ""
    figures = (f"{np.nanmean(quarter):.3f}", f"{np.nanmean(end):.3f}", f"{np.nanmedian(end):.3f}")
    return (arm, *figures, reached, part)


def _share(curve: np.ndarray, yardstick: np.ndarray | None) -> float | None:
    """After which part of the budget an arm came to the yardstick's final value; infinity where it did not."""
    if yardstick is None:
        return None
    there = np.flatnonzero(curve <= yardstick[-1])
    return (int(there[0]) + 1) / len(curve) if len(there) else float("inf")


if __name__ == "__main__":
    main()
