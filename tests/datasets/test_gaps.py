"""A series whose steps are not equally far apart is told, with counts and the first gap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sweeps.datasets import loading

DAYS = pd.date_range("2020-01-01", periods=60)
KEEP = np.ones(60, bool)
KEEP[[9, 30, 31, 32]] = False
END = "Windows run across them"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def doubts(times: Any, use: str = "csv", **more: Any) -> tuple[str, ...]:
    frame = pd.DataFrame({"t": times, "n": np.sin(np.arange(len(times)))})
    path = f"s.{use}"
    frame.to_csv(path, index=False) if use == "csv" else frame.to_parquet(path, index=False)
    arguments = {"path": path, "target": "n", "time": "t", "window": 3, **more}
    return loading.load("series", arguments).doubts


@pytest.mark.parametrize(
    ("times", "more"),
    [
        (DAYS[KEEP].strftime("%Y-%m-%d"), {}),
        (DAYS[KEEP].strftime("%d/%m/%Y"), {"time_format": "%d/%m/%Y"}),
        (DAYS[KEEP], {"use": "parquet"}),
    ],
    ids=["iso", "format", "parquet"],
)
def test_missing_days_are_counted_and_the_first_is_named(times: Any, more: dict[str, Any]) -> None:
    (said,) = doubts(times, **more)
    place = "s.csv:10" if "use" not in more else "s.parquet, row 8 from 0"
    first = times[8] if isinstance(times[8], str) else f"{times[8]}"
    assert said == (
        f"{place}: 2 gaps in 't', where 4 steps may be missing: the first is of 2 days after {first}, and most steps "
        f"are 1 day. {END}"
    )


@pytest.mark.parametrize(
    "times",
    [
        DAYS.strftime("%Y-%m-%d"),
        pd.date_range("2020-01-01", periods=60, freq="MS").strftime("%Y-%m-%d"),
        pd.date_range("2020-01-01", periods=60, freq="MS").strftime("%Y-%m"),
        pd.bdate_range("2020-01-01", periods=60).strftime("%Y-%m-%d"),
        pd.date_range("2020-01-01T00:30", periods=60, freq="15min").strftime("%Y-%m-%dT%H:%M"),
        pd.date_range("2020-01-01", periods=60, freq="15min").strftime("%H:%M"),
        np.arange(60),
        np.arange(60) * 0.1,
        1.7e9 + 3600 * np.arange(60),
    ],
    ids=[
        "days",
        "months",
        "year-month",
        "working days",
        "quarters of an hour",
        "times of day",
        "numbers",
        "tenths",
        "seconds",
    ],
)
def test_nothing_is_said_of_equal_steps(times: Any) -> None:
    assert doubts(times) == ()


def test_a_holiday_among_working_days_is_a_gap() -> None:
    (said,) = doubts(pd.bdate_range("2020-01-01", periods=60).delete(10).strftime("%Y-%m-%d"))
    assert "1 gap in 't', where 1 step may be missing: the first is of 2 working days after 2020-01-14" in said


def test_gaps_in_numbers_and_hours_are_in_their_units() -> None:
    assert "the first is of 5 after 19, and most steps are 1" in doubts(np.r_[np.arange(20), np.arange(24, 60)])[0]
    hours = pd.date_range("2020-01-01", periods=60, freq="h").delete(range(20, 25)).strftime("%Y-%m-%d %H:%M")
    assert "5 steps may be missing: the first is of 6 hours after 2020-01-01 19:00" in doubts(hours)[0]


def test_steps_of_all_lengths_are_irregular() -> None:
    times = np.cumsum(np.random.default_rng(0).uniform(1, 10, 60)).round(3)
    steps = np.diff(times)
    (said,) = doubts(times)
    assert said == (
        f"s.csv: times in 't' are {steps.min():g} to {steps.max():g} apart; windows take them as equally far apart"
    )


def test_steps_that_are_too_short_are_told() -> None:
    (said,) = doubts(np.sort(np.r_[np.arange(60), 30.25]))
    assert "2 steps of 't' shorter than most, 1: the first is 0.25. Windows take all as equally long" in said
