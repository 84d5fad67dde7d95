"""Columns of a table to the numbers that a model reads, and what was done to them as a description, plain JSON.

`fitted` looks at the rows that train alone; `apply` does what a description says, to those rows and to any others.
Categories are collected from all rows: one that is met in validation only has a column that no training row sets.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, TypedDict

import numpy as np
import pyarrow as pa

from sweeps.datasets.canonical import TOO_CLOSE, Array, is_resolved
from sweeps.datasets.tabular import cells, numerals
from sweeps.datasets.tabular import table as tables
from sweeps.datasets.tabular.csv_form import CsvForm
from sweeps.datasets.tabular.table import Table
from sweeps.errors import DataError

MOST_CATEGORIES = 1000
FILLING = ("mean", "median")
MISSING = ("refuse", "drop", *FILLING)
_ADVICE = {
    "drop": "`missing: drop` drops such rows; `mean` and `median` fill them in",
    "features": "`missing: mean` and `median` fill them in",
}
_LEAVE_OUT = {"drop": "List it under `drop`", "features": "List those that are numbers under `features`"}
_WRITTEN_TIME = re.compile(
    r"\s*(\d{4}-\d{1,2}(-\d{1,2}.*)?|\d{1,4}[/.]\d{1,2}[/.]\d{2,4}.*|\d{1,2}-\d{1,2}-\d{4}.*|\d{1,2}:\d{2}(:\d{2}.*)?"
    r"|(\d{1,2} )?(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.? .*\d{2,4})\s*",
    re.IGNORECASE,
)
MOST_TRIED = 100
FEWEST_SPACES = 3  # in a sentence
_LATER = "Fill it in, or leave its row out"  # where there is a model already, which takes no such cells


class Column(TypedDict):
    """One column: how it is read, what a missing cell becomes, and `(cell - center) / spread` where it is a number."""

    name: str
    kind: Literal["number", "one_hot", "ordinal"]
    categories: list[str]  # of one_hot and ordinal columns, in the order of their places
    fill: float | str | None  # a number or a category; None where missing cells are refused
    center: float
    spread: float


class Preprocessing(TypedDict):
    """What is done to a table: `columns` in the order of `x`, and what the labels of the column `target` stand for."""

    kind: Literal["table"]
    columns: list[Column]
    target: str
    classes: list[str] | None
    form: dict[str, Any]  # of the CSV file, so that new ones are read alike


class Wishes(TypedDict):
    """What a config asks to be done to columns."""

    one_hot: Sequence[str]
    ordinal: Mapping[str, Sequence[str] | None]  # the categories in their order, where that is given
    missing: str
    standardize: bool
    leave_out: str  # how a config leaves a column out: `drop`, or `features` where that is the only way


def planned(table: Table, names: Sequence[str], wishes: Wishes) -> list[Column]:
    """How the columns `names` are read, before anything is filled in or standardized.

    Raises:
        DataError: a column that is neither numbers nor said to be categories, has too many of them, or cells that are
            missing and may not be.
    """
    return [_planned(table, name, wishes) for name in names]


def fitted(columns: Sequence[Column], table: Table, training: Array, wishes: Wishes) -> list[Column]:
    """The description, with what is filled in and standardized by; `training` are the numbers of the rows that train.

    Raises:
        DataError: a column of which no training row has a cell, where its missing ones are to be filled.
    """
    return [_fitted(column, table, training, wishes) for column in columns]


def apply(columns: Sequence[Column], table: Table) -> Array:
    """The rows of a table as float32 `[rows, width]`; a one_hot column is as wide as it has categories.

    Raises:
        DataError: a column that is not there, a cell that is missing where none was filled, no number, or a category
            that is not among the description's.
    """
    return np.concatenate([_numbers_of(column, table) for column in columns], axis=1)


def read_for(columns: Sequence[Column], source: Any, description: Mapping[str, Any] = MappingProxyType({})) -> Table:
    """The table in a file, or a DataFrame, with columns read as they were when the description was made.

    The rest of the `description` says how CSV files are written, and which column is the `time`.

    Raises:
        DataError: as `table.read` and `table.of_frame`.
    """
    form = CsvForm(**description.get("form", {}))  # which those of earlier versions do not have
    form = form._replace(missing_values=tuple(form.missing_values))
    if not isinstance(source, str):
        return tables.of_frame(source, form)
    as_text = [column["name"] for column in columns if column["kind"] != "number"]
    if description.get("time_format") is not None:
        as_text.append(description["time"])
    return tables.read(source, as_text, form.of_parquet if tables.is_parquet(source) else form)


def width(columns: Sequence[Column]) -> int:
    """How many numbers a row becomes."""
    return sum(len(column["categories"]) if column["kind"] == "one_hot" else 1 for column in columns)


def _planned(table: Table, name: str, wishes: Wishes) -> Column:
    is_filled = wishes["missing"] in FILLING
    kind: Literal["number", "one_hot", "ordinal"] = "number"
    if name in wishes["one_hot"] or name in wishes["ordinal"]:
        kind = "one_hot" if name in wishes["one_hot"] else "ordinal"
    column = Column(name=name, kind=kind, categories=[], fill=None, center=0.0, spread=1.0)
    if kind == "number":
        _checked_numbers(table, name, allow_missing=is_filled, leave_out=wishes["leave_out"])
        return column
    order = wishes["ordinal"].get(name) if kind == "ordinal" else None
    column["categories"] = cells.categories(table.column(name)).names if order is None else list(order)
    if order is not None:
        _check_order(table, name, order)
    _check_count(table, column)
    table.check(name, ~cells.are_missing(table.column(name)) | is_filled, "a category", _ADVICE[wishes["leave_out"]])
    return column


def _check_order(table: Table, name: str, order: Sequence[str]) -> None:
    """Whether an order has every category of a column, each once."""
    place = {cells.category(each) for each in order}
    if len(place) != len(order):
        raise DataError(f"ordinal: the order of {name!r} must have each category once, but got {', '.join(order)}")
    found = cells.categories(table.column(name))
    are_known = np.array([*(each in place for each in found.names), True])[found.codes]
    table.check(name, are_known, f"one of the categories in its order ({', '.join(order)})", "Add it where it belongs")


def _fitted(column: Column, table: Table, training: Array, wishes: Wishes) -> Column:
    if wishes["missing"] in FILLING:
        column = {**column, "fill": _fill(table, column, training, wishes["missing"])}
    if column["kind"] == "one_hot":
        return column
    figures = _figures(column, table)[training]
    if not wishes["standardize"]:
        if not is_resolved(figures).all():
            raise DataError(
                f"{table.path}: numbers of column {column['name']!r} are {TOO_CLOSE}, from {float(figures.min())!r} to "
                f"{float(figures.max())!r}. `standardize: true` takes their mean off before"
            )
        return column
    if figures.max() == figures.min():  # whose mean may be another number by a rounding
        return {**column, "center": float(figures[0])}
    return {**column, "center": float(figures.mean()), "spread": float(figures.std())}


def _check_count(table: Table, column: Column) -> None:
    count = len(column["categories"])
    if count > MOST_CATEGORIES:
        raise DataError(
            f"{table.path}: a column must have at most {MOST_CATEGORIES:,} categories, "
            f"but {column['name']!r} has {count:,}. Drop it"
        )
    if not count:
        raise DataError(f"{table.path}: column {column['name']!r} has no category: all its cells are empty")


def _fill(table: Table, column: Column, training: Array, how: str) -> float | str:
    """A number column's mean or median over the training rows; of categories, the one that most of these rows have."""
    given = table.column(column["name"])
    if column["kind"] == "number":
        with warnings.catch_warnings():  # a mean of nothing, which is refused below in words of our own
            warnings.simplefilter("ignore", RuntimeWarning)
            figures = cells.numbers(given)[training]
            found = float(np.nanmean(figures) if how == "mean" else np.nanmedian(figures))
        if np.isfinite(found):
            return found
    else:
        codes = cells.categories(given).codes[training]
        if (codes >= 0).any():
            return column["categories"][int(np.bincount(codes[codes >= 0]).argmax())]
    raise DataError(f"{table.path}: column {column['name']!r} has nothing in the training rows to fill empty cells by")


def _numbers_of(column: Column, table: Table) -> Array:
    """One column as float32 `[rows, 1]`, or `[rows, categories]`."""
    if column["kind"] == "one_hot":
        return np.eye(len(column["categories"]), dtype=np.float32)[_places(column, table)]
    return ((_figures(column, table) - column["center"]) / column["spread"]).astype(np.float32)[:, None]


def _figures(column: Column, table: Table) -> Array:
    """A column of numbers, or of categories that are numbered, before it is standardized: f64 `[rows]`.

    They become float32 after their mean is off, for it does not tell large numbers apart that are close together.
    """
    return _filled(column, table) if column["kind"] == "number" else _places(column, table).astype(np.float64)


def _filled(column: Column, table: Table) -> Array:
    fill = column["fill"]
    figures = _checked_numbers(table, column["name"], allow_missing=fill is not None, advice=_LATER)
    return figures if fill is None else np.where(cells.are_missing(table.column(column["name"])), fill, figures)


def _checked_numbers(
    table: Table, name: str, *, allow_missing: bool, advice: str = "", leave_out: str = "drop"
) -> Array:
    """A column as f64 `[rows]`; `advice` is given in the place of what a config could say of the column."""
    given = table.column(name)
    figures, missing = cells.numbers(given), cells.are_missing(given)
    with np.errstate(over="ignore"):
        are_finite = np.isfinite(figures.astype(np.float32))
    are_right = are_finite | missing if allow_missing else are_finite
    if are_right.all():
        return figures
    if advice:
        advice = advice if (missing == ~are_right).all() else ""
    elif missing.all():
        advice = f"All its cells are empty. {'Drop it' if leave_out == 'drop' else _LEAVE_OUT[leave_out]}"
    elif (missing == ~are_right).all():
        advice = _ADVICE[leave_out]
    elif (np.isnan(figures) | missing).all():
        advice = numerals.advice(cells.words(given)) or _of_words(given, leave_out)
    else:
        advice = numerals.advice(cells.words(given))
    table.check(name, are_right, "a finite number in float32", advice)
    return figures


def _of_words(column: pa.Array, leave_out: str) -> str:
    """What to do with a column that holds no numbers, by what it holds."""
    different = cells.words(column)
    without = _LEAVE_OUT[leave_out]
    if pa.types.is_temporal(column.type) or (different and all(map(_WRITTEN_TIME.fullmatch, different[:MOST_TRIED]))):
        return f"It holds times, which are no features: `time` puts rows in their order, or {without.lower()}"
    spaces = sum(cell.strip().count(" ") for cell in different[:MOST_TRIED])
    if different and spaces >= FEWEST_SPACES * len(different[:MOST_TRIED]):
        return f"It holds sentences, which are no features. {without}"
    if len(different) > max(MOST_CATEGORIES, len(column) // 2):
        return f"Nearly every row has a text of its own. {without}"
    if leave_out == "features":
        return f"A series is of numbers. {without}"
    return "List it under `one_hot` or `ordinal` if it holds categories, or under `drop`"


def _places(column: Column, table: Table) -> Array:
    """The place of each row's category among the description's."""
    name, known = column["name"], column["categories"]
    found = cells.categories(table.column(name))
    place = {cells.category(name): number for number, name in enumerate(known)}
    place.update({name: number for number, name in enumerate(known)})  # 1 and 1.0 were two in earlier versions
    fill = -1 if column["fill"] is None else place[str(column["fill"])]
    # The last entry is where -1, a missing cell, points to; -2 is a category that was not met.
    places: Array = np.array([*(place.get(category, -2) for category in found.names), fill])[found.codes]
    table.check(name, places != -1, "a category", _LATER)
    table.check(name, places != -2, f"one of its {len(known):,} categories ({_some(known)})")
    return places


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


def notes(columns: Sequence[Column], table: Table) -> list[str]:
    """What was done to the columns of the table, in lines for a person."""
    said = []
    for column in columns:
        if column["kind"] != "number":
            how = "one-hot" if column["kind"] == "one_hot" else "numbered from 0"
            known = column["categories"]
            said.append(f"{column['name']}: {len(known):,} categories, {how} ({_some(known)})")
        missing = int(cells.are_missing(table.column(column["name"])).sum())
        if missing:
            fill = column["fill"]
            by = f"{fill:.4g}" if isinstance(fill, float) else repr(fill)
            said.append(f"{column['name']}: empty cells filled with {by}: {missing:,}")
    if any(column["spread"] != 1 or column["center"] != 0 for column in columns):
        said.append("standardized by mean and deviation of the training rows")
    return said
