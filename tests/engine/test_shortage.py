"""Want of memory: lanes are halved, trials start over with the same results, and the other trials never notice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import pandas as pd
import pytest
import tolerances
from sweeping import config, finish, mapped, records, small, timeless, use_policy, vmapped

import sweeps
from sweeps.engine.devices import Policy
from sweeps.engine.memory import Share, check_memory
from sweeps.engine.program import Program
from sweeps.log.jsonl import read_log

POLICIES = {"mapped": mapped(4), "vmapped": vmapped(4, groups=2)}
LEARNING = {"search_space": {"epochs": 3, "batch_size": 8, "learning_rate": 0.01}}


def shortage() -> jax.errors.JaxRuntimeError:
    return jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes.\nand more")


@pytest.fixture(params=POLICIES)
def policy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Policy:
    return used(POLICIES[request.param], monkeypatch)


def used(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> Policy:
    """Makes sweeps use a policy."""
    use_policy(monkeypatch, lambda _: policy)
    return policy


def failing(monkeypatch: pytest.MonkeyPatch, fails: Callable[[Program, int], bool], name: str = "epoch") -> None:
    """Programs run out of memory in every call for which `fails(program, calls before)` holds."""
    whole, calls = getattr(Program, name), iter(range(10**9))

    def call(self: Program, *arguments: Any) -> Any:
        if fails(self, next(calls)):
            raise shortage()
        return whole(self, *arguments)

    monkeypatch.setattr(Program, name, call)


def assert_same_tables(left: sweeps.Results, right: sweeps.Results, tolerance: dict[str, float]) -> None:
    # Trials that start over end later: the history is in the order of the trials, like the other table.
    for table in ("trials", "history"):
        pd.testing.assert_frame_equal(
            timeless(getattr(left, table), "attempt", "device"),
            timeless(getattr(right, table), "attempt", "device"),
            **tolerance,
        )


def test_one_shortage_costs_the_trials_in_its_lanes_an_attempt_and_changes_no_result(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = finish(small(), tmp_path / "undisturbed")
    failing(monkeypatch, lambda _, calls: calls == 6)
    found = finish(small(), tmp_path / "short")
    assert found.trials["outcome"].tolist() == ["completed"] * 8
    again = int((found.trials["attempt"] == 2).sum())
    assert 1 <= again <= (policy.lanes_per_group or 1)
    assert found.trials["attempt"].max() == 2
    assert_same_tables(found, expected, tolerances.EXACT if policy.is_mapped else tolerances.TRAINED)


def test_a_compilation_that_runs_out_of_memory_is_tried_again(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, lambda _, calls: calls == 0, "_compile")
    found = finish(small(), tmp_path)
    assert found.trials["outcome"].tolist() == ["completed"] * 8
    assert found.trials["attempt"].max() == 2


@pytest.mark.parametrize("method", ["compile", "init", "epoch"])
def test_lanes_are_halved_until_they_fit_and_the_size_is_remembered(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used(vmapped(5), monkeypatch)
    tried: list[int] = []

    def fails(program: Program, _: int) -> bool:
        assert program.lane_count is not None
        tried.append(program.lane_count)
        return program.lane_count > 1

    expected = finish(small(micro_batch=8), tmp_path / "undisturbed")
    failing(monkeypatch, fails, method)
    found = finish(small(micro_batch=8), tmp_path / "short")
    assert_same_tables(found, expected, tolerances.TRAINED)
    assert list(dict.fromkeys(tried)) == [5, 2, 1]
    assert tried == sorted(tried, reverse=True)
    assert found.trials["attempt"].tolist() == [3, 3, 2, 2, 2, 1, 1, 1]


def test_other_programs_keep_their_lanes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used(vmapped(4), monkeypatch)
    widths = {"model.width": {"type": "categorical", "choices": [4, 6]}}
    swept = config(search_space={**small().search_space, **widths}, enqueue=[{"model.width": 4}, {"model.width": 6}])
    lanes: dict[int, set[int | None]] = {4: set(), 6: set()}

    def fails(program: Program, _: int) -> bool:
        width = program.lane.model.shapes.params["hidden"].shape[1]
        lanes[width].add(program.lane_count)
        return width == 4 and program.lane_count == 4

    failing(monkeypatch, fails)
    assert set(finish(swept, tmp_path).trials["outcome"]) == {"completed"}
    assert lanes == {4: {4, 2}, 6: {4}}


def test_a_trial_that_does_not_fit_alone_ends_out_of_memory_with_the_reason(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, lambda *_: True)
    trials = finish(small(**LEARNING), tmp_path).trials
    assert trials["outcome"].tolist() == ["out_of_memory"] * 8
    assert trials["state"].tolist() == ["FAIL"] * 8
    assert all(reason.startswith("JaxRuntimeError: RESOURCE_EXHAUSTED: Out of mem") for reason in trials["reason"])
    assert all("\n" not in reason for reason in trials["reason"])
    assert trials["value"].isna().all()
    assert records(tmp_path, "epoch") == []


def test_mapped_lanes_advance_in_half_the_number_after_a_shortage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used(mapped(4, threads=4), monkeypatch)
    failing(monkeypatch, lambda _, calls: calls == 4)
    begun, at_once, busiest = set(), [], 0
    finish(small(budget={"trials": 16}), tmp_path)
    for record in sorted(read_log(tmp_path / "small" / "log").records, key=lambda each: each["time"]):
        if record["kind"] == "start":
            begun.add(record["number"])
            busiest = max(busiest, len(begun))
            at_once.append(len(begun))
        elif record["kind"] == "outcome":
            begun.discard(record["number"])
    assert busiest == 4
    assert set(at_once[-8:]) <= {1, 2}


def test_lanes_that_memory_does_not_hold_are_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed, ran = [], set()

    def look(analysis: Any, lanes: int, share: Share) -> None:
        needed.append(analysis.argument_size_in_bytes + analysis.temp_size_in_bytes)
        check_memory(analysis, lanes, share)

    monkeypatch.setattr("sweeps.engine.program.check_memory", look)
    failing(monkeypatch, lambda program, _: bool(ran.add(program.lane_count)))
    swept, six = small(micro_batch=8), vmapped(6)
    used(six._replace(memory_bytes=2**40), monkeypatch)
    expected = finish(swept, tmp_path / "roomy")
    assert ran == {6}
    ran.clear()
    used(six._replace(memory_bytes=int((needed[0] - 1) / 0.8)), monkeypatch)
    found = finish(swept, tmp_path / "tight")
    assert ran == {5}
    first, too_much, fitting = needed
    assert first == too_much > fitting
    assert found.trials["attempt"].tolist() == [1] * 8, "nothing had begun"
    assert_same_tables(found, expected, tolerances.TRAINED)


def test_an_error_of_another_kind_is_not_tried_again(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(self: Program, *_: Any) -> Any:
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    monkeypatch.setattr(Program, "epoch", call)
    trials = finish(small(budget={"trials": 2}), tmp_path).trials
    assert trials["outcome"].tolist() == ["failed", "failed"]
    assert trials["attempt"].tolist() == [1, 1]
