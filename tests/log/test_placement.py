"""Where every trial and lane group stands, by the log alone: whatever order the loop does things in."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from resuming import assert_same_tables, cut, log_of, story
from sweeping import finish, records, small

import sweeps
from sweeps.config import SweepConfig
from sweeps.datasets.loading import Datasets
from sweeps.engine.scheduler import Scheduler
from sweeps.errors import ResultsError
from sweeps.log.jsonl import read_log
from sweeps.log.line import decode, encode
from sweeps.log.placement import FORMAT, LanePlace, Placement
from sweeps.runner import start
from sweeps.runner.loop import Sweep
from sweeps.runner.progress import Progress

RUN: dict[str, Any] = {"kind": "run", "format": FORMAT, "config": "c"}


def asked(number: int, **more: Any) -> dict[str, Any]:
    return {"kind": "ask", "number": number, "params": {}, **more}


def started(number: int, group: int, lane: int = 0, virtual_time: float = 0.0) -> dict[str, Any]:
    where = {"group": group, "lane": lane, "virtual_time": virtual_time}
    return {"kind": "start", "number": number, "attempt": 1, **where}


def set_out(*groups: tuple[int, float]) -> dict[str, Any]:
    return {"kind": "set_out", "groups": [list(each) for each in groups]}


def epoch(number: int, virtual_time: float, kind: str = "epoch") -> dict[str, Any]:
    return {"kind": kind, "number": number, "attempt": 1, "epoch": 1, "virtual_time": virtual_time}


TWO_GROUPS = [RUN, *map(asked, range(3)), started(0, 0), started(1, 0, 1), started(2, 1)]


# ---- the fold --------------------------------------------------------------------------------------------------------


def test_a_set_out_record_alone_says_that_a_group_has_set_out_and_for_when() -> None:
    assert Placement(TWO_GROUPS).awaited == {}
    assert Placement([*TWO_GROUPS, asked(3, ahead=True)]).awaited == {}
    placement = Placement([*TWO_GROUPS, set_out((1, 7.0))])
    assert (placement.awaited, placement.virtual_times) == ({1: {2}}, {0: 0.0, 1: 7.0})
    placement = Placement([*TWO_GROUPS, set_out((1, 7.0)), epoch(2, 7.0)])
    assert (placement.awaited, placement.now) == ({}, 7.0), "group 0 has not set out, though an epoch came back"


def test_trials_of_a_group_whose_epoch_has_not_come_back_are_awaited() -> None:
    placement = Placement([*TWO_GROUPS, set_out((0, 5.0), (1, 7.0)), epoch(0, 5.0)])
    assert placement.awaited == {0: {1}, 1: {2}}
    assert placement.virtual_times == {0: 5.0, 1: 7.0}
    placement.add(started(3, 0, 0, 5.0))
    assert placement.awaited == {0: {1}, 1: {2}}, "a trial that comes while others are awaited is not"


@pytest.mark.parametrize("kind", ["outcome", "retry"])
def test_a_trial_that_ends_without_an_epoch_is_not_awaited_any_more(kind: str) -> None:
    placement = Placement([*TWO_GROUPS, set_out((0, 5.0), (1, 7.0)), epoch(1, 5.0, kind)])
    assert placement.awaited == {0: {0}, 1: {2}}
    assert placement.places == {0: LanePlace(0, 0), 2: LanePlace(1, 0)}
    assert placement.ready == ([1] if kind == "retry" else [])


def test_a_trial_that_goes_on_in_another_lane_is_awaited_there_alone() -> None:
    moved = {**started(1, 1, 1, 9.0), "kind": "resume"}
    placement = Placement([*TWO_GROUPS, set_out((0, 5.0), (1, 7.0)), RUN, moved])
    assert placement.awaited == {0: {0}, 1: {2}}
    assert placement.places[1] == LanePlace(1, 1)


def test_a_run_with_another_config_awaits_nothing() -> None:
    placement = Placement([*TWO_GROUPS, set_out((0, 5.0)), {**RUN, "config": "other"}])
    assert (placement.awaited, placement.places, placement.ready) == ({}, {}, [0, 1, 2])


# ---- logs of format 1 ------------------------------------------------------------------------------------------------


def test_in_format_1_all_groups_had_set_out_when_a_trial_is_asked_for_ahead_or_an_epoch_comes_back() -> None:
    old = [{"kind": "run", "config": "c"}, *TWO_GROUPS[1:]]
    assert Placement(old).awaited == {}
    ahead = Placement([*old, asked(3, ahead=True)])
    assert (ahead.awaited, ahead.unsaid) == ({0: {0, 1}, 1: {2}}, {0, 1})
    back = Placement([*old, epoch(0, 5.0)])
    assert (back.awaited, back.unsaid, back.virtual_times) == ({0: {1}, 1: {2}}, {1}, {0: 5.0, 1: 0.0})
    whole = Placement([*old, epoch(0, 5.0), epoch(1, 5.0)])
    assert whole.awaited == {1: {2}}, "group 0 rests until something says that it does not"


def test_a_run_of_this_version_after_one_of_format_1_needs_a_record_again() -> None:
    old = [{"kind": "run", "config": "c"}, *TWO_GROUPS[1:], RUN]
    assert Placement([*old, asked(3, ahead=True)]).awaited == {}


def as_format_1(results: Path) -> None:
    """Make a log what a version before format 2 would have written."""
    decoded = [decode(line) for line in log_of(results).read_bytes().splitlines()]
    kept = [record for record in decoded if isinstance(record, dict) and record["kind"] != "set_out"]
    for record in kept:
        record.pop("format", None)
    log_of(results).write_bytes(b"".join(map(encode, kept)))


def sweep() -> SweepConfig:
    space = {
        "epochs": {"type": "int", "low": 1, "high": 6},
        "batch_size": {"type": "categorical", "choices": [8, 20, 53]},
        "learning_rate": {"type": "float", "low": 1e-3, "high": 1.0, "log": True},
    }
    tuned = {"sampler": {"use": "tpe", "n_startup_trials": 2}, "pruner": {"use": "hyperband", "reduction_factor": 2}}
    return small(search_space=space, lanes=4, budget={"trials": 7}, **tuned)


def told(results: Path) -> list[dict[str, Any]]:
    return [record for record in story(results) if record["kind"] != "set_out"]


def test_a_log_of_format_1_that_was_cut_off_goes_on_to_the_same_end(tmp_path: Path) -> None:
    finish(sweep(), tmp_path / "whole")
    as_format_1(tmp_path / "whole")
    whole = sweeps.load(tmp_path / "whole" / "small")
    for kept in range(2, len(log_of(tmp_path / "whole").read_bytes().splitlines()), 7):
        cut(tmp_path / "whole", tmp_path / "cut", kept)
        assert_same_tables(finish(sweep(), tmp_path / "cut"), whole)
        assert told(tmp_path / "cut") == told(tmp_path / "whole"), f"after {kept} records"


def test_a_log_of_a_later_format_is_refused_in_one_line_and_stays_as_it_is(tmp_path: Path) -> None:
    finish(small(budget={"trials": 2}), tmp_path)
    assert [record["format"] for record in records(tmp_path, "run")] == [FORMAT]
    log = log_of(tmp_path)
    log.write_bytes(log.read_bytes() + encode({**RUN, "time": "2026-11-29", "format": FORMAT + 1}))
    before = log.read_bytes()
    with pytest.raises(ResultsError, match=r"^a later version of this package .* \(format 4, .* knows 3\)\. Continue"):
        list(start.follow(small(budget={"trials": 4}), tmp_path, Datasets()))
    assert log.read_bytes() == before
    assert len(sweeps.load(tmp_path / "small").trials) == 2, "it can be read"


# ---- a loop in any order ---------------------------------------------------------------------------------------------

STEPS = ("fill", "set out", "ask ahead")


def in_order(order: Sequence[str], settled_a_round: int) -> Any:
    """The loop with its steps in this order, and several groups dealt with before the next round."""

    def train(self: Sweep, scheduler: Scheduler) -> Iterator[Progress]:
        steps = {
            "fill": lambda: self._fill(scheduler),
            "set out": lambda: self._recorder.set_out(scheduler.start()),
            "ask ahead": self._ask_ahead,
        }
        while self._asked < (self._total or 0) or self._ready or scheduler.busy:
            for step in order:
                steps[step]()
                check(scheduler, self)
            for _ in range(settled_a_round):
                group = scheduler.earliest()
                if group is not None:
                    while not scheduler.is_ready(group, 1):
                        pass
                    self._settle(scheduler, group)
                    check(scheduler, self)
            yield self._progress(scheduler)

    return train


def standing(scheduler: Scheduler) -> dict[int, tuple[float, set[int]]]:
    """Of each lane group with trials, its virtual time, and the trials whose epoch is under way."""
    found = {}
    for group in scheduler.groups:
        if group.occupied:
            numbers = {each.number for each in group.occupied} if group.index in scheduler._advancing else set()
            found[group.index] = group.virtual_time, numbers
    return found


def by_the_log(folded: Placement) -> dict[int, tuple[float, set[int]]]:
    groups = {place.group for place in folded.places.values()}
    return {group: (folded.virtual_times[group], folded.awaited.get(group, set())) for group in groups}


seen: list[tuple[dict[int, Any], dict[int, Any], dict[int, Any]]] = []


def check(scheduler: Scheduler, running: Sweep) -> None:
    """Take note of what the scheduler, the log, and the log without `set_out` records say."""
    running._journal.sync()
    log = read_log(running._folder.log).records
    old = Placement({**record, "format": 1} for record in log if record["kind"] != "set_out")
    seen.append((standing(scheduler), by_the_log(Placement(log)), by_the_log(old)))


@pytest.mark.parametrize("settled_a_round", [1, 2])
@pytest.mark.parametrize("order", list(itertools.permutations(STEPS)), ids="-".join)
def test_the_log_says_where_everything_stands_whatever_the_order_of_the_loop(
    order: Sequence[str], settled_a_round: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sweep, "_train", in_order(order, settled_a_round))
    seen.clear()
    results = finish(sweep(), tmp_path)
    assert len(results.trials) == 7
    assert len(seen) > 20
    for truth, folded, _ in seen:
        assert folded == truth
    assert any(old != truth for truth, _, old in seen), "the order of other records does not say it"
