"""A folder of images, a folder of it for each class: one size for all, and bytes as they are.

Pillow reads the files (PNG, JPEG) and is only imported here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sweeps.datasets.canonical import Array
from sweeps.datasets.dataset import Dataset, from_splits
from sweeps.datasets.splitting import NAMES
from sweeps.errors import DataError
from sweeps.user_code import find_file, reason

SUFFIXES = (".png", ".jpg", ".jpeg")
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_GREY = {"1", "L", "LA"}
_READ = {*_GREY, "P", "RGB", "RGBA", "CMYK", "YCbCr"}


def images(  # noqa: PLR0913  (the keys of a config, always given by name)
    *,
    path: str,
    size: int | tuple[int, ...] | None = None,
    channels: int | None = None,
    scale: float | None = None,
    offset: float = 0.0,
    valid_fraction: float | None = None,
    test_fraction: float = 0.0,
    stratify: bool = False,
    seed: int = 0,
) -> Dataset:
    """Images by class: `path/cat/1.png`; or with splits made already, `path/train/cat/1.png` (`valid`, `test`).

    `x` is uint8, `[rows, height, width]` of grey images and `[rows, height, width, 3]` of others; a model sees 0 to 1,
    unless `scale` is given. Images must have one size, unless `size`, a number or [height, width], says what all are
    resized to (bilinear, without keeping their proportions). `channels`, 1, 3 or 4, is 3 where any image has colours,
    unless it is given; the fourth is that of opacity, without which transparency is left out, and that is said. Notes
    say what other files there are. All images are held in memory: rows x height x width x channels bytes.

    Raises:
        DataError: no such folder, no images, one that cannot be read or has another size, Pillow is not installed.
    """
    folder, shape = find_file(path, DataError), _shape(size, channels)
    files = {split: _files(path, part) for split, part in _splits(path, folder).items()}
    classes = list(files["train"])
    for split, found in files.items():
        unknown = sorted(set(found) - set(classes))
        if unknown:
            raise DataError(f"{path}: class {unknown[0]!r} of split {split} has no folder among those that train")
    reader = Reader(path, folder, *shape)
    read = reader.alike({split: _labelled(reader, classes, found) for split, found in files.items()})
    fractions = {"valid_fraction": valid_fraction, "test_fraction": test_fraction}
    dataset = from_splits(read, **fractions, stratify=stratify, seed=seed)
    height, width = reader.size
    done = {
        "kind": "images",
        "size": [height, width],
        "resize": size is not None,
        "channels": reader.channels,
        "classes": classes,
    }
    return replace(
        dataset,
        scale=scale,
        offset=offset,
        classes=len(classes),
        class_names=tuple(classes),
        preprocessing=done,
        notes=(f"{path}: {sum(len(x) for x, _ in read.values()):,} images", *reader.notes, *_left_out(folder, files)),
        doubts=tuple(reader.doubts),
    )


def unlabelled(path: str, done: Mapping[str, Any]) -> tuple[Array, list[str]]:
    """New images, uint8 as `images` has them, and their names; `done` is its description, as far as it goes.

    `path` is one image, or a folder: all images in it and in its folders are read, in the order of their names. Where
    `done` says so they are resized, as those that trained were; else all must have their size.

    Raises:
        DataError: no such file, no images, one that cannot be read or has another size, Pillow is not installed.
    """
    found = find_file(path, DataError)
    folder = found if found.is_dir() else found.parent
    files = [each for each in folder.rglob("*") if each.is_file()] if found.is_dir() else [found]
    inside = sorted(each.relative_to(folder) for each in files)
    names = [name for name in inside if name.suffix.lower() in SUFFIXES and all(map(_is_shown, map(Path, name.parts)))]
    if not names:
        raise DataError(f"images are read from a folder or a file ({', '.join(SUFFIXES)}), but {path} has none")
    height, width = done["size"]
    is_resized = done.get("resize", True)
    reader = Reader(path, folder, (height, width) if is_resized else None, done["channels"])
    if not is_resized:
        reader.expect((height, width))
    x, _ = reader.alike({"new": ([reader.read(folder / name) for name in names], np.zeros(len(names)))})["new"]
    return x, [name.as_posix() for name in names]


def _shape(size: int | tuple[int, ...] | None, channels: int | None) -> tuple[tuple[int, int] | None, int | None]:
    if channels not in (None, *_MODES):
        raise DataError(f"channels must be 1 (grey), 3 (colours) or 4 (and opacity), but got {channels}")
    if size is None:
        return None, channels
    height, width = (size, size) if isinstance(size, int) else (*size, 0, 0)[:2]
    if min(height, width) < 1 or (not isinstance(size, int) and len(size) != 2):
        raise DataError(f"size must be a number of pixels or [height, width], but got {size}")
    return (height, width), channels


def _splits(path: str, folder: Path) -> dict[str, Path]:
    """The folders of the splits; `folder` itself is the training split where it holds the classes."""
    if not folder.is_dir():
        raise DataError(f"{path} must be a folder with a folder for each class")
    named = {each.name.lower(): each for each in _folders(folder)}
    if "train" not in named or not set(named) <= set(NAMES):
        return {"train": folder}
    return {NAMES[name]: part for name, part in named.items()}


def _files(path: str, folder: Path) -> dict[str, list[Path]]:
    """Images by class, classes and files in the order of their names."""
    found = {
        each.name: sorted(file for file in each.iterdir() if file.suffix.lower() in SUFFIXES and _is_shown(file))
        for each in _folders(folder)
    }
    if not found:
        raise DataError(f"{path} must have a folder for each class, but {folder} has none")
    empty = [name for name, files in found.items() if not files]
    if empty:
        others = _kinds(file for file in (folder / empty[0]).rglob("*") if file.is_file() and _is_shown(file))
        raise DataError(
            f"{path}: folder {empty[0]!r} has no images ({', '.join(SUFFIXES)})"
            + (f"; in it and its folders there are {others}" if others else "")
            + _renamed(empty)
        )
    return found


def _renamed(names: Sequence[str]) -> str:
    """What folders are to be called that hold a split, as it seems; "" where the first does not."""
    splits = {name: next((NAMES[split] for split in NAMES if split in name.lower()), "") for name in names}
    if not splits[names[0]]:
        return ""
    ways = " and ".join(f"{name!r} to {split!r}" for name, split in splits.items() if split)
    return f". Folders of splits are called train, valid and test: rename {ways}"


def _left_out(folder: Path, read: Mapping[str, Mapping[str, Sequence[Path]]]) -> list[str]:
    """What else is in the folder, by kind."""
    taken = {file for found in read.values() for files in found.values() for file in files}
    shown = (file for file in folder.rglob("*") if all(map(_is_shown, map(Path, file.relative_to(folder).parts))))
    others = [file for file in shown if file.is_file() and file not in taken]
    return [f"files that were left out: {len(others):,}, {_kinds(others)}"] if others else []


def _kinds(files: Iterable[Path]) -> str:
    """How many files there are of each kind, the most frequent first."""
    kinds = Counter(
        f"{file.suffix.lower() or 'without a suffix'}{' in other folders' if file.suffix.lower() in SUFFIXES else ''}"
        for file in files
    )
    return ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())


def _folders(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if each.is_dir() and _is_shown(each))


def _is_shown(file: Path) -> bool:
    return not file.name.startswith(".")


def _labelled(reader: Reader, classes: Sequence[str], files: dict[str, list[Path]]) -> tuple[list[Array], Array]:
    x = [reader.read(file) for found in files.values() for file in found]
    y = [np.full(len(found), classes.index(name)) for name, found in files.items()]
    return x, np.concatenate(y)


class Reader:
    """Reads images as arrays of one shape.

    Where it is not given, the first image decides the size, and one in colours that all have three channels.
    """

    def __init__(self, path: str, folder: Path, size: tuple[int, int] | None, channels: int | None) -> None:
        try:
            from PIL import Image, ImageOps
        except ImportError:
            raise DataError("images need Pillow, which is not installed: pip install pillow") from None
        self._image: Any = Image
        self._upright: Any = ImageOps.exif_transpose
        self._path, self._folder = path, folder
        self._wanted, self._size, self._first = size, size, ""
        self._wanted_channels, self._resized = channels, 0
        self._read: Counter[int] = Counter()  # images by their own channels, opacity aside
        self._transparent: list[str] = []  # those with a pixel that is not opaque
        self._sizes: set[tuple[int, int]] = set()  # their own

    @property
    def size(self) -> tuple[int, int]:
        assert self._size is not None, "an image has been read"
        return self._size

    @property
    def channels(self) -> int:
        return self._wanted_channels or max(self._read)

    @property
    def notes(self) -> list[str]:
        height, width = self.size
        told = [f"resized to {height} x {width}: {self._resized:,} images"] if self._resized else []
        if len(self._read) > 1:
            into = "grey" if self.channels == 1 else f"{self.channels} channels, those that are grey too"
            told += [f"{self._read[3]:,} images are in colours and {self._read[1]:,} grey: all are read as {into}"]
        return told

    @property
    def doubts(self) -> list[str]:
        return [*self._of_sizes(), *self._of_transparency()]

    def _of_transparency(self) -> list[str]:
        if not self._transparent or self.channels == 4:
            return []
        several = f"{len(self._transparent):,} images have" if len(self._transparent) > 1 else "1 image has"
        advice = "`channels: 4` keeps it"
        return [f"{several} transparent pixels, such as {self._transparent[0]}; transparency is left out. {advice}"]

    def _of_sizes(self) -> list[str]:
        if len(self._sizes) < 2:
            return []
        ordered = sorted(self._sizes, key=lambda size: (size[0] * size[1], size))
        sizes = f"{len(ordered):,} sizes, from {_by(ordered[0])} to {_by(ordered[-1])}"
        return [f"images have {sizes} (height x width), and are resized whatever their proportions"]

    def expect(self, size: tuple[int, int]) -> None:
        """Have the images be of this size, as those were that trained."""
        self._size, self._first = size, ""

    def read(self, file: Path) -> Array:
        """One image, upright, as uint8 `[height, width]` or with channels; its own, without opacity, unless said."""
        name = str(file.relative_to(self._folder))
        try:
            with self._image.open(file) as opened:
                mode, image = opened.mode, self._upright(opened)
                image.load()
        except Exception as error:  # Pillow's readers raise errors of many types
            raise DataError(f"{self._path}: {name} cannot be read as an image: {self._why(error)}") from error
        if mode not in _READ:
            raise DataError(f"{self._path}: {name} must have 8 bits a channel, but its mode is {mode}")
        own = 1 if mode in _GREY else 3
        self._read[own] += 1
        if _is_transparent(image):
            self._transparent.append(name)
        return np.asarray(self._fitted(name, image.convert(_MODES[self._wanted_channels or own])))

    def _why(self, error: Exception) -> str:
        """What Pillow says, in words of our own where it speaks of an attack."""
        if isinstance(error, self._image.DecompressionBombError):
            pixels = 2 * self._image.MAX_IMAGE_PIXELS
            return f"it has more than {pixels:,} pixels, as a file has that is made to fill the memory. Make it smaller"
        return reason(error)

    def alike(self, splits: Mapping[str, tuple[list[Array], Array]]) -> dict[str, tuple[Array, Array]]:
        """Images that have been read, and their labels, as one array for each split; grey among colours as colours."""
        shape = self.size if self.channels == 1 else (*self.size, self.channels)
        made = {}
        for name, (found, labels) in splits.items():
            x = np.empty((len(found), *shape), np.uint8)
            for row, image in zip(x, found, strict=True):
                row[...] = image if image.ndim == x.ndim - 1 else image[:, :, None]
            made[name] = x, labels
        return made

    def _fitted(self, name: str, image: Any) -> Any:
        size = (image.height, image.width)
        self._sizes.add(size)
        if self._wanted is not None:
            if size == self._wanted:
                return image
            self._resized += 1
            return image.resize(self._wanted[::-1], self._image.Resampling.BILINEAR)
        if self._size is None:
            self._size, self._first = size, name
        if size != self._size and not self._first:
            raise DataError(
                f"{self._path}: images must be {_by(self._size)} as those that trained, but {name} is {_by(size)}. "
                f"Resize it"
            )
        if size != self._size:
            raise DataError(
                f"{self._path}: images must have one size, but {self._first} is {_by(self._size)} and {name} "
                f"{_by(size)}. `size: [{', '.join(map(str, self._size))}]` resizes them all"
            )
        return image


def _is_transparent(image: Any) -> bool:
    """Whether a pixel is not opaque: by a channel, or by a colour that is said to be transparent."""
    if image.mode not in ("RGBA", "LA") and "transparency" not in image.info:
        return False
    return bool(image.convert("RGBA").getchannel("A").getextrema()[0] < 255)


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
