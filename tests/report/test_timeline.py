"""The clock of a sweep counts the time in which it ran, and the lanes' time adds up."""

from __future__ import annotations

from made_up_sweep import BEGAN, run_record, stamp, trial_records

from sweeps.report.timeline import Timeline


def test_the_pause_between_two_runs_is_not_counted() -> None:
    night = 36_000.0
    first = [run_record(), *trial_records(0, [0.1, 0.2])]
    second = [run_record(seconds=night), *trial_records(1, [0.3], began=night + 2)]
    timeline = Timeline([*first, *second])
    assert timeline.began == BEGAN
    assert timeline.runs == 2
    assert timeline.seconds == 3 + 3
    assert timeline.clock(stamp(2.5)) == 2.5
    assert timeline.clock(stamp(1000.0)) == 3  # in the pause
    assert timeline.clock(stamp(night + 2)) == 3 + 2


def test_the_time_of_the_lanes_adds_up_to_that_of_the_run() -> None:
    # Two lanes: one trains from 1 to 4, one from 2 to 4; each epoch takes a second of training.
    rows = [run_record(), *trial_records(0, [0.1, 0.2, 0.3]), *trial_records(1, [0.1, 0.2], began=2.0, lane=1)]
    spent = Timeline(rows).lane_seconds()
    assert (spent.before, spent.training, spent.idle) == (1 + 2, 3 + 2, 0)
    longer = Timeline([*rows, {"kind": "finish", "time": stamp(5.0)}]).lane_seconds()
    assert longer.idle == 2


def test_a_trial_that_went_on_elsewhere_is_in_the_lane_that_it_had_last() -> None:
    resumed = {"kind": "resume", "time": stamp(9.0), "number": 0, "attempt": 1, "epoch": 1, "group": 3, "lane": 2}
    timeline = Timeline([run_record(), *trial_records(0, [0.1]), resumed])
    assert timeline.lanes == {0: (3, 2)}


def test_a_log_without_times_or_runs_has_no_clock() -> None:
    assert Timeline([]).clock(stamp(1.0)) is None
    damaged = Timeline([{"kind": "run"}, {"kind": "epoch", "number": 0, "time": "soon", "seconds": 1.0}])
    assert (damaged.began, damaged.seconds, damaged.clock("soon")) == (None, 0, None)
