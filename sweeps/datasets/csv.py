"""A table in a CSV file: one column to predict, the others to predict it from."""

from __future__ import annotations

import bz2
import csv as standard_csv
import difflib
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sweeps.datasets.base import Dataset, from_arrays
from sweeps.errors import DataError
from sweeps.locate import find_file

_OPENED_BY: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def csv(  # noqa: PLR0913  (the keys of a config, always given by name)
    *,
    path: str,
    target: str,
    features: tuple[str, ...] | None = None,
    scale: float = 1.0,
    shift: float = 0.0,
    valid_fraction: float = 0.2,
    test_fraction: float = 0.0,
    seed: int = 0,
) -> Dataset:
    """Rows of a CSV file (`.csv`, or compressed: `.csv.gz`, `.csv.bz2`, `.csv.xz`), a header first.

    `path` is looked up in the project folder. Features are all columns but the target, unless they are listed; a model
    sees each as `cell * scale + shift`. A whole-number or text `target` column holds classes (texts are numbered in
    sorted order), a fractional one values to regress on.

    Raises:
        DataError: no such file or column, or a cell that is empty or not a number.
    """
    table = _read(path)
    names = [name for name in table.columns if name != target] if features is None else _listed(features)
    if features is not None and target in names:
        raise DataError(f"the features must not hold the target {target!r}")
    for name in (target, *names):
        if name not in table.columns:
            raise DataError(f"{path}: there is no column {name!r}{_nearest(name, table)}")
    if not names:
        raise DataError(f"{path} must have columns beside the target {target!r}, but it has none")
    x = np.stack([_figures(path, table, name) for name in names], axis=1)
    dataset = from_arrays(
        x, _targets(path, table, target), valid_fraction=valid_fraction, test_fraction=test_fraction, seed=seed
    )
    return Dataset(dataset.train, dataset.valid, dataset.test, scale=scale, shift=shift)


def _read(path: str) -> pd.DataFrame:
    file = find_file(path, DataError)
    try:
        table = pd.read_csv(file)
    except (OSError, ValueError, EOFError, lzma.LZMAError) as error:
        raise DataError(f"{path} cannot be read as CSV: {str(error).strip().splitlines()[0]}") from error
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(f"{path}: rows must not have more cells than the header")
    if not len(table):
        raise DataError(f"{path} must have rows below its header, but it has none")
    return table


def _listed(features: Any) -> list[str]:
    return [features] if isinstance(features, str) else list(features)


def _figures(path: str, table: pd.DataFrame, name: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A column of numbers, as float32."""
    numbers = pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64)
    with np.errstate(over="ignore"):
        figures = numbers.astype(np.float32)
    _check_cells(path, table[name], np.isfinite(figures), "a finite number in float32")
    return figures


def _targets(path: str, table: pd.DataFrame, name: str) -> np.ndarray[Any, Any]:
    column = table[name]
    if pd.api.types.is_float_dtype(column):
        return _figures(path, table, name)
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy()
    _check_cells(path, column, column.notna().to_numpy(), "a class")
    are_numbers = pd.to_numeric(column, errors="coerce").notna().to_numpy()
    if are_numbers.any():
        _check_cells(path, column, are_numbers, "a number, as others in it are")
    return pd.factorize(column, sort=True)[0]


def _check_cells(path: str, column: pd.Series, are_right: np.ndarray[Any, Any], what: str) -> None:
    """Name the first cell that is not right.

    Raises:
        DataError: there is one.
    """
    if are_right.all():
        return
    row = int(np.argmin(are_right))
    cell = column.iloc[row]
    got = "an empty cell" if pd.isna(cell) else repr(cell.item() if isinstance(cell, np.generic) else cell)
    raise DataError(f"{path}:{_line(path, row)}: every cell of column {column.name!r} must be {what}, but got {got}")


def _line(path: str, row: int) -> int:
    """The line in the file of a row of the table: blank lines, and line breaks within quotes, count too."""
    file = find_file(path, DataError)
    with _OPENED_BY.get(Path(path).suffix, open)(file, "rt", encoding="utf-8", newline="") as lines:
        reader = standard_csv.reader(lines)
        for record in reader:
            row -= any(cell.strip() for cell in record) or len(record) > 1
            if row < -1:
                return reader.line_num
    return row + 2


def _nearest(name: str, table: pd.DataFrame) -> str:
    columns = [str(column) for column in table.columns]
    near = difflib.get_close_matches(str(name), columns, n=3)
    return f"; the {'nearest' if near else 'first'} are {', '.join(map(repr, near or columns[:8]))}"
