"""The rows that the workloads train and test on, as NumPy arrays in their storage type.

A peer gets the same rows as `sweep run`, in the same order, and pays for reading them itself.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.workloads import REPOSITORY, WAVES_LSTM, WORKLOADS, Workload

if TYPE_CHECKING:
    import numpy as np

    from sweeps.datasets.dataset import Dataset

MNIST = REPOSITORY / "sweeps" / "datasets" / "builtin" / "mnist"
DIGITS = REPOSITORY / "configs" / "digits.csv.gz"
DIGITS_TRAINING_ROWS = 1_437  # four fifths of 1,797
WAVE_ROWS = {"train": 8_000, "test": 2_000}
WAVE_NOISE = 0.7


class Arrays(NamedTuple):
    """`x` `[rows, *input_shape]`, uint8 or float32, of which a network sees `x * scale`; int32 labels `y` `[rows]`."""

    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    scale: float


def load(workload: Workload) -> Arrays:
    """Read or make the rows of a workload."""
    makers = {"mnist_mlp": mnist, "mnist_cnn": mnist, "digits_mlp": digits, "waves_lstm": waves}
    made = from_file(workload.dataset) if workload.dataset else makers[workload.name]()
    shaped = {name: getattr(made, name).reshape(-1, *workload.input_shape) for name in ("train_x", "test_x")}
    return made._replace(**shaped)


def load_scaled(workload: Workload) -> Arrays:
    """The same in float32, as a network sees them."""
    arrays = load(workload)
    scaled = {name: getattr(arrays, name).astype("float32") * arrays.scale for name in ("train_x", "test_x")}
    return arrays._replace(**scaled, scale=1.0)


def mnist() -> Arrays:
    """The four files that come with the project: 60,000 and 10,000 uint8 images, flat, 0 to 255."""
    import numpy as np

    def read(name: str, header_bytes: int) -> np.ndarray:
        return np.frombuffer(gzip.decompress((MNIST / name).read_bytes()), np.uint8, offset=header_bytes)

    return Arrays(
        read("train-images-idx3-ubyte.gz", 16).reshape(-1, 784),
        read("train-labels-idx1-ubyte.gz", 8).astype(np.int32),
        read("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 784),
        read("t10k-labels-idx1-ubyte.gz", 8).astype(np.int32),
        1 / 255,
    )


def digits() -> Arrays:
    """The project's 1,797 digits, uint8, 0 to 16, shuffled once; a fifth of them is for testing."""
    import numpy as np

    with gzip.open(DIGITS, "rt", encoding="ascii") as file:
        table = np.loadtxt(file, np.uint8, delimiter=",", skiprows=1)
    table = table[np.random.default_rng(0).permutation(len(table))]
    train, test = table[:DIGITS_TRAINING_ROWS], table[DIGITS_TRAINING_ROWS:]
    return Arrays(train[:, :-1], train[:, -1].astype(np.int32), test[:, :-1], test[:, -1].astype(np.int32), 1 / 16)


def waves() -> Arrays:
    """Sines of random phase in normal noise; the class says how many cycles a sequence has, from 1 to 8. float32."""
    import numpy as np

    rng = np.random.default_rng(0)
    rows, steps = sum(WAVE_ROWS.values()), WAVES_LSTM.input_shape[0]
    y = rng.integers(0, WAVES_LSTM.outputs, rows, np.int32)
    phase = rng.uniform(0, 2 * np.pi, (rows, 1))
    angle = 2 * np.pi * (y[:, None] + 1) * np.arange(steps) / steps + phase
    x = (np.sin(angle) + WAVE_NOISE * rng.standard_normal((rows, steps))).astype(np.float32)
    train = WAVE_ROWS["train"]
    return Arrays(x[:train], y[:train], x[train:], y[train:], 1.0)


def from_file(section: Mapping[str, Any]) -> Arrays:
    """What a config's `dataset:` section names, read and split as `sweep run` does it; the validation rows test."""
    import numpy as np

    from sweeps.datasets.loading import load as load_section

    arguments = dict(section)
    dataset = load_section(arguments.pop("use"), arguments)
    train, test = dataset.train, dataset.valid
    return Arrays(train.x, train.y.astype(np.int32), test.x, test.y.astype(np.int32), dataset.scale)


def tested_each_epoch(workload: str) -> Dataset:
    """A workload's rows for `sweep run`: the test rows in the place of the validation split, as the lists want it."""
    from sweeps.datasets.dataset import Dataset, Split

    arrays = load(WORKLOADS[workload])
    return Dataset(
        Split(arrays.train_x, arrays.train_y),
        Split(arrays.test_x, arrays.test_y),
        scale=arrays.scale,
        classes=WORKLOADS[workload].outputs,
    )
