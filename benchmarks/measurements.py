"""Everything that is measured: the programs, in the order in which they take turns, and the goals of the fixed lists.

A measurement is a program that prints one JSON line at its end. This page is data; `harness.py` runs it,
`tables.py` shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.workloads import WORKLOADS, Workload

CPU, GPU = "cpu", "gpu"
OURS, HALF, ORDINARY = "ours", "ours_bfloat16", "ordinary"
FROM_ARRAYS = tuple(name for name, workload in WORKLOADS.items() if workload.dataset is None)


class Peer(NamedTuple):
    """One program that trains fixed lists: its title, its module with options, what it needs, and which lists.

    `package` is what must be importable beyond the project; `devices` says where it makes sense.
    """

    name: str
    title: str
    command: tuple[str, ...]
    package: str
    workloads: tuple[str, ...] = FROM_ARRAYS
    devices: tuple[str, ...] = (CPU, GPU)


PEERS = (
    Peer(OURS, "`sweep run`", ("ours",), "sweeps", tuple(WORKLOADS)),
    Peer(HALF, "the same, `precision: bfloat16`", ("ours", "--bfloat16"), "sweeps", ("mnist_mlp",)),
    Peer("strong", "strong hand-written JAX loop", ("strong",), "optuna"),
    Peer(
        "strong_ahead",
        "the same, compiling ahead in a thread",
        ("strong", "--compile-ahead"),
        "optuna",
        ("mnist_mlp", "digits_mlp"),
    ),
    Peer(ORDINARY, "Optuna + jitted step, Python loop", ("ordinary",), "optuna"),
    Peer("keras", "Keras 3 on JAX, `fit`", ("keras_fit",), "keras"),
    Peer(
        "keras_many_steps",
        "the same, `steps_per_execution=32`",
        ("keras_fit", "--many-steps"),
        "keras",
        ("mnist_mlp",),
    ),
    Peer("kerastuner", "KerasTuner, Keras 3 on JAX", ("kerastuner",), "keras_tuner", ("mnist_mlp",)),
    Peer("pytorch", "PyTorch", ("pytorch",), "torch", ("mnist_mlp", "mnist_cnn", "waves_lstm")),
    Peer("ray_tune", "Ray Tune, the ordinary loop in each worker", ("ray_tune",), "ray.tune", ("mnist_mlp",)),
    Peer("hyperoptax", "hyperoptax", ("hyperoptax_grid",), "hyperoptax", ("mnist_mlp", "digits_mlp")),
    Peer("scikit_learn", "scikit-learn's `MLPClassifier`", ("scikit_learn",), "sklearn", ("digits_csv",)),
    Peer(
        "scikit_learn_cores",
        "the same, a process on each core",
        ("scikit_learn", "--cores"),
        "sklearn",
        ("digits_csv",),
    ),
    Peer("sharing", "four processes that share the card", ("sharing",), "optuna", devices=(GPU,)),
)

LEAST = {  # peer's wall over ours, by workload and peer: on CPU cores, on a GPU; every other peer: never below 1
    ("mnist_mlp", ORDINARY): (2.5, 50),
    ("mnist_mlp", "strong"): (1.5, 1),
    ("mnist_mlp", "keras"): (4, 1),
    ("mnist_mlp", "keras_many_steps"): (4, 1),
    ("mnist_mlp", "kerastuner"): (4, 1),
    ("mnist_mlp", "pytorch"): (4, 1),
    ("mnist_mlp", "ray_tune"): (4, 1),
    ("mnist_cnn", ORDINARY): (1.2, 6),
    ("mnist_cnn", "keras"): (2, 1),
    ("digits_mlp", ORDINARY): (10, 100),
    ("digits_mlp", "strong"): (4, 1),
    ("digits_mlp", "keras"): (30, 1),
    ("waves_lstm", "keras"): (2, 10),
}
HALF_MOST = 1 / 1.8  # of our wall time in float32, on devices that multiply bfloat16 faster
GROWTH_LEAST = {"random": 1_000, "tpe": 200, "tpe_hyperband": None}  # trials a second of 10,000 that train nothing
AT_MOST = {  # repeats of programs whose one run takes minutes
    ("mnist_mlp", "ray_tune"): 3,
    ("mnist_mlp", "hyperoptax"): 3,
    ("mnist_cnn", "pytorch"): 1,
    ("digits_mlp", ORDINARY): 2,
    ("digits_mlp", "keras"): 1,
    ("waves_lstm", "pytorch"): 1,
    ("digits_csv", "scikit_learn"): 3,
}


class Measurement(NamedTuple):
    """One program to run. `at_most` bounds its repeats; `keeps_caches`: it is run again, warm, in the same home."""

    name: str
    command: tuple[str, ...]
    package: str = "sweeps"
    at_most: int | None = None
    keeps_caches: bool = False


def measurements(device: str) -> tuple[Measurement, ...]:
    """Everything that makes sense on a device, each workload's programs one after another."""
    lists = [_list_of(workload, peer, device) for workload, peer in pairs(device)]
    return (*lists, *_on_its_own(device))


def pairs(device: str) -> list[tuple[Workload, Peer]]:
    """Which peers train which workloads on a device."""
    return [
        (workload, peer)
        for workload in WORKLOADS.values()
        for peer in PEERS
        if workload.name in peer.workloads and device in peer.devices
    ]


def least(workload: str, peer: str, device: str) -> float:
    """The goal: the least that a peer's wall time divided by ours may be."""
    return LEAST.get((workload, peer), (1, 1))[device == GPU]


def list_length(workload: Workload, device: str) -> int:
    """How many trials the list has: a GPU takes many at once, so there the list begins again and again."""
    return workload.trials_on_a_gpu if device == GPU else len(workload.trials)


def _list_of(workload: Workload, peer: Peer, device: str) -> Measurement:
    module, *options = peer.command
    command = (f"benchmarks.peers.{module}", workload.name, "--trials", str(list_length(workload, device)), *options)
    at_most = AT_MOST.get((workload.name, peer.name))
    return Measurement(f"{workload.name}/{peer.name}", command, peer.package, at_most, peer.name == OURS)


def _on_its_own(device: str) -> Sequence[Measurement]:
    limits = "benchmarks.matmul" if device == CPU else "benchmarks.gpu_limits"
    ours, trials = "benchmarks.peers.ours", "20" if device == CPU else "512"
    return (
        Measurement("rate", (ours, "rate", "--trials", trials), at_most=5),
        Measurement("limits", (limits,), at_most=5),
        Measurement("mnist", (ours, "mnist"), at_most=3),
        Measurement("streaming", ("benchmarks.streaming",)),
        Measurement("target", (ours, "target"), at_most=1, keeps_caches=device == GPU),
        *(Measurement(f"growth/{variant}", ("benchmarks.growth", variant), at_most=1) for variant in GROWTH_LEAST),
    )
