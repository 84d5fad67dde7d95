"""Whole sweeps in a folder of results: run them, and read what they left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

import sweeps
from sweeps.config import SweepConfig
from sweeps.datasets.loading import Datasets
from sweeps.log.jsonl import read_log
from sweeps.runner import start
from sweeps.runner.progress import Progress

TIMES = ("datetime_start", "datetime_complete", "duration", "train_seconds", "seconds")


def follow(config: SweepConfig, results: Path) -> Iterator[Progress]:
    """A run of a sweep, as the command line pulls at it."""
    return start.follow(config, results, Datasets())


def finish(config: SweepConfig, results: Path) -> sweeps.Results:
    """Run or continue a sweep to its end."""
    for _ in follow(config, results):
        pass
    return sweeps.load(results / config.name)


def records(results: Path, kind: str, name: str = "small") -> list[Any]:
    """The records of one kind in a sweep's log."""
    return [record for record in read_log(results / name / "log").records if record["kind"] == kind]


def timeless(table: pd.DataFrame, *also: str) -> pd.DataFrame:
    """A table without what differs from run to run."""
    return table.drop(columns=[*TIMES, *also], errors="ignore")
