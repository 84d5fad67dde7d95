"""Whole sweeps, from a config to its tables."""

from __future__ import annotations

import inspect
import json
import os
import random
import re
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sweeping
import tolerances
from sweeping import config, finish, follow, records, small, timeless

import sweeps
from sweeps import stop_request
from sweeps.config import SweepConfig, metric_column
from sweeps.datasets.loading import Datasets
from sweeps.engine import scheduler
from sweeps.engine.device_lanes import DeviceLanes
from sweeps.engine.devices import vmapped_policy
from sweeps.engine.orders import Answer, Orders
from sweeps.errors import ResultsError
from sweeps.runner import start
from sweeps.stop_request import StopRequest

RATES = {"type": "float", "low": 1e-3, "high": 1.0, "log": True}
SIZES = {"type": "categorical", "choices": [8, 20, 53]}


def assert_same_tables(left: sweeps.Results, right: sweeps.Results, *but: str) -> None:
    pd.testing.assert_frame_equal(timeless(left.trials, *but), timeless(right.trials, *but))
    pd.testing.assert_frame_equal(timeless(left.history, *but), timeless(right.history, *but))


# ---- what the tables say ---------------------------------------------------------------------------------------------


def test_the_history_counts_iterations_and_examples(tmp_path: Path) -> None:
    swept = small(
        dataset={"use": "sweeping:plane", "rows": 1_050},
        search_space={"epochs": 3, "batch_size": 100, "learning_rate": 0.01},
        budget={"trials": 1},
    )
    results = finish(swept, tmp_path)
    assert results.history["iterations"].tolist() == [11, 22, 33]
    (trial,) = results.trials.to_dict("records")
    assert (trial["epochs_run"], trial["iterations"], trial["examples_seen"]) == (3, 33, 3 * 1_050)


def test_every_trial_of_a_sweep_is_the_trial_of_the_plain_loop(tmp_path: Path) -> None:
    swept = small(budget={"trials": 3})
    results = finish(swept, tmp_path)
    for number, params in enumerate(record["params"] for record in records(tmp_path, "ask")):
        expected = sweeping.refer(swept, number, params).scores
        rows = results.history[results.history["number"] == number]
        np.testing.assert_allclose(rows[["train_loss", "valid_loss"]], expected, **tolerances.TRAINED)
    np.testing.assert_array_equal(results.trials["value"], results.trials["valid_loss"])


def test_a_trial_that_is_not_finite_has_diverged_at_its_epoch_and_its_lane_is_refilled(tmp_path: Path) -> None:
    space = {"epochs": 4, "batch_size": 20, "learning_rate": {"type": "float", "low": 1e-3, "high": 1e30, "log": True}}
    rates = [0.01, 1e30, 0.02, 1e20, 0.03]
    common = {"search_space": space, "lanes": 1}
    swept = small(**common, enqueue=[{"learning_rate": rate} for rate in rates], budget={"trials": 5})
    results = finish(swept, tmp_path)
    assert results.trials["outcome"].tolist() == ["completed", "diverged", "completed", "diverged", "completed"]
    diverged = results.trials[results.trials["outcome"] == "diverged"]
    for reason in diverged["reason"]:
        assert re.fullmatch("not finite from epoch 1: train_loss is (nan|inf), valid_loss is (nan|inf)", reason)
    assert diverged["value"].isna().all()
    assert diverged["state"].tolist() == ["PRUNED"] * 2
    assert results.trials["epochs_run"].tolist() == [4, 1, 4, 1, 4]
    calm = [{"learning_rate": rate if rate < 1 else 0.015} for rate in rates]
    others = finish(small(**common, name="calm", enqueue=calm, budget={"trials": 5}), tmp_path)
    for number in (0, 2, 4):
        np.testing.assert_array_equal(results.trials["value"][number], others.trials["value"][number])


# ---- determinism -----------------------------------------------------------------------------------------------------

TUNED: dict[str, Any] = {
    "sampler": {"use": "tpe"},
    "pruner": {"use": "hyperband"},
    "lanes": 4,
    "budget": {"trials": 24},
    "search_space": {"epochs": {"type": "int", "low": 1, "high": 9}, "batch_size": SIZES, "learning_rate": RATES},
}


def test_the_same_seed_gives_the_same_tables_and_another_seed_gives_others(tmp_path: Path) -> None:
    first = finish(small(**TUNED), tmp_path / "first")
    assert set(first.trials["outcome"]) >= {"completed", "pruned"}
    assert_same_tables(first, finish(small(**TUNED), tmp_path / "second"))
    other = finish(small(**TUNED, seed=1), tmp_path / "other")
    assert not other.trials["params_learning_rate"].equals(first.trials["params_learning_rate"])


def test_the_tables_do_not_depend_on_how_long_anything_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, advance, delays = finish(small(**TUNED), tmp_path / "quick"), DeviceLanes.advance, random.Random(0)

    def late(self: DeviceLanes, orders: Orders) -> Answer:
        time.sleep(delays.random() * 0.03)
        return advance(self, orders)

    monkeypatch.setattr(DeviceLanes, "advance", late)
    assert_same_tables(expected, finish(small(**TUNED), tmp_path / "late"))


def test_a_thread_that_does_not_answer_is_named_and_left_and_its_trial_goes_on_in_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept = small(search_space={"epochs": 6, "batch_size": 8, "learning_rate": 0.01}, budget={"trials": 2})
    expected, advance = finish(swept, tmp_path / "whole"), DeviceLanes.advance
    hangs, answers, request, began = threading.Event(), threading.Event(), StopRequest(), 0.0

    def hanging(self: DeviceLanes, orders: Orders) -> Answer:
        if 0 in orders.awaited and self._occupied() and self._number(0) == 1 and self._trained[0] == 3:
            hangs.set()
            answers.wait(120)
        return advance(self, orders)

    monkeypatch.setattr(DeviceLanes, "advance", hanging)
    monkeypatch.setattr(stop_request, "GRACE_S", 0.5)
    monkeypatch.setattr(scheduler, "ANSWER_S", 0.5)
    looks = []
    try:
        for look in start.follow(swept, tmp_path, Datasets(), request=request):
            looks.append(look)
            if hangs.is_set() and not request.reason:
                request.make("SIGTERM")
                began = time.monotonic()
        assert time.monotonic() - began < 60
    finally:
        answers.set()
    assert looks[-1].is_stopped
    said = [warning for look in looks for warning in look.warnings]
    assert said == [
        "lane group 1 on cpu:0 has not answered for 0.5 s and is left: trial 1 goes on from its last checkpoint"
    ]
    monkeypatch.setattr(DeviceLanes, "advance", advance)
    assert_same_tables(expected, finish(swept, tmp_path))


def test_without_sampler_or_pruner_that_learn_the_number_of_lanes_changes_no_result(tmp_path: Path) -> None:
    tables = [finish(small(lanes=lanes, budget={"trials": 9}), tmp_path / str(lanes)) for lanes in (1, 3, 8)]
    assert_same_tables(tables[0], tables[1])
    assert_same_tables(tables[0], tables[2])


def test_vmapped_populations_of_two_programs_come_to_the_tables_of_mapped_lanes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = {
        "epochs": {"type": "categorical", "choices": [1, 3]},
        "batch_size": SIZES,
        "learning_rate": {"type": "categorical", "choices": [0.01, 0.05]},
        "model.width": {"type": "categorical", "choices": [4, 6]},
    }
    common = {"model": {"use": "sweeping:curved"}, "search_space": space, "sampler": {"use": "grid"}, "budget": {}}
    expected = finish(small(**common, lanes=4), tmp_path / "mapped")
    sweeping.use_policy(monkeypatch, lambda config: vmapped_policy((sweeping.CPU,), config))
    found = finish(small(**common, lanes=4), tmp_path / "vmapped")
    assert found.trials["outcome"].tolist() == ["completed"] * 24
    pd.testing.assert_frame_equal(timeless(found.trials), timeless(expected.trials), **tolerances.TRAINED)
    pd.testing.assert_frame_equal(timeless(found.history), timeless(expected.history), **tolerances.TRAINED)


# ---- continuing ------------------------------------------------------------------------------------------------------


def stop_after(swept: SweepConfig, results: Path, ended: int) -> None:
    """Leave a run, as Ctrl-C does, once so many trials have ended."""
    run = follow(swept, results)
    for progress in run:
        if progress.done >= ended:
            with pytest.raises(KeyboardInterrupt):
                run.throw(KeyboardInterrupt())
            return
    raise AssertionError("the run ended first")


GRID = {
    "sampler": {"use": "grid"},
    "search_space": {
        "epochs": 3,
        "batch_size": SIZES,
        "learning_rate": {"type": "categorical", "choices": [0.01, 0.1]},
    },
    "budget": {},
}


@pytest.mark.parametrize("changes", [{"budget": {"trials": 8}}, GRID], ids=["random", "grid"])
@pytest.mark.parametrize("ended", [1, 4])
def test_an_interrupted_sweep_ends_with_the_tables_of_an_uninterrupted_one(
    changes: dict[str, Any], ended: int, tmp_path: Path
) -> None:
    swept = small(**changes)
    whole = finish(swept, tmp_path / "whole")
    stop_after(swept, tmp_path / "cut", ended)
    assert (sweeps.load(tmp_path / "cut" / "small").trials["state"] == "RUNNING").any()
    continued = finish(swept, tmp_path / "cut")
    assert continued.trials["attempt"].max() == 1
    assert_same_tables(whole, continued)
    assert continued.best is not None
    assert continued.best.parameters.keys() == {"bias", "kernel"}


def test_a_sampler_that_learns_continues_alike(tmp_path: Path) -> None:
    swept = small(**TUNED)
    whole = finish(swept, tmp_path / "whole")
    stop_after(swept, tmp_path / "cut", 15)
    assert_same_tables(whole, finish(swept, tmp_path / "cut"))


def test_a_run_that_was_killed_anywhere_continues_to_the_same_tables(tmp_path: Path) -> None:
    swept = small(budget={"trials": 5})
    whole = finish(swept, tmp_path)
    log = tmp_path / "small" / "log" / "worker-0.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    for kept in random.Random(0).sample(range(1, len(lines)), 4):
        torn = lines[kept][: len(lines[kept]) // 2]
        log.write_bytes(b"".join(lines[:kept]) + torn)
        assert_same_tables(whole, finish(swept, tmp_path))


def test_a_sweep_of_which_nothing_is_left_is_left_alone(tmp_path: Path) -> None:
    swept = small(budget={"trials": 3})
    finish(swept, tmp_path)
    log = tmp_path / "small" / "log" / "worker-0.jsonl"
    before = log.read_bytes()
    assert list(follow(swept, tmp_path)) == []
    assert log.read_bytes() == before


def test_a_larger_budget_continues_a_finished_sweep(tmp_path: Path) -> None:
    finish(small(budget={"trials": 4}), tmp_path)
    continued = finish(small(budget={"trials": 8}), tmp_path)
    assert_same_tables(continued, finish(small(budget={"trials": 8}), tmp_path / "at once"))


def test_the_folder_of_another_sweep_is_refused_and_the_difference_is_named(tmp_path: Path) -> None:
    finish(small(budget={"trials": 1}), tmp_path)
    before = (tmp_path / "small" / "config.yaml").read_bytes()
    with pytest.raises(ResultsError, match=r"another config\. .*\nseed: 0 before, 5 now$"):
        list(follow(small(seed=5), tmp_path))
    assert (tmp_path / "small" / "config.yaml").read_bytes() == before


def test_a_second_run_on_the_same_folder_is_refused_while_the_first_goes_on(tmp_path: Path) -> None:
    swept = small(budget={"trials": 3})
    first = follow(swept, tmp_path)
    next(first)
    with pytest.raises(ResultsError, match=f"is being run by process {os.getpid()} on"):
        list(follow(swept, tmp_path))
    for _ in first:
        pass
    assert sweeps.load(tmp_path / "small").trials["outcome"].tolist() == ["completed"] * 3


def test_a_refused_second_run_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    first = follow(small(budget={"trials": 3}), tmp_path)
    next(first)
    before = (tmp_path / "small" / "config.yaml").read_bytes()
    with pytest.raises(ResultsError):
        list(follow(small(budget={"trials": 5}), tmp_path))
    after = (tmp_path / "small" / "config.yaml").read_bytes()
    first.close()
    assert after == before


ENDLESS = {"epochs": 1_000_000, "batch_size": 8, "learning_rate": 0.01}

# ---- budgets ---------------------------------------------------------------------------------------------------------


def test_a_used_up_budget_of_minutes_ends_the_sweep_and_what_runs_has_timed_out(tmp_path: Path) -> None:
    swept = small(search_space=ENDLESS, budget={"minutes": 0.03})
    started = time.monotonic()
    results = finish(swept, tmp_path)
    assert time.monotonic() - started < 15
    assert set(results.trials["outcome"]) == {"timed_out"}
    assert results.trials["state"].tolist() == ["FAIL"] * len(results.trials)
    (ending,) = records(tmp_path, "finish")
    assert ending["reason"] == "the budget of 0.03 minutes is used up"


def test_a_sweep_whose_minutes_are_used_up_is_left_alone(tmp_path: Path) -> None:
    swept = small(search_space=ENDLESS, budget={"minutes": 0.01})
    finish(swept, tmp_path)
    assert list(follow(swept, tmp_path)) == []


def test_reaching_the_target_ends_the_sweep_and_interrupts_what_runs(tmp_path: Path) -> None:
    space = {**small().search_space, "epochs": {"type": "categorical", "choices": [1, 1_000_000]}}
    known = [{"epochs": 1_000_000}, {"epochs": 1, "learning_rate": 0.05}]
    swept = small(search_space=space, enqueue=known, budget={"trials": 50, "target": 1e9})
    results = finish(swept, tmp_path)
    assert results.trials["outcome"][:2].tolist() == ["interrupted", "completed"]
    assert set(results.trials["outcome"][2:]) <= {"interrupted"}
    assert "trial 1 reached the target" in records(tmp_path, "finish")[0]["reason"]
    assert list(follow(swept, tmp_path)) == []


def test_a_target_that_was_reached_before_a_crash_is_still_reached(tmp_path: Path) -> None:
    swept = small(budget={"trials": 50, "target": 1e9}, lanes=1)
    reached = finish(swept, tmp_path)
    log = tmp_path / "small" / "log" / "worker-0.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    (ended,) = [index for index, line in enumerate(lines) if b'"completed"' in line]
    log.write_bytes(b"".join(lines[: ended + 2]))  # with the record of the best
    assert (finish(swept, tmp_path).trials["outcome"] == "completed").sum() == 1
    assert (reached.trials["outcome"] == "completed").sum() == 1


# ---- failures --------------------------------------------------------------------------------------------------------


def test_a_model_that_raises_for_one_choice_fails_those_trials_alone_and_says_where(tmp_path: Path) -> None:
    space = {**small().search_space, "model.activation": {"type": "categorical", "choices": ["tanh", "unfinished"]}}
    chosen = ["tanh", "unfinished", "tanh", "unfinished", "tanh"]
    common = {"epochs": 2, "batch_size": 8, "learning_rate": 0.05}
    swept = small(
        model={"use": "sweeping:moody"},
        search_space=space,
        enqueue=[{**common, "model.activation": activation} for activation in chosen],
        budget={"trials": 5},
    )
    results = finish(swept, tmp_path)
    source = Path(inspect.getfile(sweeping.moody))
    lines = source.read_text(encoding="utf-8").splitlines()
    (line,) = [number for number, text in enumerate(lines, 1) if "raise UnfinishedError" in text]
    reason = f"UnfinishedError: this activation is not written yet ({source}:{line})"
    failed = results.trials["params_model.activation"] == "unfinished"
    assert results.trials["outcome"].tolist() == [
        "completed" if activation == "tanh" else "failed" for activation in chosen
    ]
    assert results.trials["reason"][failed].tolist() == [reason] * 2
    for number in (0, 2, 4):
        expected = sweeping.refer(swept, number, {**common, "model.activation": "tanh"}).scores[-1, 1]
        np.testing.assert_allclose(results.trials["value"][number], expected, **tolerances.TRAINED)


# ---- the best --------------------------------------------------------------------------------------------------------


def test_the_test_split_is_evaluated_once_for_the_best_trial_and_its_parameters_are_kept(tmp_path: Path) -> None:
    swept = small(budget={"trials": 8}, metrics=["mean_absolute_error"])
    results = finish(swept, tmp_path)
    best = results.best
    assert best is not None
    assert best.number == results.trials["value"].idxmin()
    (tested,) = records(tmp_path, "test")
    assert tested["number"] == best.number

    expected = sweeping.refer(swept, best.number, best.params).params
    with np.load(tmp_path / "small" / "best" / "parameters.npz", allow_pickle=False) as arrays:
        sweeping.assert_same(dict(arrays), dict(expected), tolerances.TRAINED)
    split = sweeping.plane().test
    assert split is not None
    error = split.x @ expected["kernel"][:, 0] + expected["bias"] - split.y
    np.testing.assert_allclose(tested["metrics"]["test_loss"], (error**2).mean(), rtol=1e-3)
    np.testing.assert_allclose(tested["metrics"]["test_mean_absolute_error"], np.abs(error).mean(), rtol=1e-3)

    described = json.loads((tmp_path / "small" / "best" / "best.json").read_text(encoding="utf-8"))
    assert (described["number"], described["value"]) == (best.number, best.value)
    assert described["model"]["use"] == "sweeping:flat"


def test_of_equal_trials_the_first_proposed_is_the_best_even_if_it_ends_last(tmp_path: Path) -> None:
    # With a zero rate nothing is learnt, so that every trial comes to the same value.
    space = {"epochs": {"type": "categorical", "choices": [1, 4]}, "batch_size": SIZES, "learning_rate": 0.0}
    swept = small(search_space=space, lanes=4, enqueue=[{"epochs": 4}, {"epochs": 1}], budget={"trials": 6})
    results = finish(swept, tmp_path)
    assert results.trials["value"].nunique() == 1
    assert records(tmp_path, "outcome")[0]["number"] != 0
    assert results.best is not None
    assert results.best.number == 0
    assert results.best.parameters["kernel"].shape == (4, 1)
    assert [record["number"] for record in records(tmp_path, "test")] == [0]


def test_a_sweep_without_a_completed_trial_has_no_best_and_tests_nothing(tmp_path: Path) -> None:
    space = {"epochs": 2, "batch_size": 8, "learning_rate": 1e30}
    results = finish(small(search_space=space, budget={"trials": 2}), tmp_path)
    assert results.trials["outcome"].tolist() == ["diverged", "diverged"]
    assert results.best is None
    assert records(tmp_path, "test") == []
    assert not (tmp_path / "small" / "best").exists()


def test_a_parameter_may_have_any_name(tmp_path: Path) -> None:
    results = finish(small(model={"use": "sweeping:filed"}, budget={"trials": 1}), tmp_path)
    assert results.best is not None
    assert results.best.parameters.keys() == {"file"}


# ---- from Python -----------------------------------------------------------------------------------------------------


def test_run_takes_a_mapping_and_gives_the_results(tmp_path: Path) -> None:
    tree = {
        "name": "line",
        "dataset": {"use": "linear_regression", "rows": 500},
        "model": {"use": "models.linear:Linear"},
        "loss": "mean_squared_error",
        "metrics": ["mean_absolute_error"],
        "optimizer": {"use": "sgd"},
        "search_space": {"epochs": 2, "batch_size": 50, "learning_rate": RATES},
        "objective": {"metric": "valid_mean_absolute_error", "direction": "minimize"},
        "sampler": {"use": "random"},
        "budget": {"trials": 2},
    }
    results = sweeps.run(tree, tmp_path)
    assert results.trials["outcome"].tolist() == ["completed"] * 2
    np.testing.assert_array_equal(results.trials["value"], results.trials["valid_mean_absolute_error"])


def test_a_metric_of_the_users_own_is_called_by_its_function() -> None:
    swept = config(metrics=["accuracy", "sweeping:certainty"])
    assert [metric_column(metric) for metric in swept.metrics] == ["valid_accuracy", "valid_certainty"]
