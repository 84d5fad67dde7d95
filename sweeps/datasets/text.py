"""A text as windows of characters, and the character that follows. The rule: a character is its place in the alphabet.

The alphabet is every character of the text, in the order of Unicode.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sweeps.datasets import windows as cutting
from sweeps.datasets.base import Dataset
from sweeps.datasets.windows import Windows
from sweeps.errors import DataError
from sweeps.locate import find_file


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
    windows = Windows(window, stride, horizon)
    windows.check()
    try:
        content = find_file(path, DataError).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text: {error}") from error
    points = np.frombuffer(content.encode("utf-32-le"), np.uint32)
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
