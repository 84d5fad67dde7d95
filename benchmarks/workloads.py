"""What is measured: five lists of trials, the networks that they train, and the sweeps that train them.

Everything here is a value, and importing it costs nothing, so that every program can share it without its
start-up being slowed by another's libraries. Data are in `data.py`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

REPOSITORY = Path(__file__).resolve().parent.parent
INPUTS, HIDDEN, OUTPUTS = 784, 128, 10
RATE_BATCH_SIZES = (32, 64, 128, 256, 512)


class FixedTrial(NamedTuple):
    """One trial of a fixed list."""

    learning_rate: float
    batch_size: int
    epochs: int


class Workload(NamedTuple):
    """A fixed list of trials that every program trains: one network, one dataset, Adam, softmax cross-entropy.

    Accuracy and loss are taken on the dataset's test rows after each epoch.
    """

    name: str
    title: str
    network: str  # mlp, cnn or lstm
    model: str  # the same network in the project's own zoo
    arguments: Mapping[str, Any]  # of the model
    input_shape: tuple[int, ...]
    outputs: int
    trials: tuple[FixedTrial, ...]
    trials_on_a_gpu: int
    dataset: Mapping[str, Any] | None = None  # its section in a config, where that is not `data.tested_each_epoch`

    @property
    def epochs(self) -> int:
        return sum(trial.epochs for trial in self.trials)

    def listed(self, count: int) -> tuple[FixedTrial, ...]:
        """The first `count` trials; a list that is shorter begins again."""
        return tuple(self.trials[number % len(self.trials)] for number in range(count))


def drawn_trials(count: int, seed: int) -> tuple[FixedTrial, ...]:
    """Trials drawn for many short runs: 5 to 20 epochs, batch sizes 16 to 256, learning rates 3e-4 to 3e-2."""
    draw = random.Random(seed).random
    return tuple(
        FixedTrial(
            learning_rate=float(f"{3e-4 * 100 ** draw():.2e}"),
            batch_size=16 * 2 ** int(5 * draw()),
            epochs=5 + int(16 * draw()),
        )
        for _ in range(count)
    )


MNIST_MLP = Workload(
    name="mnist_mlp",
    title="W1: MNIST, MLP 784-128-10",
    network="mlp",
    model="models.mlp:MLP",
    arguments=MappingProxyType({"hidden": [HIDDEN]}),
    input_shape=(INPUTS,),
    outputs=OUTPUTS,
    trials=(
        FixedTrial(1.29e-02, 256, 1),
        FixedTrial(4.44e-04, 256, 2),
        FixedTrial(1.98e-02, 128, 2),
        FixedTrial(7.85e-04, 64, 3),
        FixedTrial(2.23e-04, 64, 1),
        FixedTrial(3.51e-03, 128, 3),
        FixedTrial(2.86e-02, 64, 2),
        FixedTrial(1.77e-04, 32, 3),
    ),
    trials_on_a_gpu=256,
)
MNIST_CNN = Workload(
    name="mnist_cnn",
    title="W2: MNIST, CNN of two 3 × 3 convolutions",
    network="cnn",
    model="models.cnn:CNN",
    arguments=MappingProxyType({"channels": [8, 16], "hidden": 64}),
    input_shape=(28, 28, 1),
    outputs=OUTPUTS,
    trials=(
        FixedTrial(1.0e-03, 64, 1),
        FixedTrial(3.0e-03, 128, 1),
        FixedTrial(5.0e-04, 128, 1),
        FixedTrial(4.0e-03, 256, 2),
    ),
    trials_on_a_gpu=64,
)
DIGITS_MLP = Workload(
    name="digits_mlp",
    title="W3: digits (1,797 × 64), MLP 64-64-10",
    network="mlp",
    model="models.mlp:MLP",
    arguments=MappingProxyType({"hidden": [64]}),
    input_shape=(64,),
    outputs=10,
    trials=drawn_trials(256, seed=0),
    trials_on_a_gpu=256,
)
WAVES_LSTM = Workload(
    name="waves_lstm",
    title="W4: noisy waves (32 steps), LSTM of 64",
    network="lstm",
    model="models.lstm:LSTM",
    arguments=MappingProxyType({"hidden": 64}),
    input_shape=(32, 1),
    outputs=8,
    trials=(
        FixedTrial(2.0e-03, 64, 4),
        FixedTrial(4.0e-03, 128, 4),
        FixedTrial(2.0e-03, 32, 3),
        FixedTrial(5.0e-03, 128, 5),
    ),
    trials_on_a_gpu=64,
)
DIGITS_CSV = DIGITS_MLP._replace(
    name="digits_csv",
    title="W5: digits from their CSV file, MLP 64-64-10",
    dataset=MappingProxyType(
        {"use": "csv", "path": "configs/digits.csv.gz", "target": "digit", "scale": 0.0625, "valid_fraction": 0.2}
    ),
)
WORKLOADS = {workload.name: workload for workload in (MNIST_MLP, MNIST_CNN, DIGITS_MLP, WAVES_LSTM, DIGITS_CSV)}


def sweep_of(workload: Workload, trials: Sequence[FixedTrial]) -> dict[str, Any]:
    """A fixed list as the tree of a sweep's YAML file."""
    return {
        "name": workload.name,
        **_training(workload),
        "search_space": {
            "epochs": {"type": "int", "low": 1, "high": max(trial.epochs for trial in trials)},
            "batch_size": {"type": "categorical", "choices": sorted({trial.batch_size for trial in trials})},
            "learning_rate": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
        },
        "budget": {"trials": len(trials)},
        "enqueue": [trial._asdict() for trial in trials],
    }


def rate_sweep(name: str, batch_sizes: Sequence[int], trials: int) -> dict[str, Any]:
    """Trials of two epochs of W1 that keep every core training; `batch_sizes` take turns."""
    listed = [FixedTrial(1e-3, batch_sizes[number % len(batch_sizes)], 2) for number in range(trials)]
    return {**sweep_of(MNIST_MLP, listed), "name": name}


def target_sweep(accuracy: float) -> dict[str, Any]:
    """A search that knows nothing of MNIST but a network; it ends when a trial's validation accuracy is `accuracy`.

    The validation rows come out of the training images; the test images take no part until the search is over.
    """
    return {
        **_training(MNIST_CNN),
        "name": "target",
        "dataset": {"use": "mnist"},
        "model": {"use": MNIST_CNN.model, "channels": [16, 32], "hidden": 128},
        "schedule": {"use": "cosine"},
        "search_space": {
            "epochs": {"type": "int", "low": 3, "high": 8},
            "batch_size": {"type": "categorical", "choices": [32, 64, 128, 256]},
            "learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
        },
        "sampler": {"use": "tpe"},
        "pruner": {"use": "hyperband", "reduction_factor": 2},
        "budget": {"trials": 256, "minutes": 5, "target": accuracy},
    }


def training_gflop_per_example() -> float:
    """GFLOP of matrix products that one training example of W1 needs, forward and backward.

    The first layer needs two products (output, weight gradient; nobody asks for the gradient of the images), the second
    three (output, weight gradient, gradient of the hidden layer); a product of `n` pairs is `2 n` operations.

    >>> training_gflop_per_example() * 1e6
    409.088
    """
    return 2 * (INPUTS * HIDDEN * 2 + HIDDEN * OUTPUTS * 3) / 1e9


def epoch_gflop_per_example() -> float:
    """GFLOP of products of a whole epoch of W1, by training example: 10,000 test rows go forward for 60,000 that train.

    >>> round(epoch_gflop_per_example() * 1e6)
    443
    """
    forward = 2 * (INPUTS * HIDDEN + HIDDEN * OUTPUTS) / 1e9
    return training_gflop_per_example() + forward * 10_000 / 60_000


def _training(workload: Workload) -> dict[str, Any]:
    ours = {"use": "benchmarks.data:tested_each_epoch", "workload": workload.name}
    return {
        "dataset": dict(workload.dataset or ours),
        "model": {"use": workload.model, **workload.arguments},
        "loss": "softmax_cross_entropy",
        "metrics": ["accuracy"],
        "optimizer": {"use": "adam"},
        "objective": {"metric": "valid_accuracy", "direction": "maximize"},
        "sampler": {"use": "random"},
        "pruner": {"use": "none"},
    }
