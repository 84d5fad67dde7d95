"""MNIST, carried with the package: 60,000 training and 10,000 test images of 28 × 28 grey levels.

Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits" (CC BY-SA 3.0), the four IDX files unchanged.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from sweeps.datasets.canonical import Array
from sweeps.datasets.dataset import Dataset, Split, from_arrays

FOLDER = Path(__file__).parent / "mnist"


def mnist(*, valid_fraction: float = 0.1, seed: int = 0) -> Dataset:
    """Images as uint8 `[rows, 28, 28]`, labels 0 … 9; a part of the 60,000 becomes the validation split."""
    dataset = from_arrays(*read("train"), valid_fraction=valid_fraction, seed=seed)
    return Dataset(dataset.train, dataset.valid, Split(*read("t10k")), scale=1 / 255, classes=10)


def read(name: str, folder: Path = FOLDER) -> tuple[Array, Array]:
    """`train` or `t10k` as images uint8 `[rows, 28, 28]` and labels uint8 `[rows]`, from gzipped IDX files."""
    images = np.frombuffer(gzip.decompress((folder / f"{name}-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress((folder / f"{name}-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    return images.reshape(-1, 28, 28), labels
