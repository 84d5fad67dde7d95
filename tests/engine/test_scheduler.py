"""The scheduler: lane groups in threads, whose events come in the order of modelled work."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import pytest
import sweeping
from sweeping import UnfinishedError, config, fixed, lane_trial, mapped, shared_programs, vmapped

from sweeps.config import SweepConfig
from sweeps.engine.device_lanes import DeviceLanes
from sweeps.engine.devices import Policy
from sweeps.engine.orders import Answer, Orders
from sweeps.engine.programs import LaneTrial, Programs
from sweeps.engine.scheduler import Scheduler

SIZES = [8, 53, 20, 8, 20, 53]


def sweep(**changes: Any) -> SweepConfig:
    space = fixed(
        epochs={"type": "int", "low": 1, "high": 9}, batch_size={"type": "categorical", "choices": [8, 20, 53]}
    )
    return config(search_space={**space, **changes.pop("space", {})}, micro_batch=8, **changes)


def trials_in_lanes(programs: Programs, swept: SweepConfig, count: int = 6, **params: Any) -> list[LaneTrial]:
    return [
        lane_trial(programs, swept, number, {"epochs": 1 + number % 3, "batch_size": SIZES[number], **params})
        for number in range(count)
    ]


def events(policy: Policy) -> list[tuple[int, int]]:
    """What ends when, as (trial, epoch), in a scheduler that six trials go through."""
    swept, seen = sweep(), []
    programs = shared_programs(swept, policy)
    waiting = trials_in_lanes(programs, swept)
    epochs = {each.number: each.epochs for each in waiting}
    with Scheduler(policy, programs) as scheduler:
        while True:
            waiting = [each for each in waiting if scheduler.place(each) is None]
            scheduler.start()
            group = scheduler.earliest()
            if group is None:
                return seen
            while not scheduler.is_ready(group, 1):
                pass
            for epoch in scheduler.collect(group).epochs:
                seen.append((epoch.number, epoch.epoch))
                if epoch.epoch == epochs[epoch.number]:
                    scheduler.retire(group, epoch.lane)


@pytest.mark.parametrize("policy", [mapped(3), vmapped(2, groups=2)], ids=["mapped", "vmapped"])
def test_events_come_in_the_order_of_modelled_work_however_long_each_took(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = events(policy)
    advance = DeviceLanes.advance
    for seed in range(3):
        delays = random.Random(seed)

        def late(self: DeviceLanes, orders: Orders, delays: random.Random = delays) -> Answer:
            time.sleep(delays.random() * 0.03)
            return advance(self, orders)

        monkeypatch.setattr(DeviceLanes, "advance", late)
        assert events(policy) == expected


def test_every_trial_goes_through_all_its_epochs() -> None:
    assert sorted(events(mapped(3))) == [(trial, epoch) for trial in range(6) for epoch in range(1, 2 + trial % 3)]


def test_a_trial_finds_no_lane_while_all_are_taken() -> None:
    swept = sweep()
    programs = shared_programs(swept, mapped(1))
    with Scheduler(mapped(2), programs) as scheduler:
        first, second, third = trials_in_lanes(programs, swept, 3)
        assert scheduler.place(first) is not scheduler.place(second)
        assert scheduler.place(third) is None
        assert (scheduler.busy, scheduler.lanes) == (2, 2)


def test_a_trial_finds_no_lane_in_a_group_that_is_advancing() -> None:
    swept = sweep()
    programs = shared_programs(swept, vmapped(2))
    with Scheduler(vmapped(2), programs) as scheduler:
        first, second = trials_in_lanes(programs, swept, 2)
        group = scheduler.place(first)
        assert group is not None
        scheduler.start()
        assert scheduler.place(second) is None
        while not scheduler.is_ready(group, 1):
            pass
        scheduler.collect(group)
        assert scheduler.place(second) is group


def test_trials_of_one_program_share_a_vmapped_group_and_another_gets_its_own() -> None:
    swept = sweep(space={"model.width": {"type": "categorical", "choices": [4, 6]}})
    programs = shared_programs(swept, vmapped(2))
    with Scheduler(vmapped(2), programs) as scheduler:
        narrow, alike, wide = (
            lane_trial(programs, swept, number, {"epochs": 1, "batch_size": 8, "model.width": width})
            for number, width in enumerate([4, 4, 6])
        )
        place = scheduler.place(narrow)
        assert scheduler.place(alike) is place
        elsewhere = scheduler.place(wide)
        assert elsewhere is not None
        assert elsewhere is not place


def test_an_epoch_that_raises_empties_its_group_and_leaves_the_others() -> None:
    swept = sweep(
        model={"use": "sweeping:moody"},
        space={"model.activation": {"type": "categorical", "choices": ["tanh", "unfinished"]}},
    )
    programs = shared_programs(swept, mapped(1))
    with Scheduler(mapped(2), programs) as scheduler:
        places = {
            activation: scheduler.place(
                lane_trial(programs, swept, 0, {"epochs": 1, "batch_size": 8, "model.activation": activation})
            )
            for activation in ("unfinished", "tanh")
        }
        scheduler.start()
        for activation, group in places.items():
            assert group is not None
            while not scheduler.is_ready(group, 1):
                pass
            if activation == "unfinished":
                with pytest.raises(UnfinishedError):
                    scheduler.collect(group)
                assert group.occupied == []
            else:
                assert [epoch.epoch for epoch in scheduler.collect(group).epochs] == [1]
                assert len(group.occupied) == 1


def test_leaving_a_scheduler_stops_an_epoch_between_two_calls() -> None:
    swept = config(dataset={"use": "sweeping:blobs", "rows": 20_000}, search_space=fixed(batch_size=1))
    programs = sweeping.make_programs(swept, mapped(1))
    trial_in_lane = lane_trial(programs, swept, 0, {})
    program = programs.program(trial_in_lane.program_key, sweeping.CPU)
    program.compile()
    slow, whole = threading.Event(), program.epoch

    def one_update(state: Any, values: Any, data: Any, limit: int) -> Any:
        slow.set()
        time.sleep(0.01)
        return whole(state, values, data, 1)

    program.epoch = one_update  # type: ignore[method-assign]
    with Scheduler(mapped(1), programs) as scheduler:
        scheduler.place(trial_in_lane)
        scheduler.start()
        assert slow.wait(10)
        left = time.monotonic()
    assert time.monotonic() - left < 5, "an epoch of 20,000 such calls takes minutes"
