"""How long trials and runs took, from logs whose time of day jumps."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from sweeps.log.trials import LoggedTrials
from sweeps.results.columns import TableShape, trial_columns
from sweeps.runner.earlier_runs import EarlierRuns

SHAPE = TableShape((), (), "valid_loss", "minimize")


def record(kind: str, day: int, elapsed: float | None, **fields: Any) -> dict[str, Any]:
    more = {} if elapsed is None else {"elapsed": elapsed}
    return {"kind": kind, "time": f"2026-01-{day:02}T00:00:00.000000+00:00", "worker": "worker-0", **more, **fields}


def of_trial(kind: str, day: int, elapsed: float | None, **fields: Any) -> dict[str, Any]:
    return record(kind, day, elapsed, number=0, attempt=1, **fields)


def one_trial(*elapsed: float | None) -> list[dict[str, Any]]:
    """A trial in two runs, on a machine whose day goes 9, 2, 30, 3; ten seconds of the second run are another's."""
    begun, epoch, killed, resumed, ended = elapsed
    figures = {"epoch": 1, "train_loss": 1.0, "valid_loss": 1.0, "metrics": {}, "seconds": 0.5}
    return [
        record("run", 9, 0.0 if begun is not None else None),
        of_trial("ask", 9, begun, params={}),
        of_trial("start", 9, begun),
        of_trial("epoch", 2, epoch, **figures),
        record("best", 2, killed, number=7),
        record("run", 30, 0.0 if begun is not None else None),
        of_trial("resume", 30, resumed, epoch=1),
        of_trial("epoch", 3, ended, **{**figures, "epoch": 2}),
        of_trial("outcome", 3, ended, outcome="completed", reason="", value=1.0, epochs=2),
        of_trial("test", 3, 99.0 if ended is not None else None, metrics={}),
    ]


@pytest.mark.parametrize(
    ("elapsed", "took_s", "used_s"),
    [
        ((1.0, 3.5, 60.0, 10.0, 12.0), 2.5 + 2.0, 60.0 + 99.0),
        # By the time of day alone nothing but the order is known: 9 to 3 is no time, and 9 to 2.
        ((None,) * 5, 0.0, 0.0),
    ],
)
def test_a_clock_that_is_set_changes_no_duration(elapsed: tuple[float | None], took_s: float, used_s: float) -> None:
    records = one_trial(*elapsed)
    trials = LoggedTrials(records).trials
    columns = {column.name: column.values for column in trial_columns([trials[0]], SHAPE)}
    assert columns["duration"] == [timedelta(seconds=took_s)]
    assert math.isclose(EarlierRuns(records, trials).seconds_used(), used_s)


def test_time_between_two_runs_is_no_trials_also_where_the_log_has_lost_that_the_second_began() -> None:
    records = [
        each for each in one_trial(1.0, 3.5, 60.0, 10.0, 12.0) if each["time"][8:10] != "30" or each["kind"] != "run"
    ]
    assert LoggedTrials(records).trials[0].took_s == pytest.approx(2.5 + 2.0)


def test_a_pause_is_not_counted_until_the_trial_goes_on_or_ends() -> None:
    figures = {"epoch": 1, "train_loss": 1.0, "valid_loss": 1.0, "metrics": {}, "seconds": 0.5}
    ended = {"outcome": "pruned", "reason": "", "value": 1.0, "epochs": 1}
    paused = [
        record("run", 1, 0.0),
        of_trial("ask", 1, 0.5, params={}),
        of_trial("start", 1, 1.0),
        of_trial("epoch", 1, 3.0, **figures),
        of_trial("pause", 1, 3.0),
    ]
    assert LoggedTrials([*paused, of_trial("outcome", 1, 50.0, **ended)]).trials[0].took_s == pytest.approx(2.0)
    going_on = [
        of_trial("promote", 1, 20.0),
        of_trial("resume", 1, 30.0, epoch=1),
        of_trial("epoch", 1, 34.0, **figures),
    ]
    assert LoggedTrials([*paused, *going_on]).trials[0].took_s == pytest.approx(2.0 + 4.0)
