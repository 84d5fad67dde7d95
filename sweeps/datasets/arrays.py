"""Arrays in NumPy's own files: numbers are read, and what would have to be unpickled is refused."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sweeps.datasets import memory, words
from sweeps.datasets.canonical import Array, canonical
from sweeps.datasets.dataset import Dataset, from_arrays, from_splits
from sweeps.errors import DataError
from sweeps.user_code import find_file

WEIGHTS = "weights"


def npz(  # noqa: PLR0913  (the keys of a config, always given by name)
    *,
    path: str,
    x: str = "x",
    y: str = "y",
    weights: str | None = None,
    scale: float | None = None,
    offset: float = 0.0,
    valid_fraction: float | None = None,
    test_fraction: float = 0.0,
    stratify: bool = False,
    seed: int = 0,
) -> Dataset:
    """The arrays `x` and `y` of an `.npz` file; or `x_train`, `y_train` and those of `valid` and `test` that it has.

    `x` is of shape `[rows, *input_shape]`; bytes of the shape of images are divided by 255 unless `scale` is given. A
    split that the file does not have is cut off the training rows. The array `weights`, or `weights_train` beside
    `x_train`, has the weights of these rows where it is there; `weights` names another.

    Raises:
        DataError: no such file or array, or what `checked` does not take.
    """
    held = read_file(path)
    if not isinstance(held, Mapping):
        raise DataError(f"{path} holds one array; `use: npy` reads it, with another file for its targets")
    if f"{x}_train" in held:
        names = {split: (f"{x}_{split}", f"{y}_{split}") for split in ("train", "valid", "test")}
        names = {split: pair for split, pair in names.items() if split == "train" or pair[0] in held or pair[1] in held}
    else:
        names = {"train": (x, y)}
    of_weights = f"{weights or WEIGHTS}_train" if f"{x}_train" in held else weights or WEIGHTS
    read = [name for pair in names.values() for name in pair]
    read += [of_weights] if weights is not None or of_weights in held else []
    for name in read:
        if name not in held:
            raise DataError(f"{path} has no array {name!r}; it has {', '.join(held) or 'none'}")
    labels = words.numbered(path, {split: held[theirs] for split, (_, theirs) in names.items()})
    pairs = {
        split: canonical(
            f"{path}: {split} " if len(names) > 1 else f"{path}: ",
            held[ours],
            held[theirs] if labels is None else labels.targets[split],
        )
        for split, (ours, theirs) in names.items()
    }
    fractions = {"valid_fraction": valid_fraction, "test_fraction": test_fraction}
    dataset = from_splits(pairs, held.get(of_weights), **fractions, stratify=stratify, seed=seed)
    found = ", ".join(f"{name} {_shape(held[name])}" for name in read)
    done = {"kind": "arrays", "x": x}
    return replace(
        words.labelled(dataset, labels), scale=scale, offset=offset, preprocessing=done, notes=(f"{path}: {found}",)
    )


def npy(  # noqa: PLR0913  (as above)
    *,
    path: str,
    targets: str,
    scale: float | None = None,
    offset: float = 0.0,
    valid_fraction: float | None = None,
    test_fraction: float = 0.0,
    stratify: bool = False,
    seed: int = 0,
) -> Dataset:
    """The array in one `.npy` file, `[rows, *input_shape]`, with its targets in another.

    Raises:
        DataError: no such file, or what `checked` does not take.
    """
    x, y = (read_file(each) for each in (path, targets))
    for name, array in ((path, x), (targets, y)):
        if isinstance(array, Mapping):
            raise DataError(f"{name} holds several arrays; `use: npz` reads them")
    labels = words.numbered(targets, {"train": y})
    pair = canonical(f"{path}, {targets}: ", x, y if labels is None else labels.targets["train"])
    dataset = from_arrays(
        *pair, valid_fraction=valid_fraction, test_fraction=test_fraction, stratify=stratify, seed=seed
    )
    notes = (f"{path}: {_shape(x)}, {targets}: {_shape(y)}",)
    return replace(words.labelled(dataset, labels), scale=scale, offset=offset, notes=notes)


def read_file(path: str) -> Any:
    """The array of an `.npy` file, or those of an `.npz` file by name."""
    file: Path = find_file(path, DataError)
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                memory.check_fits(f"{path}: its arrays", sum(member.file_size for member in archive.infolist()))
        with file.open("rb") as content:
            found = np.load(content, allow_pickle=False)
            return found if isinstance(found, np.ndarray) else {name: found[name] for name in found.files}
    except MemoryError as error:
        raise DataError(f"{path} has an array that does not fit into memory") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0]
        if "allow_pickle" in reason:  # which NumPy says of any file that is not its own
            is_ours = file.read_bytes()[:1] in (b"P", b"\x93", b"\x80")
            reason = "it holds objects, which are not read" if is_ours else "it is no .npy or .npz file"
        raise DataError(f"{path} cannot be read as NumPy arrays: {reason}") from error


def _shape(array: Array) -> str:
    return f"{' x '.join(f'{size:,}' for size in array.shape)} {array.dtype}"
