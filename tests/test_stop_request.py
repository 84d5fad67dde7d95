"""A run that is asked to stop: what it still does, what it leaves, and how the next run goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sweeping import finish, records, small, timeless

import sweeps
from sweeps import stop_request
from sweeps.config import SweepConfig
from sweeps.datasets.loading import Datasets
from sweeps.engine import checkpoints
from sweeps.log.jsonl import read_log
from sweeps.runner import start
from sweeps.runner.progress import Progress
from sweeps.stop_request import StopRequest


def follow(swept: SweepConfig, results: Path, request: StopRequest) -> Iterator[Progress]:
    return start.follow(swept, results, Datasets(), request=request)


def test_epochs_under_way_are_recorded_or_kept_in_checkpoints_and_no_other_begins(tmp_path: Path) -> None:
    swept, request = small(budget={"trials": 40}, lanes=4), StopRequest()
    for progress in follow(swept, tmp_path, request):
        if progress.done == 3:
            request.make("SIGTERM")
    assert progress.is_stopped
    log = read_log(tmp_path / "small" / "log").records
    assert (log[-1]["kind"], log[-1]["reason"]) == ("stop", "SIGTERM")
    results = sweeps.load(tmp_path / "small")
    running = set(results.trials.loc[results.trials["state"] == "RUNNING", "number"])
    recorded = results.history.groupby("number")["epoch"].max()
    kept = {each.number: each.epoch for each in checkpoints.kept(tmp_path / "small" / "checkpoints")}
    assert kept.keys() <= running
    assert kept.keys() >= running & set(recorded.index), "every trial that has an epoch can go on after it"
    assert all(epoch - recorded.get(number, 0) in {0, 1} for number, epoch in kept.items())
    assert records(tmp_path, "test") == []
    assert records(tmp_path, "finish") == []


def test_a_run_that_was_stopped_and_continued_ends_with_the_tables_of_a_whole_one(tmp_path: Path) -> None:
    swept = small(budget={"trials": 12}, lanes=4)
    whole = finish(swept, tmp_path / "whole")
    for stops in (2, 7):
        request = StopRequest()
        for progress in follow(swept, tmp_path / "cut", request):
            if progress.done >= stops:
                request.make("SIGUSR1")
        assert progress.is_stopped
        rows = pd.read_parquet(tmp_path / "cut" / "small" / "trials.parquet")
        pd.testing.assert_frame_equal(rows, sweeps.load(tmp_path / "cut" / "small").trials)
    continued = finish(swept, tmp_path / "cut")
    pd.testing.assert_frame_equal(timeless(continued.trials), timeless(whole.trials))
    pd.testing.assert_frame_equal(timeless(continued.history), timeless(whole.history))


def test_a_run_that_is_to_stop_before_it_begins_begins_nothing(tmp_path: Path) -> None:
    (progress,) = follow(small(), tmp_path, StopRequest(after_minutes=0))
    assert progress.is_stopped
    assert sweeps.load(tmp_path / "small").trials.empty
    assert records(tmp_path, "stop")[0]["reason"] == "its 0 minutes are over"


def test_a_sweep_whose_last_epochs_were_under_way_is_complete(tmp_path: Path) -> None:
    space = {"epochs": 1, "batch_size": 8, "learning_rate": 0.01}
    request = StopRequest()
    for progress in follow(small(search_space=space, budget={"trials": 2}), tmp_path, request):
        if progress.busy == 2:
            request.make("SIGINT")
    assert not progress.is_stopped
    assert sweeps.load(tmp_path / "small").trials["outcome"].tolist() == ["completed"] * 2
    assert len(records(tmp_path, "finish")) == len(records(tmp_path, "test")) == 1


def test_a_complete_sweep_has_nothing_to_stop(tmp_path: Path) -> None:
    finish(small(budget={"trials": 2}), tmp_path)
    assert list(follow(small(budget={"trials": 2}), tmp_path, StopRequest(after_minutes=0))) == []


@pytest.mark.usefixtures("compiling_anew")
def test_an_epoch_that_takes_too_long_is_given_up_when_the_grace_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeps.stop_request.GRACE_S", 0.5)
    endless = small(  # a million updates of a quarter of a million parameters, in calls of about one second
        dataset={"use": "linear_regression", "rows": 1_000_000},
        model={"use": "models.mlp:MLP", "hidden": [512, 512]},
        search_space={"epochs": 5, "batch_size": 1, "learning_rate": 1e-6},
    )
    request, made = StopRequest(), np.inf
    for progress in follow(endless, tmp_path, request):
        if progress.busy == 2 and progress.compilations and not request.reason:
            request.make("SIGTERM")
            made = time.monotonic()
    assert time.monotonic() - made < 10
    assert progress.is_stopped
    assert records(tmp_path, "epoch") == []


def test_the_first_reason_stands_and_time_is_a_reason_too() -> None:
    request = StopRequest(after_minutes=0.0005)
    assert (request.reason, request.is_overdue) == ("", False)
    time.sleep(0.05)
    assert request.reason == "its 0.0005 minutes are over"
    request.make("SIGTERM")
    assert request.reason == "its 0.0005 minutes are over"
    assert not request.is_overdue


def test_reading_a_request_makes_none_and_its_grace_counts_from_when_the_minutes_were_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr("sweeps.stop_request.time.monotonic", lambda: now[0])
    request, unread = StopRequest(after_minutes=1), StopRequest(after_minutes=1)
    now[0] += 60 + stop_request.GRACE_S - 0.5
    assert (request.reason, request.is_overdue) == ("its 1 minutes are over", False)
    now[0] += 1
    assert request.is_overdue
    assert unread.is_overdue, "it is what it would be had anything looked at it"


def test_only_a_request_that_was_made_can_be_hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("sweeps.stop_request.time.monotonic", lambda: now[0])
    request = StopRequest(after_minutes=1)
    request.hurry()
    now[0] += 61
    assert (bool(request.reason), request.is_overdue) == (True, False)
    request.hurry()
    assert request.is_overdue
