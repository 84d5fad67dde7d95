"""What is measured: the trials, the data and the arithmetic that every peer shares. The rule: nothing here is timed.

The fixed list (W1) trains an MLP 784-128-10 with ReLU, Adam and softmax cross-entropy on the 60,000 training images of
MNIST, and takes accuracy and loss on the 10,000 test images after each epoch. Every peer trains exactly these trials.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import optuna

    from sweeps.datasets import Dataset

REPOSITORY = Path(__file__).resolve().parent.parent
MNIST = REPOSITORY / "sweeps" / "datasets" / "mnist"
INPUTS, HIDDEN, OUTPUTS = 784, 128, 10
TRAINING_ROWS = 60_000


class FixedTrial(NamedTuple):
    """One trial of the fixed list."""

    learning_rate: float
    batch_size: int
    epochs: int


TRIALS = (
    FixedTrial(1.29e-02, 256, 1),
    FixedTrial(4.44e-04, 256, 2),
    FixedTrial(1.98e-02, 128, 2),
    FixedTrial(7.85e-04, 64, 3),
    FixedTrial(2.23e-04, 64, 1),
    FixedTrial(3.51e-03, 128, 3),
    FixedTrial(2.86e-02, 64, 2),
    FixedTrial(1.77e-04, 32, 3),
)
RATE_BATCH_SIZES = (128, 256, 512)


class Images(NamedTuple):
    """MNIST as stored: uint8 images of shape `(rows, 784)` in 0..255 and int32 labels of shape `(rows,)`."""

    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


def load_mnist() -> Images:
    """Read the four files that come with the project."""
    import numpy as np

    def read(name: str, header_bytes: int) -> np.ndarray:
        return np.frombuffer(gzip.decompress((MNIST / name).read_bytes()), np.uint8, offset=header_bytes)

    return Images(
        read("train-images-idx3-ubyte.gz", 16).reshape(-1, INPUTS),
        read("train-labels-idx1-ubyte.gz", 8).astype(np.int32),
        read("t10k-images-idx3-ubyte.gz", 16).reshape(-1, INPUTS),
        read("t10k-labels-idx1-ubyte.gz", 8).astype(np.int32),
    )


def mnist_tested_each_epoch() -> Dataset:
    """MNIST for `sweep run`: the test images in the place of the validation split, as the fixed list wants it."""
    from sweeps.datasets.base import Dataset, Split

    images = load_mnist()
    return Dataset(
        Split(images.train_x, images.train_y), Split(images.test_x, images.test_y), scale=1 / 255, classes=OUTPUTS
    )


def fixed_list_config() -> dict[str, Any]:
    """The fixed list as the tree of a sweep's YAML file."""
    return _config("fixed_list", {"batch_size": {"type": "categorical", "choices": [32, 64, 128, 256]}}) | {
        "budget": {"trials": len(TRIALS)},
        "enqueue": [trial._asdict() for trial in TRIALS],
    }


def rate_config(batch_size: int) -> dict[str, Any]:
    """Eight trials of 3 epochs that keep every core training at one batch size."""
    return _config(f"rate_{batch_size}", {"batch_size": batch_size, "epochs": 3}) | {"budget": {"trials": 8}}


def _config(name: str, search_space: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "dataset": {"use": "benchmarks.workloads:mnist_tested_each_epoch"},
        "model": {"use": "models.mlp:MLP", "hidden": [HIDDEN]},
        "loss": "softmax_cross_entropy",
        "metrics": ["accuracy"],
        "optimizer": {"use": "adam"},
        "search_space": {
            "epochs": {"type": "int", "low": 1, "high": 3},
            "learning_rate": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
            **search_space,
        },
        "objective": {"metric": "valid_accuracy", "direction": "maximize"},
        "sampler": {"use": "random"},
        "pruner": {"use": "none"},
    }


def training_gflop_per_example() -> float:
    """GFLOP of matrix products that one training example needs, forward and backward.

    The first layer needs two products (output, weight gradient; nobody asks for the gradient of the images), the second
    three (output, weight gradient, gradient of the hidden layer); a product of `n` pairs is `2 n` operations.

    >>> training_gflop_per_example() * 1e6
    409.088
    """
    return 2 * (INPUTS * HIDDEN * 2 + HIDDEN * OUTPUTS * 3) / 1e9


def fixed_study() -> optuna.Study:
    """An Optuna study in memory that will propose the fixed list, in order."""
    import optuna

    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.NopPruner())
    for trial in TRIALS:
        study.enqueue_trial(trial._asdict())
    return study


def suggest(trial: optuna.Trial) -> FixedTrial:
    """Ask for the three hyperparameters as any objective would."""
    return FixedTrial(
        trial.suggest_float("learning_rate", 1e-5, 1e-1, log=True),
        trial.suggest_categorical("batch_size", [32, 64, 128, 256]),
        trial.suggest_int("epochs", 1, 3),
    )


class Stopwatch:
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


def print_result(accuracies: Sequence[float], seconds: dict[str, float], **more: Any) -> None:
    """Print the one JSON line that the harness reads: final accuracy of each trial and wall seconds of each phase."""
    rounded = {name: round(value, 3) for name, value in seconds.items()}
    print(json.dumps({"accuracies": [round(value, 4) for value in accuracies], "seconds": rounded, **more}))
