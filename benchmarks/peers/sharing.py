"""Several processes that share one card: each runs the strong loop on its share of the list, all at the same time.

python -m benchmarks.peers.sharing WORKLOAD [--trials N]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from benchmarks.peers.common import Timer, asked, print_result

PROCESSES = 4


def main() -> None:
    workload, trials, _ = asked()
    watch = Timer()
    # Each process would else take three quarters of the card's memory for itself.
    environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    command = [sys.executable, "-m", "benchmarks.peers.strong", workload.name, "--trials", str(len(trials))]
    with watch.phase("sweep"):
        running = [
            subprocess.Popen([*command, "--share", f"{first}/{PROCESSES}"], stdout=subprocess.PIPE, env=environment)
            for first in range(PROCESSES)
        ]
        outputs = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        sys.exit("a process failed")
    accuracies = [0.0] * len(trials)
    for first, output in enumerate(outputs):
        accuracies[first::PROCESSES] = json.loads(output.splitlines()[-1])["accuracies"]
    print_result(accuracies, watch.seconds)


if __name__ == "__main__":
    main()
