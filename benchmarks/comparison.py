"""The fixed lists beside the peers: one table a workload. Speed and accuracy stand in the same row."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.machine import multiplies_bfloat16
from benchmarks.markdown import at_least, at_most, spread, table
from benchmarks.measurements import HALF, HALF_MOST, ORDINARY, OURS, Peer, least, list_length, pairs
from benchmarks.process import Run
from benchmarks.workloads import Workload

ByName = Mapping[str, Sequence[Run]]
HEADS = (
    "program", "runs", "wall s: median (min–max)", "÷ ours", "goal", "CPU s", "phases, median s", "mean accuracy",
)  # fmt: skip


def comparisons(by_name: ByName, device: str) -> list[str]:
    """A section for every workload that was run."""
    workloads = dict.fromkeys(workload.name for workload, _ in pairs(device))
    return [section for name in workloads if (section := _section(name, by_name, device))]


def _section(name: str, by_name: ByName, device: str) -> str:
    present = [
        (workload, peer)
        for workload, peer in pairs(device)
        if workload.name == name and by_name.get(f"{name}/{peer.name}")
    ]
    if not present:
        return ""
    workload = present[0][0]
    rows = []
    for _, peer in present:
        runs = by_name[f"{name}/{peer.name}"]
        rows.append(_row(workload, peer, by_name, device))
        rows.extend(_warm_row(run) for run in [[run for run in runs if run.is_warm]] if run)
    trials = workload.listed(list_length(workload, device))
    epochs = sum(trial.epochs for trial in trials)
    heads = (*HEADS, f"mean − {_reference(name, by_name)}", "largest difference")
    return f"## {workload.title}: {len(trials)} trials, {epochs:,} epochs\n\n" + table(heads, rows)


def _reference(workload: str, by_name: ByName) -> str:
    """Whose accuracies the others are compared with: the ordinary loop's, or ours where it did not run."""
    return ORDINARY if by_name.get(f"{workload}/{ORDINARY}") else OURS


def _row(workload: Workload, peer: Peer, by_name: ByName, device: str) -> Sequence[object]:
    runs = _cold(by_name[f"{workload.name}/{peer.name}"])
    ours = _cold(by_name.get(f"{workload.name}/{OURS}", ()))
    ratio = goal = ""
    if ours and runs and peer.name != OURS:
        times = _wall(runs) / _wall(ours)
        ratio, goal = f"{times:.2f}", _goal(workload.name, peer.name, device, times)
    cpu = f"{statistics.median(run.cpu for run in runs):.1f}"
    accuracies = _accuracies(runs)
    reference = _reference(workload.name, by_name)
    differences = _differences(accuracies, _accuracies(by_name.get(f"{workload.name}/{reference}", ())))
    shown = ("", "") if peer.name == reference or not differences else _shown(differences)
    mean = f"{statistics.mean(accuracies):.4f}"
    return (peer.title, len(runs), _walls(runs), ratio, goal, cpu, phases(runs), mean, *shown)


def _goal(workload: str, peer: str, device: str, times: float) -> str:
    """What the ratio is held to, and whether it keeps it."""
    if peer != HALF:
        return at_least(times, least(workload, peer, device))
    return at_most(times, HALF_MOST, "≤ {:.2f}") if multiplies_bfloat16(device) else "reported"


def _warm_row(runs: Sequence[Run]) -> Sequence[object]:
    cpu = f"{statistics.median(run.cpu for run in runs):.1f}"
    return ("the same, warm", len(runs), _walls(runs), "", "", cpu, phases(runs), "", "", "")


def phases(runs: Sequence[Run]) -> str:
    """The median of each phase of a program, in the order in which it went through them."""
    seconds: list[dict[str, float]] = [_result(run)["seconds"] for run in runs]
    return ", ".join(f"{name} {statistics.median(each[name] for each in seconds):.2f}" for name in seconds[0])


def _cold(runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if not run.is_warm]


def _wall(runs: Sequence[Run]) -> float:
    return statistics.median(run.wall for run in runs)


def _walls(runs: Sequence[Run]) -> str:
    return spread([run.wall for run in runs])


def _accuracies(runs: Sequence[Run]) -> list[float]:
    """The median accuracy of each trial over the runs."""
    listed = [_result(run)["accuracies"] for run in runs]
    return [statistics.median(of_one_trial) for of_one_trial in zip(*listed, strict=True)]


def _differences(accuracies: Sequence[float], others: Sequence[float]) -> list[float]:
    return [one - other for one, other in zip(accuracies, others, strict=True)] if others else []


def _shown(differences: Sequence[float]) -> tuple[str, str]:
    return f"{statistics.mean(differences):+.4f}", f"{max(map(abs, differences)):.4f}"


def _result(run: Run) -> dict[str, Any]:
    assert run.result is not None, "failed runs are left out before"
    return run.result
