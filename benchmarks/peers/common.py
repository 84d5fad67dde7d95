"""What the peers share: the trials that they were asked for, a stopwatch, and the one JSON line at the end.

Nothing here imports a library that a peer has to pay for, before the peer does.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.workloads import WORKLOADS, FixedTrial, Workload

if TYPE_CHECKING:
    import optuna


class Asked(NamedTuple):
    """What a peer was asked to do. `options` are words that only one peer knows."""

    workload: Workload
    trials: tuple[FixedTrial, ...]
    options: tuple[str, ...]


def asked() -> Asked:
    """Read the command line: a workload and how many of its trials; share `i/n` is every n-th trial from the i-th."""
    parser = argparse.ArgumentParser()
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--trials", type=int, help="the whole list, unless given; a longer list begins again")
    parser.add_argument("--share", default="0/1", help="which of several processes this is")
    given, options = parser.parse_known_args()
    workload = WORKLOADS[given.workload]
    first, step = map(int, given.share.split("/"))
    return Asked(workload, workload.listed(given.trials or len(workload.trials))[first::step], tuple(options))


class Timer:
    """Wall seconds of the phases of a peer, in the order in which they happened."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time spent inside the `with` block to phase `name`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def optimize(trials: Sequence[FixedTrial], objective: Callable[[optuna.Trial], float]) -> list[float]:
    """Have an Optuna study in memory propose the fixed list, in order; the value of each trial."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.RandomSampler(0), pruner=optuna.pruners.NopPruner()
    )
    for trial in trials:
        study.enqueue_trial(trial._asdict())
    study.optimize(objective, n_trials=len(trials))
    return [float(trial.value) for trial in study.trials if trial.value is not None]


def suggest(trial: optuna.Trial) -> FixedTrial:
    """Ask for the three hyperparameters as any objective would."""
    return FixedTrial(
        trial.suggest_float("learning_rate", 1e-5, 1e-1, log=True),
        trial.suggest_categorical("batch_size", [16, 32, 64, 128, 256]),
        trial.suggest_int("epochs", 1, 20),
    )


def print_result(accuracies: Sequence[float], seconds: dict[str, float], **more: Any) -> None:
    """Print the one JSON line that the harness reads: final accuracy of each trial and wall seconds of each phase."""
    rounded = {name: round(value, 3) for name, value in seconds.items()}
    print(json.dumps({"accuracies": [round(float(value), 4) for value in accuracies], "seconds": rounded, **more}))
