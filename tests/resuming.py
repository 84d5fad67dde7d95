"""A sweep's folder as a crash may leave it, and whether a sweep that goes on from there is the same sweep."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console
from sweeping import finish, records, timeless

import sweeps
from sweeps.command import replay as command_replay
from sweeps.config import SweepConfig
from sweeps.engine import checkpoints
from sweeps.log.jsonl import read_log

OF_A_RUN = {"run", "resume", "stop", "finish", "best", "test"}
PASSING = {"time", "elapsed", "seconds", "worker"}


def story(results: Path) -> list[dict[str, Any]]:
    """Everything that happened to trials, in the log's order, without times and without what a run says of itself."""
    happened = [record for record in read_log(results / "small" / "log").records if record["kind"] not in OF_A_RUN]
    return [{key: value for key, value in record.items() if key not in PASSING} for record in happened]


def log_of(results: Path) -> Path:
    return results / "small" / "log" / "worker-0.jsonl"


def cut(whole: Path, results: Path, kept: int, *, leaving: tuple[str, ...] = ("checkpoints", "best")) -> None:
    """A copy of a sweep's folder as a crash may leave it: so many records of the log, and these folders."""
    shutil.rmtree(results, ignore_errors=True)
    (results / "small" / "log").mkdir(parents=True)
    for name in leaving:
        if (whole / "small" / name).exists():
            shutil.copytree(whole / "small" / name, results / "small" / name)
    log_of(results).write_bytes(b"".join(log_of(whole).read_bytes().splitlines(keepends=True)[:kept]))


def assert_same_tables(left: sweeps.Results, right: sweeps.Results, *but: str, **tolerance: float) -> None:
    for table in ("trials", "history"):
        a, b = timeless(getattr(left, table), *but), timeless(getattr(right, table), *but)
        pd.testing.assert_frame_equal(a, b, **(tolerance or {"check_exact": True}))


def assert_goes_on_alike_from(
    swept: SweepConfig, whole: Path, kept: int, results: Path, **how: Any
) -> list[dict[str, Any]]:
    """Cut the log after `kept` records, run the sweep to its end, and compare; the records of trials that went on."""
    cut(whole, results, kept, **how)
    assert_same_tables(finish(swept, results), sweeps.load(whole / "small"))
    assert story(results) == story(whole), f"after {kept} records"
    assert not (results / "small" / "checkpoints").exists()
    return records(results, "resume")


def keep_at_once(self: checkpoints.Checkpoints, group: int, snapshots: Any) -> None:
    """In place of `Checkpoints.keep`: it waits until they are written."""
    self._pool.submit(self._keep, group, snapshots).result()


def hoard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints are written whenever they are due, and none is removed until the patch is undone."""
    monkeypatch.setattr(checkpoints, "MOST_TIME", 1e9)
    monkeypatch.setattr(checkpoints, "_remove", lambda path: None)
    # The next epoch waits until this one's lanes are on the disk.
    monkeypatch.setattr(checkpoints.Checkpoints, "keep", keep_at_once)


class Said:
    """What the command prints, and whether the trial is the same."""

    def __init__(self, folder: Path, number: int, **how: bool) -> None:
        console = Console(width=80, highlight=False, force_terminal=False)
        with console.capture() as captured:
            self.is_same = command_replay.command(console, folder, number, **how)
        self.text = captured.get()
        self.last = self.text.splitlines()[-1]
