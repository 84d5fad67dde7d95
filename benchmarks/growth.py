"""What the host costs: a sweep of trials that train nothing, through everything else that a sweep goes through.

Only the trainer is replaced, by one that answers at once; the runner, its threads, the study, the log on the
disk and the tables are those of `sweep run`. So the rate is the most trials per second that the host can serve, and a
rate that falls, or memory that grows, is work or memory for each trial that depends on how many there were.

    python -m benchmarks.growth tpe --trials 10000

A sweep of 300 trials comes first, so that imports and first calls are in neither figure. The JSON line at the end:
`trials_per_second` over all trials and `rates` over each tenth of them, `cpu_ms_per_trial` of all threads,
`memory_growth_mib` from before the first trial to after the last (resident memory, after a garbage collection),
`replay_s` to rebuild the study from the log, and `outcomes` with how often each came up.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sweeps.config import SweepConfig, parse_config
from sweeps.datasets.loading import Datasets
from sweeps.engine.orders import Answer, LaneEpoch, LaneTrainer, Orders
from sweeps.engine.programs import LaneTrial, Programs
from sweeps.engine.scheduler import Scheduler
from sweeps.runner import loop
from sweeps.runner.journal import Journal
from sweeps.storage.paths import RunFolder
from sweeps.study import Study
from sweeps.training import lane as lanes

WARM_UP_TRIALS = 300
VARIANTS = {
    "random": {"sampler": {"use": "random"}, "pruner": {"use": "none"}},
    "tpe": {"sampler": {"use": "tpe"}, "pruner": {"use": "none"}},
    "random_hyperband": {"sampler": {"use": "random"}, "pruner": {"use": "hyperband"}},
    "tpe_hyperband": {"sampler": {"use": "tpe"}, "pruner": {"use": "hyperband"}},
}


class NoProgram:
    """What the best trial is tested with, once, at the end."""

    def parameters(self) -> dict[str, np.ndarray]:
        return {"nothing": np.zeros(1, np.float32)}

    def test(self, *arguments: Any) -> np.ndarray:
        del arguments
        return np.zeros(1, np.float32)


class NoTraining:
    """Ends every epoch at once. The loss is a bowl over the logarithm of the learning rate, plus a little noise."""

    def __init__(self) -> None:
        self._trials: dict[int, LaneTrial] = {}

    def advance(self, orders: Orders) -> Answer:
        self._trials |= {each.lane: each.trial for each in orders.admitted}
        return Answer([self._epoch(*each) for each in orders.awaited.items()], [], [])

    def params(self, lane: int) -> dict[str, np.ndarray]:
        del lane
        return NoProgram().parameters()

    def _epoch(self, lane: int, epoch: int) -> LaneEpoch:
        trial = self._trials[lane]
        noise = np.random.default_rng(int(trial.ints[lanes.NUMBER])).random() / epoch
        loss = float(np.square(np.log10(np.abs(trial.floats) + 1e-9) + 3).sum() + noise)
        return LaneEpoch(lane, trial.number, epoch, np.array([loss, loss], np.float32), 1e-6)


class NoPrograms(Programs):
    """Trials become lane trials as always; nothing is compiled for them."""

    def program(self, program_key: Any, device: Any, lane_count: int | None = None) -> Any:
        del program_key, device, lane_count
        return NoProgram()


class NoScheduler(Scheduler):
    """Threads and virtual times as always."""

    def _trainer(self, device: Any) -> LaneTrainer:
        del device
        return NoTraining()


class Run(NamedTuple):
    """`ticks` are seconds from the start, one for each tenth of the trials; `growth_bytes` is of resident memory."""

    ticks: list[float]
    cpu_s: float
    growth_bytes: int
    replay_s: float
    outcomes: dict[str, int]


def sweep(variant: str, trials: int) -> SweepConfig:
    """Five searched parameters, all of them numbers or batch sizes, so that there is one program."""
    return parse_config(
        {
            "name": "growth",
            "dataset": {"use": "mnist"},
            "model": {"use": "models.mlp:MLP"},
            "loss": "softmax_cross_entropy",
            "optimizer": {"use": "adamw"},
            "search_space": {
                "epochs": 9 if "hyperband" in variant else 1,
                "batch_size": {"type": "categorical", "choices": [32, 64, 128]},
                "learning_rate": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
                "optimizer.b1": {"type": "float", "low": 0.5, "high": 0.99},
                "optimizer.b2": {"type": "float", "low": 0.9, "high": 0.999},
                "optimizer.weight_decay": {"type": "float", "low": 1e-6, "high": 1e-1, "log": True},
            },
            "objective": {"metric": "valid_loss", "direction": "minimize"},
            "budget": {"trials": trials},
            **VARIANTS[variant],
        }
    )


def run(variant: str, trials: int, folder: Path, datasets: Datasets) -> Run:
    """One sweep from its first trial to its tables."""
    config, where = sweep(variant, trials), RunFolder(folder)
    where.prepare()
    gc.collect()
    before, started, cpu_started, ticks = resident_bytes(), time.perf_counter(), time.process_time(), []
    journal, earlier = Journal.open(config, where)
    with journal:
        journal.record("run")
        for progress in loop.Sweep(config, where, journal, earlier, NoPrograms(config, datasets)).run():
            while 10 * progress.done >= (len(ticks) + 1) * trials:
                ticks.append(time.perf_counter() - started)
        journal.flush()
        journal.write_tables()
        cpu_s = time.process_time() - cpu_started
        gc.collect()
        growth_bytes = resident_bytes() - before
    journal, earlier = Journal.open(config, where)
    with journal:
        restarted = time.perf_counter()
        Study.from_events(config, earlier.study_events(journal.config, config.objective.metric))
        replay_s = time.perf_counter() - restarted
    return Run(ticks, cpu_s, growth_bytes, replay_s, dict(progress.outcomes))


def resident_bytes() -> int:
    """The memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.growth", description="What the host costs at many trials.")
    parser.add_argument("variant", choices=VARIANTS)
    parser.add_argument("--trials", type=int, default=10_000)
    options = parser.parse_args()
    loop.Scheduler = NoScheduler  # type: ignore[misc]  # the one seam: who trains
    datasets = Datasets()
    with tempfile.TemporaryDirectory() as folder:
        run(options.variant, WARM_UP_TRIALS, Path(folder, "warm_up"), datasets)
        done = run(options.variant, options.trials, Path(folder, "growth"), datasets)
    tenths = np.diff([0.0, *done.ticks])
    result = {
        "variant": options.variant,
        "trials": options.trials,
        "seconds": round(done.ticks[-1], 3),
        "trials_per_second": round(options.trials / done.ticks[-1], 1),
        "cpu_ms_per_trial": round(1000 * done.cpu_s / options.trials, 3),
        "rates": [round(options.trials / 10 / tenth, 1) for tenth in tenths],
        "memory_growth_mib": round(done.growth_bytes / 2**20, 1),
        "replay_s": round(done.replay_s, 3),
        "outcomes": done.outcomes,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
