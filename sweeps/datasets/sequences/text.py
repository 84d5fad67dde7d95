"""A text as windows of characters, and the character that follows.

A character is its place in the alphabet: every character of the text, in the order of Unicode.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from sweeps.datasets.canonical import Array
from sweeps.datasets.dataset import Dataset
from sweeps.datasets.sequences import windows as cutting
from sweeps.datasets.sequences.windows import SequenceWindows
from sweeps.errors import DataError
from sweeps.user_code import find_file


def text(
    *,
    path: str,
    window: int,
    stride: int = 1,
    horizon: int = 1,
    valid_fraction: float = 0.1,
    test_fraction: float = 0.0,
) -> Dataset:
    """Windows of a UTF-8 text: `x` is int32 `[rows, window]`, `y` the character `horizon` after it, as a class.

    The end of the text is for the test, what comes before for validation. Windows take `4 * window / stride` bytes for
    each character.

    Raises:
        DataError: no such file, not UTF-8, or too short.
    """
    windows = SequenceWindows(window, stride, horizon)
    windows.check()
    points = _points(path)
    alphabet, steps = np.unique(points, return_inverse=True)
    steps = steps.astype(np.int32)
    parts = cutting.pieces(len(steps), valid_fraction, test_fraction)
    dataset = cutting.windowed(path, steps, steps, parts, windows)
    names = tuple(map(chr, alphabet))
    return replace(
        dataset,
        classes=len(names),
        class_names=names,
        preprocessing={"kind": "text", "alphabet": "".join(names), **windows._asdict()},
        notes=cutting.notes(path, len(steps), dataset, windows),
    )


def unanswered(path: str, done: Mapping[str, Any]) -> tuple[Array, list[str]]:
    """The window that ends at each character of a new text, int32 `[rows, window]`, and that one's number from 0.

    `done` is the description that `text` gave.

    Raises:
        DataError: no such file, not UTF-8, a character that the training text had not, or fewer than a window has.
    """
    points = _points(path)
    alphabet = np.frombuffer(done["alphabet"].encode("utf-32-le"), np.uint32)
    places = np.minimum(np.searchsorted(alphabet, points), len(alphabet) - 1)
    strange = np.flatnonzero(alphabet[places] != points)
    if len(strange):
        line = int((points[: strange[0]] == ord("\n")).sum()) + 1
        known = f"the {len(alphabet):,} characters that the model was trained on"
        raise DataError(f"{path}:{line}: {chr(points[strange[0]])!r} is not one of {known}")
    x, steps = cutting.ends(path, places.astype(np.int32), done["window"])
    return x, list(map(str, steps))


def _points(path: str) -> Array:
    """A text as the numbers of its characters, uint32."""
    try:
        content = find_file(path, DataError).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text: {error}") from error
    return np.frombuffer(content.encode("utf-32-le"), np.uint32)
