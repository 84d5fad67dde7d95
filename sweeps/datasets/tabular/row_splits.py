"""How the rows of a table are split, as a config says: in one way, by columns that are no features then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from sweeps.datasets import splitting
from sweeps.datasets.canonical import Array
from sweeps.datasets.splitting import Parts
from sweeps.datasets.tabular import cells, times
from sweeps.datasets.tabular.table import Table
from sweeps.errors import DataError


class Cut(NamedTuple):
    """The keys of a config that split rows; `group`, `time` and `split` name columns."""

    valid_fraction: float | None
    test_fraction: float
    seed: int
    stratify: bool
    group: str | None
    time: str | None
    split: str | None
    time_format: str | None

    @property
    def columns(self) -> list[str]:
        return [name for name in (self.group, self.time, self.split) if name is not None]

    @property
    def notes(self) -> list[str]:
        """For a person: how rows are split, unless it is at random."""
        if self.split is not None:
            return [f"rows split as column {self.split!r} says"]
        ways = [f"by {way} {name!r}" for way, name in (("group", self.group), ("time", self.time)) if name is not None]
        ways += ["at random, every class with its share"] if self.stratify else []
        form = "" if self.time_format is None else f", which is written {self.time_format}"
        return [f"rows split {way}{form}" for way in ways]

    def check_apart(self, apart: Mapping[str, str]) -> None:
        """Hold the ways to split against validation and test rows that are in files of their own.

        Raises:
            DataError: rows would be split in two ways.
        """
        splits = [*self.columns, *(["stratify"] if self.stratify else [])]
        if "valid" in apart and (splits or self.valid_fraction or self.test_fraction):
            rule = "valid_path has the rows that validate, so that none are split off `path`"
            raise DataError(f"{rule}. Remove what splits rows, and give `test_path` for a test")
        if "test" in apart and self.test_fraction:
            raise DataError(
                "test_path has the rows of the test, so that none are split off `path`. Remove test_fraction"
            )

    def parts(self, table: Table, target: Array, *, has_valid: bool = False) -> Parts:
        """The rows of each split; `target` holds whole numbers where it holds classes.

        All train where the rows that validate are elsewhere (`has_valid`).

        Raises:
            DataError: several ways are given, a cell to split by is missing, or a split has no rows.
        """
        if has_valid:
            return Parts(np.arange(table.rows), np.arange(0), np.arange(0))
        self._check_one_way()
        times.check_format(self.time, self.time_format)
        for name in self.columns:
            table.check(name, ~cells.are_missing(table.column(name)), "given, since rows are split by it")
        if self.split is not None:
            return _by_name(table, self.split)
        counts = splitting.counted(table.rows, self.valid_fraction, self.test_fraction)
        if self.group is not None:
            return splitting.by_group(cells.categories(table.column(self.group)).codes, counts, self.seed)
        if self.time is not None:
            return splitting.by_time(times.places(table, self.time, self.time_format), counts)
        if self.stratify:
            return splitting.stratified(splitting.classes_of(target), counts, self.seed)
        return splitting.at_random(table.rows, counts, self.seed)

    def doubts(self, table: Table, parts: Parts) -> Iterator[str]:
        """For a person: splits that are in another order than the times in some column."""
        if self.time is not None or self.group is not None or not len(parts.valid):
            return
        for name, column in table.columns.items():
            if not times.are_dates(column):
                continue
            places = times.places(table, name)
            later = [rows for rows in (parts.valid, parts.test) if len(rows)]
            early = int((places[parts.train] > min(places[rows].min() for rows in later)).sum()) if later else 0
            if self.split is not None and early:
                told = (
                    f"{early:,} of {len(parts.train):,} rows that train are later in {name!r} than the first of another"
                )
                yield f"{told} split, so that column {self.split!r} is not in the order of time"
            elif self.split is None:
                yield f"rows have dates in {name!r}, and are split at random: `time: {name}` trains on the oldest"

    def _check_one_way(self) -> None:
        ways = {"stratify": self.stratify, "group": self.group, "time": self.time, "split": self.split}
        given = [way for way, value in ways.items() if value]
        if len(given) > 1:
            raise DataError(f"rows must be split in one way, but {' and '.join(given)} are given")
        unused = [name for name in ("valid_fraction", "test_fraction") if getattr(self, name)]
        if self.split is not None and unused:
            rule = f"split: {self.split} says which rows validate and which are the test"
            raise DataError(f"{rule}, but {' and '.join(unused)} would say so too. Remove one or the other")


def _by_name(table: Table, name: str) -> Parts:
    try:
        return splitting.by_name(cells.texts(table.column(name)))
    except DataError as error:
        raise DataError(f"{table.path}: column {name!r} splits the rows: {error}") from None
