"""Device memory: counted by hand, and asked of XLA."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import pytest
import sweeping
from hypothesis import given
from hypothesis import strategies as st
from sweeping import config, fixed, lane_trial, vmapped

from sweeps.engine.memory import (
    LaneBytes,
    Share,
    TooManyLanesError,
    check_memory,
    fewer_lanes,
    is_out_of_memory,
    most_lanes,
)

pytestmark = pytest.mark.usefixtures("ordinary_promotion")


def analysis(lanes: int, *, rows: int, state: int, temporary: int) -> Any:
    """What XLA says of a program whose every lane takes `state` and, for the time of a call, `temporary` bytes."""
    return SimpleNamespace(
        argument_size_in_bytes=rows + lanes * state,
        output_size_in_bytes=lanes * state,
        alias_size_in_bytes=lanes * state,
        temp_size_in_bytes=lanes * temporary,
    )


def test_what_a_lane_holds_is_what_its_arrays_take() -> None:
    swept = config(optimizer={"use": "adam"}, search_space=fixed())
    programs = sweeping.make_programs(swept, vmapped(3))
    trial_in_lane = lane_trial(programs, swept, 0, {})
    program = programs.program(trial_in_lane.program_key, sweeping.CPU)
    program.compile()
    state = program.init(sweeping.lane_values([trial_in_lane] * 3))
    taken = [
        sum(leaf.nbytes for leaf in jax.tree.leaves(tree))
        for tree in (state.params, state.optimizer_state, state.model_state)
    ]
    assert [3 * each for each in programs.lane_bytes(trial_in_lane.program_key)] == taken


def test_a_program_that_fits_is_left_alone() -> None:
    # 100 of rows, two lane groups of 4 lanes of 10 each, and 4 x 5 for the one that advances: 200.
    check_memory(analysis(4, rows=100, state=10, temporary=5), 4, Share(device_bytes=250, groups=2))


def test_a_program_that_does_not_fit_is_told_how_many_lanes_would() -> None:
    with pytest.raises(TooManyLanesError) as caught:
        check_memory(analysis(4, rows=100, state=10, temporary=5), 4, Share(device_bytes=249, groups=2))
    assert caught.value.fitting == 3


@given(st.integers(2, 300), st.integers(0, 10**9), st.integers(1, 10**8), st.integers(0, 10**8), st.integers(1, 4))
def test_the_lanes_that_are_said_to_fit_do_fit(lanes: int, rows: int, state: int, temporary: int, shared: int) -> None:
    share = Share(device_bytes=8 * 10**9, groups=shared)

    def fitting(wanted: int) -> int:
        try:
            check_memory(analysis(wanted, rows=rows, state=state, temporary=temporary), wanted, share)
        except TooManyLanesError as error:
            return error.fitting
        return wanted

    fewer = fitting(lanes)
    assert 1 <= fewer <= lanes
    assert fitting(fewer) == fewer


def test_a_single_lane_is_tried_in_any_case() -> None:
    check_memory(analysis(1, rows=100, state=10, temporary=5), 1, Share(device_bytes=1, groups=1))


def test_a_backend_that_says_nothing_of_memory_is_believed() -> None:
    check_memory(None, 64, Share(device_bytes=1, groups=1))


def test_xla_says_of_a_real_program_that_its_state_is_shared_between_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []
    monkeypatch.setattr("sweeps.engine.program.check_memory", lambda analysis, *_: said.append(analysis))
    swept, policy = config(search_space=fixed()), vmapped(8)._replace(memory_bytes=2**40)
    programs = sweeping.make_programs(swept, policy)
    trial_in_lane = lane_trial(programs, swept, 0, {})
    programs.program(trial_in_lane.program_key, sweeping.CPU).compile()
    assert said[0].alias_size_in_bytes >= 8 * programs.lane_bytes(trial_in_lane.program_key).total
    rows = sweeping.blobs().train
    assert said[0].argument_size_in_bytes >= said[0].alias_size_in_bytes + rows.x.nbytes + rows.y.nbytes


@pytest.mark.parametrize(("state", "lanes"), [(1, 26_666), (10**5, 1), (100, 266)])
def test_shapes_alone_bound_the_lanes(state: int, lanes: int) -> None:
    # Two lane groups' states, the next state of one, and a gradient, which are as large as the parameters: 3 of state.
    assert most_lanes(LaneBytes(0, state), Share(device_bytes=100_000, groups=2)) == lanes


def test_an_array_larger_than_the_machine_is_out_of_memory() -> None:
    with pytest.raises(jax.errors.JaxRuntimeError) as caught:
        jax.block_until_ready(jnp.zeros(2**46, jnp.float32))
    assert is_out_of_memory(caught.value)
    assert fewer_lanes(caught.value, 6) == 3
    assert fewer_lanes(caught.value, 1) is None


@pytest.mark.parametrize(
    "error", [ValueError("out of memory"), jax.errors.JaxRuntimeError("INVALID_ARGUMENT: shapes do not match")]
)
def test_any_other_error_is_not(error: Exception) -> None:
    assert not is_out_of_memory(error)
    assert fewer_lanes(error, 6) is None
