"""A table in a CSV file: one column to predict, the others to predict it from."""

from __future__ import annotations

import difflib
from pathlib import Path

import numpy as np
import pandas as pd

from sweeps.datasets.base import Dataset, from_arrays
from sweeps.errors import DataError


def csv(
    path: str,
    target: str,
    features: tuple[str, ...] | None = None,
    scale: float = 1.0,
    valid_fraction: float = 0.2,
    test_fraction: float = 0.0,
    seed: int = 0,
) -> Dataset:
    """Rows of a CSV file (`.csv`, or compressed as pandas reads it), header first.

    A whole-number or text `target` column holds classes (texts are numbered in sorted order), a fractional one values
    to regress on. A model sees each feature times `scale`.

    Raises:
        DataError: no such file or column, or a cell that is missing or not a number.
    """
    table = _read(Path(path))
    names = [name for name in table.columns if name != target] if features is None else list(features)
    for name in (target, *names):
        if name not in table.columns:
            raise DataError(f"{path}: there is no column {name!r}{_nearest(name, table)}")
    x = table[names].apply(pd.to_numeric, errors="coerce")
    faulty = x.isna().any(axis=1) | table[target].isna()
    if faulty.any():
        row = int(np.argmax(faulty.to_numpy()))
        cells = [*[name for name in names if pd.isna(x[name].iloc[row])], target]
        raise DataError(
            f"{path}:{row + 2}: every cell must be a number, but got {table[cells[0]].iloc[row]!r} in column {cells[0]!r}"
        )
    y = table[target]
    labels = y if pd.api.types.is_numeric_dtype(y) else pd.Series(np.unique(y, return_inverse=True)[1])
    dataset = from_arrays(
        x.to_numpy(np.float32), labels.to_numpy(), valid_fraction=valid_fraction, test_fraction=test_fraction, seed=seed
    )
    return Dataset(dataset.train, dataset.valid, dataset.test, scale=scale)


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file (looked in {Path.cwd()})") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not readable as CSV: {str(error).splitlines()[0]}") from error


def _nearest(name: str, table: pd.DataFrame) -> str:
    near = difflib.get_close_matches(name, [str(column) for column in table.columns], n=3)
    known = near or [str(column) for column in table.columns[:8]]
    return f"; the {'nearest' if near else 'first'} are {', '.join(map(repr, known))}"
