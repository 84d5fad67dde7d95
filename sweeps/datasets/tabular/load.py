"""A table in a CSV or Parquet file: one column to predict, others to predict it from.

Nothing is done to a column that the config does not ask for, and `notes` say what is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from sweeps.datasets.canonical import Array
from sweeps.datasets.dataset import Dataset, Split, Words, of_parts
from sweeps.datasets.tabular import cells, csv_form, numerals, preprocessing
from sweeps.datasets.tabular import table as tables
from sweeps.datasets.tabular.csv_form import CsvForm
from sweeps.datasets.tabular.row_splits import Cut
from sweeps.datasets.tabular.table import Table
from sweeps.errors import DataError

TASKS = ("classification", "regression")
MOST_LABELS = 10  # that a table of fewer rows may have
Names = tuple[str, ...]


class Target(NamedTuple):
    """What is to be predicted: labels i64 or values f64, `[rows]`; and what labels stand for, if not for themselves.

    `labels` are the classes in the type that the column has.
    """

    values: Array
    classes: list[str] | None = None
    labels: tuple[str | int | float | bool, ...] | None = None
    words: Words | None = None


def tabular(  # noqa: PLR0913  (the keys of a config, always given by name)
    *,
    path: str,
    target: str,
    valid_path: str | None = None,
    test_path: str | None = None,
    features: Names | None = None,
    drop: Names = (),
    one_hot: Names = (),
    ordinal: Any = (),
    missing: str = "refuse",
    standardize: bool = False,
    task: str | None = None,
    weight: str | None = None,
    scale: float = 1.0,
    offset: float = 0.0,
    separator: str | None = None,
    decimal: str = ".",
    thousands: str | None = None,
    encoding: str = "utf-8",
    missing_values: tuple[str | float, ...] = (),
    header: int | None = 0,
    valid_fraction: float | None = None,
    test_fraction: float = 0.0,
    stratify: bool = False,
    group: str | None = None,
    time: str | None = None,
    time_format: str | None = None,
    split: str | None = None,
    seed: int = 0,
) -> Dataset:
    """Rows of a CSV file (`.csv`, or compressed: `.csv.gz`, `.csv.bz2`, `.csv.xz`) or a Parquet file (`.parquet`).

    `path` is looked up in the project folder. Features are all columns but the target, those under `drop` and those
    that split, unless they are listed. Numbers are taken as they are, or with `standardize` less their mean and divided
    by their standard deviation; a model sees each as `x * scale + offset`. Columns under `one_hot` become a number for
    each of their categories, those under `ordinal` the place of the category among all, numbers by size and words by
    the alphabet, or in an order that is given as a pair of the column and its categories. A missing cell is refused, or
    `missing` says what to do: `drop` the row, or fill in the `mean` or the `median` of the column, for categories the
    most frequent one.

    A `target` of whole numbers holds classes, of text too (numbered in order), of fractions values to regress on;
    `task`, classification or regression, decides otherwise. The column `weight` holds a number for each row that
    its loss is multiplied by in training; it is no feature.

    Rows are split at random by `valid_fraction` and `test_fraction`, or with `stratify` so that classes have their
    share of each split, or so that all rows with one value of the column `group` are together, or by the column `time`,
    oldest rows for training, or as the column `split` says for each row. A `time` that is text is in ISO form, or as
    `time_format` says (`%d/%m/%Y`, the directives of Python's `strptime`).

    The rows of `valid_path` validate and those of `test_path` are the test, prepared as the rows of `path` are.

    The other keys say how a CSV file is written, as for pandas' `read_csv` (`CsvForm`).

    Raises:
        DataError: no such file or column, a cell that is missing or not what it must be, a split without rows.
    """
    _check_choices(missing, task)
    orders = _orders(ordinal)
    names = {"drop": _listed(drop), "one_hot": _listed(one_hot), "ordinal": list(orders)}
    as_text = [*names["one_hot"], *names["ordinal"], *([time] if time is not None and time_format is not None else [])]
    form = CsvForm(separator, decimal, thousands, encoding, csv_form.marks(missing_values), header)
    table = tables.read(path, as_text, form)
    table.column(target)
    cut = Cut(
        valid_fraction, test_fraction, seed,
        stratify=stratify, group=group, time=time, split=split, time_format=time_format,
    )  # fmt: skip
    others = [*cut.columns, *([] if weight is None else [weight])]
    chosen = _features(table, target, features, [*names["drop"], *others])
    _check_named(table, chosen, names)
    apart = {name: given for name, given in (("valid", valid_path), ("test", test_path)) if given is not None}
    cut.check_apart(apart)
    notes = [f"{len(chosen):,} of {len(table.columns):,} columns of {path} are features"]
    notes += table.index_notes({target, *chosen, *others, *names["drop"]})
    if missing == "drop":
        table, dropped = _whole_rows(table, [target, *chosen, *others])
        notes += [f"rows dropped for an empty cell: {dropped:,}"] if dropped else []
    wishes = preprocessing.Wishes(
        one_hot=names["one_hot"], ordinal=orders, missing=missing, standardize=standardize, leave_out="drop"
    )
    plan = preprocessing.planned(table, chosen, wishes)
    wanted = _target(table, target, task)
    weights = None if weight is None else _weights(table, weight, [target, *chosen])
    parts = cut.parts(table, wanted.values, has_valid="valid" in apart)
    done = preprocessing.fitted(plan, table, parts.train, wishes)
    dataset = of_parts(preprocessing.apply(done, table), wanted.values, parts, weights)
    read = {
        name: _apart(other, done, table, target, wanted, form, drop_missing=missing == "drop")
        for name, other in apart.items()
    }
    if "valid" in read:
        dataset = replace(dataset, valid=read["valid"].rows)
    if "test" in read:
        dataset = replace(dataset, test=read["test"].rows)
    notes += [note for each in read.values() for note in each.notes]
    return replace(
        dataset,
        scale=scale,
        offset=offset,
        classes=None if wanted.classes is None else len(wanted.classes),
        class_names=None if wanted.classes is None else tuple(wanted.classes),
        labels=wanted.labels,
        words=wanted.words,
        preprocessing=preprocessing.Preprocessing(
            kind="table", columns=done, target=target, classes=wanted.classes, form=form._asdict()
        ),
        notes=(*notes, *preprocessing.notes(done, table), *cut.notes),
        doubts=(*table.doubts, *cut.doubts(table, parts)),
    )


def _orders(ordinal: Any) -> dict[str, tuple[str, ...] | None]:
    """The ordinal columns, each with its categories in their order where that is given.

    Raises:
        DataError: it is neither names nor pairs of a name and its categories.
    """
    given = [ordinal] if isinstance(ordinal, str) else list(ordinal)
    found: dict[str, tuple[str, ...] | None] = {}
    for each in given:
        name, order = each if isinstance(each, tuple | list) and len(each) == 2 else (each, None)
        if not isinstance(name, str) or not (order is None or isinstance(order, tuple | list)):
            wanted = "ordinal must be names of columns, or a mapping of each to its categories in their order"
            raise DataError(f"{wanted}, such as {{size: [small, medium, large]}}, but got {each!r}")
        found[name] = None if order is None else tuple(map(cells.text_of, order))
    return found


def _check_choices(missing: str, task: str | None) -> None:
    if missing not in preprocessing.MISSING:
        raise DataError(f"missing must be one of {', '.join(preprocessing.MISSING)}, but got {missing!r}")
    if task is not None and task not in TASKS:
        raise DataError(f"task must be classification or regression, but got {task!r}")


def _listed(names: str | Iterable[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _features(table: Table, target: str, features: Names | None, others: Sequence[str]) -> list[str]:
    """The columns to predict from."""
    for name in others:
        table.column(name)
    if features is None:
        names = [name for name in table.columns if name not in (target, *others, *table.index_columns)]
    else:
        names = list(dict.fromkeys(_listed(features)))
        for name in names:
            table.column(name)
        if target in names:
            raise DataError(f"the features must not hold the target {target!r}")
    if not names:
        raise DataError(f"{table.path} must have columns beside the target {target!r}, but it has none")
    return names


def _check_named(table: Table, chosen: Sequence[str], names: dict[str, list[str]]) -> None:
    """Hold what the config says of columns against what there is."""
    for key in ("one_hot", "ordinal"):
        for name in names[key]:
            table.column(name)
            if name not in chosen:
                raise DataError(f"{key}: {name!r} is not one of the features")
    both = sorted({*names["one_hot"]} & {*names["ordinal"]})
    if both:
        raise DataError(f"a column must be one_hot or ordinal, but {both[0]!r} is both")


class Apart(NamedTuple):
    """The rows of a split that is in a file of its own, and what is said of them."""

    rows: Split
    notes: list[str]


def _apart(  # noqa: PLR0913  (what is known of the table that trains)
    path: str,
    done: Sequence[preprocessing.Column],
    trained: Table,
    target: str,
    wanted: Target,
    form: CsvForm,
    *,
    drop_missing: bool,
) -> Apart:
    """The rows of a file, prepared as those that train.

    Raises:
        DataError: as for new rows, and where a class is none of those that train.
    """
    as_text = [column["name"] for column in done if column["kind"] != "number"]
    as_text += [target] if cells.is_text(trained.column(target)) else []
    table = tables.read(path, as_text, form.of_parquet if tables.is_parquet(path) else form)
    notes = [f"{path}: {table.rows:,} rows", *table.doubts]
    if drop_missing:
        table, dropped = _whole_rows(table, [target, *(column["name"] for column in done)])
        notes += [f"{path}: rows dropped for an empty cell: {dropped:,}"] if dropped else []
    if wanted.classes is not None:
        place = {name: number for number, name in enumerate(wanted.classes)}
        codes, names = cells.categories(table.column(target))
        places = np.array([*(place.get(name, -1) for name in names), -1])[codes]
        table.check(target, places >= 0, f"one of the {len(place):,} classes of {trained.path}")
        return Apart(Split(preprocessing.apply(done, table), places), notes)
    if wanted.values.dtype.kind == "f":  # whole numbers here may be none there
        return Apart(Split(preprocessing.apply(done, table), _target(table, target, "regression").values), notes)
    values = cells.numbers(table.column(target))  # true and false are 1 and 0, as in a file that has both as numbers
    rule = f"a whole number, as those of {trained.path} are (`task: regression` takes all numbers)"
    table.check(target, values == np.floor(values), rule, numerals.advice(cells.words(table.column(target))))
    _check_labels(table, target, values)
    return Apart(Split(preprocessing.apply(done, table), values.astype(np.int64)), notes)


def _whole_rows(table: Table, names: Iterable[str]) -> tuple[Table, int]:
    """The rows in which none of these columns has an empty cell, and how many others there were."""
    are_whole = ~np.any([cells.are_missing(table.column(name)) for name in names], axis=0)
    if not are_whole.any():
        raise DataError(f"{table.path}: every row has an empty cell, so that `missing: drop` leaves none")
    return table.taken(are_whole), int((~are_whole).sum())


def _target(table: Table, name: str, task: str | None) -> Target:
    """The target column by its kind, or as `task` says."""
    given = table.column(name)
    is_text = cells.is_text(given) and task != "regression"
    if is_text:
        table.check(name, ~cells.are_missing(given), "a class")
        are_numbers = ~np.isnan(cells.numbers(given))
        if are_numbers.any() and task is None:
            table.check(name, are_numbers, "a number, as others in it are", numerals.advice(cells.words(given)))
    else:
        with np.errstate(over="ignore"):
            are_finite = np.isfinite(cells.numbers(given).astype(np.float32))
        table.check(name, are_finite, "a finite number in float32", numerals.advice(cells.words(given)))
    if is_text or task == "classification" or (task is None and cells.is_truth(given)):
        codes, classes = cells.categories(given)
        labels = tuple(classes) if cells.is_text(given) else tuple(cells.value_of(name) for name in classes)
        return Target(codes, classes, labels, _words(table, name, classes) if is_text and task is None else None)
    values = cells.numbers(given)
    if task == "regression" or cells.has_fractions(given):
        return Target(values)
    _check_labels(table, name, values)
    return Target(values.astype(np.int64))


def _words(table: Table, name: str, classes: Sequence[str]) -> Words:
    """What a loss of numbers has to say of a column of text."""
    first = f"{table.place(0)}: the target {name!r} holds words, the first is {str(table.column(name)[0])!r}"
    return Words(first, numerals.advice(classes))


def _weights(table: Table, name: str, others: Sequence[str]) -> Array:
    """The column of weights, f64 `[rows]`."""
    if name in others:
        raise DataError(f"weight: {name!r} must be neither the target nor a feature")
    found = cells.numbers(table.column(name))
    with np.errstate(over="ignore"):
        are_right = np.isfinite(found.astype(np.float32)) & (found >= 0)
    table.check(name, are_right, "a weight, a finite number of at least 0")
    return found


def _check_labels(table: Table, name: str, values: Array) -> None:
    """Whole numbers are labels 0, 1, … and not a quantity."""
    if values.min() < 0 or values.max() > max(len(values), MOST_LABELS):
        raise DataError(
            f"{table.path}: whole numbers in the target {name!r} are class labels from 0, but they go from "
            f"{values.min():,.0f} to {values.max():,.0f} in {len(values):,} rows. Say `task: regression` to predict "
            f"them as numbers, `task: classification` to have them numbered"
        )
