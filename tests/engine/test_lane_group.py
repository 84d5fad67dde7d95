"""The host side of a lane group: trials are admitted and retired between epochs, and orders say so to the device."""

from __future__ import annotations

import ast

import numpy as np
import pytest
import sweeping
from sweeping import config, fixed, lane_trial, shared_programs, vmapped
from test_layers import FILES, place_at

from sweeps.engine.lane_group import LaneGroup
from sweeps.engine.orders import LaneEpoch
from sweeps.engine.programs import LaneTrial
from sweeps.engine.restore import Past

LANES = 3


@pytest.fixture
def group() -> LaneGroup:
    return LaneGroup(0, sweeping.CPU, LANES)


@pytest.fixture
def trials() -> list[LaneTrial]:
    space = fixed(epochs=3, batch_size={"type": "categorical", "choices": [8, 20, 53]})
    swept = config(search_space=space, micro_batch=8)
    programs = shared_programs(swept, vmapped(LANES))
    return [lane_trial(programs, swept, number, {"batch_size": size}) for number, size in enumerate([8, 53, 20, 8])]


def other_program() -> LaneTrial:
    swept = config(model={"use": "sweeping:curved", "width": 7}, search_space=fixed())
    return lane_trial(sweeping.make_programs(swept, vmapped(LANES)), swept, 9, {})


def ended(lane: int, number: int, epoch: int) -> LaneEpoch:
    return LaneEpoch(lane, number, epoch, np.zeros(3, np.float32), 0.1)


def test_a_trial_takes_the_first_free_lane(group: LaneGroup, trials: list[LaneTrial]) -> None:
    assert [group.admit(trial, LANES) for trial in trials[:3]] == [0, 1, 2]
    group.retire(1)
    assert group.admit(trials[3], LANES) == 1
    assert [trial.number for trial in group.occupied] == [0, 3, 2]
    assert (group.lane_of(3), group.lane_of(1)) == (1, None)


def test_there_is_room_while_a_lane_is_free(group: LaneGroup, trials: list[LaneTrial]) -> None:
    for trial in trials[:3]:
        assert group.has_room(trial)
        group.admit(trial, LANES)
    assert not group.has_room(trials[3])


def test_there_is_room_for_another_program_only_once_every_lane_is_free(
    group: LaneGroup, trials: list[LaneTrial]
) -> None:
    other = other_program()
    lane = group.admit(trials[0], LANES)
    assert not group.has_room(other)
    group.retire(lane)
    assert group.has_room(other)


def test_a_group_that_takes_up_a_program_of_fewer_lanes_has_so_many(group: LaneGroup, trials: list[LaneTrial]) -> None:
    group.admit(trials[0], LANES)
    group.retire(0)
    assert group.has_free(1, other_program().program_key, 2)
    assert not group.has_free(2, other_program().program_key, 2)
    assert group.admit(other_program(), 2, None, 1) == 1
    assert len(group.lanes) == group.lane_count == 2
    assert group.has_free(0, other_program().program_key, 2)
    assert not group.has_free(1, other_program().program_key, 2)


def test_the_virtual_time_of_an_epoch_is_that_of_its_most_expensive_lane(
    group: LaneGroup, trials: list[LaneTrial]
) -> None:
    cheap, dear = sorted(trials[:2], key=lambda trial: trial.cost)
    assert cheap.cost < dear.cost
    group.admit(cheap, LANES)
    assert group.next_virtual_time() == cheap.cost
    group.admit(dear, LANES)
    assert group.next_virtual_time() == dear.cost


def test_orders_say_once_what_was_decided_and_await_the_next_epoch_of_every_trial(
    group: LaneGroup, trials: list[LaneTrial]
) -> None:
    past = Past(5, {}, None)
    group.admit(trials[0], LANES)
    group.admit(trials[1], LANES, past)
    first = group.take_orders(1.5)
    assert [(each.lane, each.trial.number, each.past) for each in first.admitted] == [(0, 0, None), (1, 1, past)]
    assert (first.lane_count, first.awaited, first.snapshots_after_s) == (LANES, {0: 1, 1: 6}, 1.5)
    group.count([ended(0, 0, 1), ended(1, 1, 6)])
    group.retire(0)
    second = group.take_orders(0.0)
    assert (second.retired, second.admitted, second.awaited) == ((0,), (), {1: 7})


def test_a_trial_that_left_before_any_orders_is_in_none(group: LaneGroup, trials: list[LaneTrial]) -> None:
    group.admit(trials[0], LANES)
    group.admit(trials[1], LANES)
    group.retire(1)
    group.admit(trials[2], LANES)
    assert [(each.lane, each.trial.number) for each in group.take_orders(0.0).admitted] == [(0, 0), (1, 2)]


def test_only_the_awaited_lanes_are_in_the_orders_and_all_are_again_afterwards(
    group: LaneGroup, trials: list[LaneTrial]
) -> None:
    for trial in trials[:3]:
        group.admit(trial, LANES)
    group.awaited = [1]
    assert group.take_orders(0.0).awaited == {1: 1}
    group.count([ended(1, 1, 1)])
    assert group.take_orders(0.0).awaited == {0: 1, 1: 2, 2: 1}


# ---- one writer ------------------------------------------------------------------------------------------------------

FIELDS = {"virtual_time", "awaited", "epochs", "lanes", "lane_count"}
CHANGES = {"admit", "take_orders", "count", "clear"}


def changes(source: str) -> list[str]:
    """What a source does to a value called `group` that changes it."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "group":
            is_written = isinstance(node.ctx, ast.Store) and node.attr in FIELDS
            found += [node.attr] if is_written or node.attr in CHANGES else []
    return found


def test_the_scheduler_alone_changes_a_lane_group() -> None:
    writers = {place_at(path) for path in FILES if changes(path.read_text(encoding="utf-8"))}
    assert writers == {("engine", "scheduler")}


def test_a_change_of_a_lane_group_is_noticed() -> None:
    assert changes("group.virtual_time = 3") == ["virtual_time"]
    assert changes("group.awaited: Any = None") == ["awaited"]
    assert changes("x = group.virtual_time") == []
