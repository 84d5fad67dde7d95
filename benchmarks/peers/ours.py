"""`sweep run`, started as a user starts it; what is reported is read from the log that it leaves.

python -m benchmarks.peers.ours fixed_list | rate | mnist
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.workloads import (
    RATE_BATCH_SIZES,
    REPOSITORY,
    TRAINING_ROWS,
    Stopwatch,
    fixed_list_config,
    print_result,
    rate_config,
)
from sweeps.log import read_log

SWEEP = Path(sys.executable).with_name("sweep")
Records = list[dict[str, Any]]


def sweep(config: Path, results: Path) -> Records:
    """Run one sweep in a fresh process and return the records of its log."""
    if not SWEEP.exists():
        sys.exit(f"there is no {SWEEP}. Install the project: pip install -e .")
    subprocess.run([SWEEP, "run", config, "--results", results], check=True, stdout=sys.stderr, cwd=REPOSITORY)
    (folder,) = results.iterdir()
    return read_log(folder / "log").records


def sweep_tree(tree: dict[str, Any], folder: Path) -> Records:
    """`sweep` of a config given as a tree; JSON is YAML."""
    config = folder / f"{tree['name']}.yaml"
    config.write_text(json.dumps(tree, indent=2))
    return sweep(config, folder / f"results_{tree['name']}")


def of_kind(records: Records, kind: str) -> Records:
    return [record for record in records if record["kind"] == kind]


def final_accuracies(records: Records) -> list[float]:
    """Accuracy after the last epoch of each trial, in the order of their numbers."""
    epochs = of_kind(records, "epoch")
    final = {record["number"]: record["metrics"]["valid_accuracy"] for record in epochs}
    return [final[number] for number in sorted(final)]


def examples_per_second(records: Records) -> float:
    """Training rows per second once every core has finished its first epoch, until the last epoch ends."""
    times = sorted(datetime.fromisoformat(record["time"]) for record in of_kind(records, "epoch"))
    times = times[len(os.sched_getaffinity(0)) - 1 :]
    return (len(times) - 1) * TRAINING_ROWS / (times[-1] - times[0]).total_seconds()


def main(workload: str, folder: Path) -> None:
    watch = Stopwatch()
    if workload == "rate":
        rates = {size: round(examples_per_second(sweep_tree(rate_config(size), folder))) for size in RATE_BATCH_SIZES}
        print_result([], {}, examples_per_second=rates)
        return
    with watch.phase("sweep"):
        if workload == "mnist":
            records = sweep(REPOSITORY / "configs" / "mnist.yaml", folder / "results")
        else:
            records = sweep_tree(fixed_list_config(), folder)
    (finish,) = of_kind(records, "finish")
    more = {"compilations": finish["compilations"], "trials": len(of_kind(records, "outcome"))}
    if workload == "mnist":
        more["best_value"] = of_kind(records, "best")[-1]["value"]
        more["test"] = of_kind(records, "test")[-1]["metrics"]
    print_result(final_accuracies(records) if workload == "fixed_list" else [], watch.seconds, **more)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(sys.argv[1], Path(temporary))
