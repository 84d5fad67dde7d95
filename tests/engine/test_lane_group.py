"""A lane group: lanes are admitted and retired between epochs, and advance together."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import sweeping
import tolerances
from sweeping import assert_same, config, fixed, lane_trial, mapped, shared_programs, vmapped

from sweeps.engine.lane_group import LaneGroup
from sweeps.engine.programs import LaneTrial, Programs

pytestmark = pytest.mark.usefixtures("compiling_once")

GOING = threading.Event()
"""Never set: nobody stops these lane groups."""


def made(lanes: int | None, **changes: Any) -> tuple[LaneGroup, Programs, list[LaneTrial]]:
    """An empty lane group, and four trials for it."""
    space = fixed(epochs=3, batch_size={"type": "categorical", "choices": [8, 20, 53]})
    swept = config(search_space=space, micro_batch=8, **changes)
    programs = shared_programs(swept, mapped(1) if lanes is None else vmapped(lanes))
    riders = [lane_trial(programs, swept, number, {"batch_size": size}) for number, size in enumerate([8, 53, 20, 8])]
    return LaneGroup(0, sweeping.CPU, lanes), programs, riders


def admit(group: LaneGroup, programs: Programs, rider: LaneTrial) -> int:
    return group.admit(rider, programs.program(rider.program_key, sweeping.CPU))


def test_a_trial_takes_the_first_free_lane() -> None:
    group, programs, riders = made(3)
    assert [admit(group, programs, rider) for rider in riders[:3]] == [0, 1, 2]
    group.retire(1)
    assert admit(group, programs, riders[3]) == 1
    assert [rider.number for rider in group.occupied] == [0, 3, 2]


def test_there_is_room_while_a_lane_is_free() -> None:
    group, programs, riders = made(2)
    assert group.has_room(riders[0])
    admit(group, programs, riders[0])
    assert group.has_room(riders[1])
    admit(group, programs, riders[1])
    assert not group.has_room(riders[2])


def test_there_is_room_for_another_program_only_once_every_lane_is_free() -> None:
    group, programs, riders = made(2)
    swept = config(model={"use": "sweeping:curved", "width": 7}, search_space=fixed())
    other = lane_trial(sweeping.make_programs(swept, vmapped(2)), swept, 9, {})
    lane = admit(group, programs, riders[0])
    assert not group.has_room(other)
    group.retire(lane)
    assert group.has_room(other)


@pytest.mark.parametrize("lanes", [None, 2])
def test_advancing_takes_every_occupied_lane_through_one_epoch(lanes: int | None) -> None:
    group, programs, riders = made(lanes)
    for rider in riders[: lanes or 1]:
        admit(group, programs, rider)
    for epoch in (1, 2):
        ended = group.advance(GOING)
        assert [(each.lane, each.lane_trial.number, each.epoch) for each in ended] == [
            (lane, lane, epoch) for lane in range(lanes or 1)
        ]
        assert all(np.isfinite(each.scores).all() and each.seconds > 0 for each in ended)


def test_a_new_trial_in_a_lane_starts_from_its_first_epoch_while_its_neighbour_goes_on() -> None:
    group, programs, riders = made(2)
    admit(group, programs, riders[0])
    admit(group, programs, riders[1])
    group.advance(GOING)
    group.retire(0)
    admit(group, programs, riders[2])
    assert [(each.lane_trial.number, each.epoch) for each in group.advance(GOING)] == [(2, 1), (1, 2)]


def test_a_free_lane_is_left_out_of_what_an_epoch_came_to() -> None:
    group, programs, riders = made(2)
    admit(group, programs, riders[0])
    admit(group, programs, riders[1])
    group.advance(GOING)
    group.retire(0)
    assert [each.lane for each in group.advance(GOING)] == [1]


def test_a_population_that_is_to_stop_returns_nothing() -> None:
    group, programs, riders = made(None)
    admit(group, programs, riders[0])
    stop = threading.Event()
    stop.set()
    assert group.advance(stop) == []
    assert group.epochs == [0]


def test_the_parameters_of_a_lane_are_those_of_its_own_trial() -> None:
    group, programs, riders = made(2)
    admit(group, programs, riders[0])
    admit(group, programs, riders[1])
    group.advance(GOING)
    alone, programs_alone, _ = made(None)
    admit(alone, programs_alone, riders[1])
    alone.advance(GOING)
    assert_same(group.params(1), alone.params(0), tolerances.TRAINED)


def test_the_clock_of_an_epoch_is_that_of_its_most_expensive_lane() -> None:
    group, programs, riders = made(2)
    cheap, dear = sorted(riders[:2], key=lambda rider: rider.cost)
    assert cheap.cost < dear.cost
    admit(group, programs, cheap)
    assert group.next_virtual_time() == cheap.cost
    admit(group, programs, dear)
    assert group.next_virtual_time() == dear.cost


def test_a_cleared_population_takes_another_program_and_starts_anew() -> None:
    group, programs, riders = made(2)
    admit(group, programs, riders[0])
    first = group.advance(GOING)
    group.clear()
    assert group.occupied == []
    admit(group, programs, riders[0])
    again = group.advance(GOING)
    assert [each.epoch for each in again] == [1]
    assert_same(again[0].scores, first[0].scores, tolerances.EXACT)
