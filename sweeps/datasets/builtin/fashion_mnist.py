"""Fashion-MNIST: 60,000 training and 10,000 test images of clothes, 28 × 28 grey levels, in the files of MNIST.

It is looked for on this machine first, and downloaded once. Source: H. Xiao, K. Rasul, R. Vollgraf,
"Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms", arXiv:1708.07747 (2017), MIT
licence; the checksums are those of https://github.com/zalandoresearch/fashion-mnist.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import replace
from pathlib import Path

from sweeps.datasets.builtin import mnist
from sweeps.datasets.builtin.download import RemoteFile, download
from sweeps.datasets.canonical import Array
from sweeps.datasets.dataset import Dataset, from_splits
from sweeps.errors import DataError
from sweeps.user_code import find_file

SOURCES = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
)
FILES = (
    RemoteFile("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d", 26_421_880),
    RemoteFile("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe", 29_515),
    RemoteFile("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79", 4_422_102),
    RemoteFile("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310", 5_148),
)
CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
ROWS = {"train": 60_000, "t10k": 10_000}
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
"""Where the package `dataset-fashion-mnist` of Debian and Ubuntu has the files."""


def fashion_mnist(*, path: str | None = None, valid_fraction: float = 0.1, seed: int = 0) -> Dataset:
    """Images as uint8 `[rows, 28, 28]`, labels 0 … 9; a part of the 60,000 becomes the validation split.

    The four `.gz` files are taken from the folder `path`; else from where Keras keeps them (`~/.keras/datasets`), from
    where Debian's package has them, or from `~/.cache/sweep/datasets`, where they are put when they were downloaded.

    Raises:
        DataError: they are nowhere and cannot be downloaded, or one is damaged.
    """
    folder = _folder() if path is None else find_file(path, DataError)
    lacking = _lacking(folder)
    if lacking:
        raise DataError(
            f"{path} must have the files {', '.join(each.name for each in FILES)}, but lacks {lacking[0].name}"
        )
    pairs = {"train": _read("train", folder), "test": _read("t10k", folder)}
    dataset = from_splits(pairs, valid_fraction=valid_fraction, seed=seed)
    return replace(dataset, scale=1 / 255, classes=10, class_names=CLASSES, notes=(f"from {folder}",))


def _folder() -> Path:
    """The folder on this machine that has all files, once they are there.

    Raises:
        DataError: none has, and they cannot be downloaded.
    """
    ours = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sweep" / "datasets" / "fashion_mnist"
    keras = Path.home() / ".keras" / "datasets" / "fashion-mnist"
    found = next((folder for folder in (keras, DEBIAN, ours) if not _lacking(folder)), None)
    if found is not None:
        return found
    try:
        for wanted in _lacking(ours):
            download(SOURCES, wanted, ours)
    except DataError as error:
        raise DataError(
            f"fashion_mnist is not in {keras} or {ours}, and cannot be downloaded ({error}). Debian's package "
            f"dataset-fashion-mnist has it. Put its four .gz files there, or say where they are with `path`"
        ) from error
    return ours


def _lacking(folder: Path) -> list[RemoteFile]:
    return [wanted for wanted in FILES if not (folder / wanted.name).is_file()]


def _read(name: str, folder: Path) -> tuple[Array, Array]:
    try:
        images, labels = mnist.read(name, folder)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{folder}/{name}-….gz is damaged: {error}. Remove it, and it is downloaded again") from error
    counts = (len(images), len(labels))
    if set(counts) != {ROWS[name]}:
        must = f"{folder}/{name}-….gz must have {ROWS[name]:,} images and labels"
        raise DataError(f"{must}, but has {counts[0]:,} and {counts[1]:,}")
    return images, labels
