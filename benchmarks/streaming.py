"""What streaming costs: epochs of MNIST's MLP with rows that stay on the device, and with rows that pass through it.

The same program text, the same trial, the same chunks, in turns; only where the rows are differs.
"""

from __future__ import annotations

import json
import statistics
import time

from benchmarks.workloads import REPOSITORY

CHUNK_BYTES = 2**23  # so that MNIST's 42 MB are six chunks
EPOCHS = 6  # of each; the first compiles and is left out
BATCH_SIZE = 128


def main() -> None:
    """Print one JSON line: seconds of an epoch, and streamed throughput over resident."""
    from sweeps.config import load_config, space
    from sweeps.datasets.loading import Datasets
    from sweeps.engine.device_lanes import DeviceLanes
    from sweeps.engine.devices import choose_policy
    from sweeps.engine.orders import Admission, Orders
    from sweeps.engine.programs import Programs
    from sweeps.user_code import project_folders

    file = REPOSITORY / "configs" / "mnist.yaml"
    config = load_config(file, ["search_space.batch_size=128", "enqueue=[]", "lanes=8"])
    trial = space.resolve(config, {"epochs": EPOCHS, "learning_rate": 1e-3})
    held = choose_policy(config)
    lanes: dict[str, DeviceLanes] = {}
    with project_folders(file):
        for name, resident_bytes in (("resident", None), ("streamed", 0)):
            programs = Programs(config, Datasets(), held._replace(resident_bytes=resident_bytes), CHUNK_BYTES)
            trials = [programs.lane_trial(number, trial) for number in range(held.lanes_per_group or 1)]
            admitted = [Admission(lane, each) for lane, each in enumerate(trials)]
            lanes[name] = DeviceLanes(programs, held.devices[0])
            lanes[name].advance(Orders(lane_count=held.lanes_per_group, admitted=admitted))
        seconds: dict[str, list[float]] = {name: [] for name in lanes}
        for epoch in range(1, EPOCHS + 1):
            for name, trainer in lanes.items():
                begun = time.perf_counter()
                trainer.advance(Orders(awaited=dict.fromkeys(range(held.lanes_per_group or 1), epoch)))
                seconds[name].append(time.perf_counter() - begun)
    medians = {name: statistics.median(each[1:]) for name, each in seconds.items()}
    print(json.dumps({"epoch_seconds": medians, "throughput": medians["resident"] / medians["streamed"]}))


if __name__ == "__main__":
    main()
