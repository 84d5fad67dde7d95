"""Rows are ordered by time as pandas parses it; text whose form is not known is refused with the way to say it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sweeps.datasets import loading
from sweeps.datasets.dataset import Dataset
from sweeps.errors import DataError

DAYS = pd.date_range("2020-01-01", periods=400)
READERS = ("table", "series")


def write(folder: Path, times: Any, kind: str = "csv") -> str:
    """Rows in a random order; `n` is the true place of each in time."""
    frame = pd.DataFrame({"date": times, "n": np.arange(float(len(times))), "y": np.arange(len(times)) + 0.5})
    frame = frame.sample(frac=1, random_state=0)
    path = folder / f"sales.{kind}"
    frame.to_parquet(path, index=False) if kind == "parquet" else frame.to_csv(path, index=False)
    return str(path)


def load(reader: str, path: str, **more: Any) -> Dataset:
    common = {"path": path, "target": "y", "time": "date", "valid_fraction": 0.1, "test_fraction": 0.1, **more}
    if reader == "series":
        return loading.load("series", {**common, "window": 2, "features": ("n",)})
    return loading.load("csv", {**common, "features": ("n",)})


def order(reader: str, path: str, **more: Any) -> list[float]:
    """The places in time of all rows, in the order that they were taken in."""
    dataset = load(reader, path, **more)
    if reader == "series":
        return [float(number) for split in dataset.splits.values() for number in split.x[:, 0, 0]]
    return [float(number) for split in dataset.splits.values() for number in split.x[:, 0]]


def is_in_order(reader: str, path: str, **more: Any) -> bool:
    found = order(reader, path, **more)
    return found == sorted(found) and len(found) > 300


def refused(make: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        make()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("form", "advised"),
    [
        ("%d/%m/%Y", '`time_format: "%d/%m/%Y"`'),
        ("%m/%d/%Y", '`time_format: "%m/%d/%Y"`'),
        ("%d %b %Y", '`time_format: "%d %b %Y"`'),
        ("%-m/%-d/%y", '`time_format: "%m/%d/%y"`'),
        ("%Y-%-m-%-d", '`time_format: "%Y-%m-%d"`'),
        ("%A the %d in week %W of %Y", 'Say how it is written, such as `time_format: "%d/%m/%Y"`'),
    ],
)
def test_text_that_is_no_iso_time_is_refused_until_its_form_is_said(
    tmp_path: Path, kind: str, reader: str, form: str, advised: str
) -> None:
    path = write(tmp_path, DAYS.strftime(form), kind)
    said = refused(lambda: load(reader, path))
    assert "of column 'date' must be a number, or a time in ISO form such as 2020-01-31 or 09:30, but got" in said
    assert advised in said
    assert is_in_order(reader, path, time_format=form.replace("%-", "%"))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "times",
    [
        DAYS.strftime("%Y-%m-%d"),
        DAYS.strftime("%Y-%m-%dT%H:%M:%SZ"),
        DAYS.strftime("%Y%m%d"),
        DAYS.strftime("%G-W%V-%u"),
        pd.date_range("1990-01-01", periods=400, freq="MS").strftime("%Y-%m"),
        pd.date_range("2020-01-01", periods=400, freq="min").strftime("%H:%M"),
        pd.date_range("2020-03-29", periods=400, freq="30min", tz="Europe/Berlin").map(lambda each: each.isoformat()),
        [str(9 + place) for place in range(400)],
        [f"{place / 7:.3f}" for place in range(400)],
    ],
    ids=["days", "utc", "basic", "weeks", "months", "minutes", "summer", "whole", "numbers"],
)
def test_iso_times_and_numbers_as_text_are_in_their_order(tmp_path: Path, kind: str, reader: str, times: Any) -> None:
    assert is_in_order(reader, write(tmp_path, list(times), kind))


@pytest.mark.parametrize("reader", READERS)
def test_dates_of_parquet_are_in_their_order(tmp_path: Path, reader: str) -> None:
    for times in (DAYS, DAYS.date, DAYS - DAYS[0], np.arange(400)):
        assert is_in_order(reader, write(tmp_path, times, "parquet"))


@pytest.mark.parametrize("reader", READERS)
def test_hours_of_one_digit_are_refused_and_read_as_said(tmp_path: Path, reader: str) -> None:
    minutes = pd.date_range("2020-01-01", periods=400, freq="3min")
    path = write(tmp_path, [f"{each.hour}:{each.minute:02}" for each in minutes])
    assert '`time_format: "%H:%M"`' in refused(lambda: load(reader, path))
    assert is_in_order(reader, path, time_format="%H:%M")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_numbers_that_are_dates_with_the_day_first_are_refused_until_that_is_said(tmp_path: Path, kind: str) -> None:
    written = DAYS.strftime("%d%m%Y")
    path = write(tmp_path, written if kind == "csv" else written.astype(int), kind)
    assert "begin with the day or the month. Say `time_format: %d%m%Y`" in refused(lambda: load("table", path))
    assert is_in_order("table", path, time_format="%d%m%Y")
    assert "every cell of column 'date' must be a time as" in refused(lambda: load("table", path, time_format="%d%m%y"))


def test_a_cell_that_the_given_form_does_not_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "date,n,y\n" + "01/02/2020,1,0\n13/02/2020,2,1\n05/02/2020,3,1\n06/02/2020,3,1\n" * 3
    )
    said = refused(lambda: load("table", str(tmp_path / "a.csv"), time_format="%m/%d/%Y"))
    assert (
        ":3: every cell of column 'date' must be a time as `time_format: %m/%d/%Y` says, but got '13/02/2020'" in said
    )


def test_times_that_have_no_order_among_them_are_refused(tmp_path: Path) -> None:
    for other in ("10:00", "2020-01-02T00:00+01:00"):
        (tmp_path / "a.csv").write_text(f"date,n,y\n2020-01-01T10:00,1,0\n{other},2,1\n" + "2020-01-03T10:00,3,1\n" * 9)
        said = refused(lambda: load("table", str(tmp_path / "a.csv")))
        assert ":3: every cell of column 'date' must be a date without a time zone, as the first is" in said


@pytest.mark.parametrize(
    ("time_format", "said"),
    [
        ("dd/mm/yyyy", "such as %d/%m/%Y, but got 'dd/mm/yyyy': it has none"),
        ("%q", "'q' is a bad directive"),
        ("%Y-%W", "a week needs a day of it, such as %a"),
    ],
)
def test_a_format_that_is_none_is_refused(tmp_path: Path, time_format: str, said: str) -> None:
    path = write(tmp_path, DAYS.strftime("%Y-%W"))
    for reader in READERS:
        assert said in refused(lambda reader=reader: load(reader, path, time_format=time_format))
    assert "but `time` is not given" in refused(lambda: load("table", path, time=None, time_format="%Y"))
