"""`sweep run`, started as a user starts it; what is reported is read from the log that it leaves.

python -m benchmarks.peers.ours WORKLOAD [--trials N] [--bfloat16] | rate [--trials N] | target | mnist
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import occupancy
from benchmarks.occupancy import Records, of_kind
from benchmarks.peers.common import Timer, print_result
from benchmarks.workloads import RATE_BATCH_SIZES, REPOSITORY, WORKLOADS, rate_sweep, sweep_of, target_sweep
from sweeps.log.jsonl import read_log

SWEEP = Path(sys.executable).with_name("sweep")
RATE_TRIALS = 10
TARGET_VALID_ACCURACY = 0.99
"""On 6,000 validation images; the table says what the test images then show."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=[*WORKLOADS, "rate", "target", "mnist"])
    parser.add_argument("--trials", type=int)
    parser.add_argument("--bfloat16", action="store_const", dest="precision", const="bfloat16", default="float32")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if asked.what == "rate":
            rate(folder, asked.trials or RATE_TRIALS)
        elif asked.what in WORKLOADS:
            fixed_list(asked.what, folder, asked.trials, asked.precision)
        else:
            search(asked.what, folder)


def fixed_list(name: str, folder: Path, count: int | None, precision: str) -> None:
    """A workload's trials."""
    workload, watch = WORKLOADS[name], Timer()
    trials = workload.listed(count or len(workload.trials))
    with watch.phase("sweep"):
        records = sweep_tree({**sweep_of(workload, trials), "precision": precision}, folder)
    print_result(final_accuracies(records), watch.seconds, **facts(records))


def rate(folder: Path, trials: int) -> None:
    """Training rows per second of all threads at each batch size, and with all of them mixed."""
    lists = {str(size): (size,) for size in RATE_BATCH_SIZES} | {"mixed": RATE_BATCH_SIZES}
    rates = {}
    for name, sizes in lists.items():
        records = sweep_tree(rate_sweep(f"rate_{name}", sizes, trials), folder)
        rates[name] = round(threads(records) * occupancy.examples_per_device_second(records))
    print_result([], {}, examples_per_second=rates)


def search(name: str, folder: Path) -> None:
    """A sweep that searches: `configs/mnist.yaml`, or one that ends at an accuracy."""
    watch = Timer()
    with watch.phase("sweep"):
        if name == "mnist":
            records = sweep(REPOSITORY / "configs" / "mnist.yaml", folder / "results")
        else:
            records = sweep_tree(target_sweep(TARGET_VALID_ACCURACY), folder)
    best_value = of_kind(records, "best")[-1]["value"]
    test_accuracy = of_kind(records, "test")[-1]["metrics"]["test_accuracy"]
    busy = {
        "lanes_busy": round(occupancy.lanes_busy(records), 4),
        "device_idle": round(occupancy.device_idle(records, threads(records)), 4),
    }
    print_result([], watch.seconds, best_value=best_value, test_accuracy=test_accuracy, **facts(records), **busy)


def facts(records: Records) -> dict[str, Any]:
    """What a run's log says beside accuracies."""
    return {
        "compilations": of_kind(records, "finish")[-1]["compilations"],
        "trials": len(of_kind(records, "outcome")),
        "epochs": len(of_kind(records, "epoch")),
    }


def sweep_tree(tree: dict[str, Any], folder: Path) -> Records:
    """`sweep` of a config given as a tree; JSON is YAML."""
    config = folder / f"{tree['name']}.yaml"
    config.write_text(json.dumps(tree, indent=2))
    return sweep(config, folder / f"results_{tree['name']}")


def sweep(config: Path, results: Path) -> Records:
    """Run one sweep in a fresh process and return the records of its log."""
    if not SWEEP.exists():
        sys.exit(f"there is no {SWEEP}. Install the project: pip install -e .")
    subprocess.run([SWEEP, "run", config, "--results", results], check=True, stdout=sys.stderr, cwd=REPOSITORY)
    (folder,) = results.iterdir()
    return read_log(folder / "log").records


def final_accuracies(records: Records) -> list[float]:
    """Accuracy after the last epoch of each trial, in the order of their numbers."""
    final = {record["number"]: record["metrics"]["valid_accuracy"] for record in of_kind(records, "epoch")}
    return [final[number] for number in sorted(final)]


def threads(records: Records) -> int:
    """How many threads drive devices: one a core of a CPU, one a GPU."""
    devices = {record["device"] for record in of_kind(records, "start")}
    return len(os.sched_getaffinity(0)) if all(device.startswith("cpu") for device in devices) else len(devices)


if __name__ == "__main__":
    main()
