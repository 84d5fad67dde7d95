"""What streaming costs: epochs of MNIST's MLP with rows that stay on the device, and with rows that pass through it.

The rule: the same program text, the same trial, the same chunks, in turns; only where the rows are differs.
"""

from __future__ import annotations

import json
import statistics
import threading
import time

from benchmarks.workloads import REPOSITORY

CHUNK_BYTES = 2**23  # so that MNIST's 42 MB are six chunks
EPOCHS = 6  # of each; the first compiles and is left out
BATCH_SIZE = 128


def main() -> None:
    """Print one JSON line: seconds of an epoch, and streamed throughput over resident."""
    from sweeps.config import load_config, space
    from sweeps.datasets.loading import Datasets
    from sweeps.engine.devices import choose_policy
    from sweeps.engine.lane_group import LaneGroup
    from sweeps.engine.programs import Programs
    from sweeps.user_code import project_folders

    file = REPOSITORY / "configs" / "mnist.yaml"
    config = load_config(file, ["search_space.batch_size=128", "enqueue=[]", "lanes=8"])
    trial = space.resolve(config, {"epochs": EPOCHS, "learning_rate": 1e-3})
    held = choose_policy(config)
    lanes: dict[str, LaneGroup] = {}
    with project_folders(file):
        for name, resident_bytes in (("resident", None), ("streamed", 0)):
            programs = Programs(config, Datasets(), held._replace(resident_bytes=resident_bytes), CHUNK_BYTES)
            lane = LaneGroup(0, held.devices[0], held.lanes_per_group)
            for number in range(held.lanes_per_group or 1):
                rider = programs.lane_trial(number, trial)
                lane.admit(rider, programs.program(rider.program_key, lane.device))
            lanes[name] = lane
        seconds: dict[str, list[float]] = {name: [] for name in lanes}
        for _ in range(EPOCHS):
            for name, lane in lanes.items():
                begun = time.perf_counter()
                lane.advance(threading.Event())
                seconds[name].append(time.perf_counter() - begun)
    medians = {name: statistics.median(each[1:]) for name, each in seconds.items()}
    print(json.dumps({"epoch_seconds": medians, "throughput": medians["resident"] / medians["streamed"]}))


if __name__ == "__main__":
    main()
