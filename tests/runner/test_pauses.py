"""Sweeps whose pruner pauses trials: they go on from where they were, whatever the lanes, and after any crash."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sweeping
import tolerances
from counts import IS_LONG, SEED
from resuming import assert_goes_on_alike_from, assert_same_tables, hoard, log_of
from sweeping import finish, mapped, records, small, use_policy, vmapped

import sweeps
from sweeps.config import SweepConfig
from sweeps.datasets.loading import Datasets
from sweeps.engine import paused
from sweeps.engine.checkpoints import PAUSED, Checkpoints
from sweeps.engine.devices import Policy
from sweeps.log.jsonl import read_log
from sweeps.runner import start
from sweeps.stop_request import StopRequest

SPACE: dict[str, Any] = {
    "epochs": {"type": "int", "low": 1, "high": 4},
    "batch_size": {"type": "categorical", "choices": [8, 20]},
    "learning_rate": {"type": "float", "low": 1e-3, "high": 0.05, "log": True},
}
WAVES = {"use": "waves", "reduction_factor": 2}
TPE = {"use": "tpe", "n_startup_trials": 3}


def sweep(pruner: Any = WAVES, **changes: Any) -> SweepConfig:
    """Waves of four trials after 1, 2 and 4 epochs, three and a half of them."""
    common = {"search_space": SPACE, "sampler": TPE, "budget": {"trials": 14}, "pruner": pruner}
    return small(**{**common, "checkpoints": {"seconds": 1e-9}, **changes})


def used(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    use_policy(monkeypatch, lambda _: policy)


def test_a_wave_leaves_half_of_its_trials_at_each_rung_and_the_best_of_them_are_those_that_go_on(
    tmp_path: Path,
) -> None:
    results = finish(sweep(budget={"trials": 12}), tmp_path)
    history = results.history.set_index(["number", "epoch"])["valid_loss"]
    epochs = results.trials["epochs_run"]
    for wave in (range(4), range(4, 8), range(8, 12)):
        assert sorted(epochs[list(wave)]) == [1, 1, 2, 4]
        after_one = sorted(wave, key=lambda number: history[number, 1])
        assert {number for number in wave if epochs[number] > 1} == set(after_one[:2])
        assert min(after_one[:2], key=lambda number: history[number, 2]) == next(n for n in wave if epochs[n] == 4)
    completed = results.trials[results.trials["outcome"] == "completed"]
    assert completed["epochs_run"].tolist() == [4, 4, 4]
    assert set(results.trials["reason"][epochs == 2]) == {"by waves at epoch 2"}


@pytest.mark.parametrize("lanes", [1, 3, 16])
def test_the_tables_of_a_sweep_in_waves_are_the_same_for_any_number_of_lanes(lanes: int, tmp_path: Path) -> None:
    swept = sweep(pruner={**WAVES, "brackets": 2}, budget={"trials": 20})
    expected = finish(swept, tmp_path / "two")
    assert_same_tables(finish(swept.model_copy(update={"lanes": lanes}), tmp_path / "other"), expected)


def test_lanes_that_advance_together_come_to_the_same_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used(mapped(2), monkeypatch)
    expected = finish(sweep(), tmp_path / "mapped")
    used(vmapped(5, groups=2), monkeypatch)
    assert_same_tables(finish(sweep(), tmp_path / "vmapped"), expected, **tolerances.TRAINED)


@pytest.mark.parametrize("pruner", ["waves", "asha"])
def test_a_trial_that_was_paused_is_the_trial_of_the_plain_loop(pruner: str, tmp_path: Path) -> None:
    swept = sweep(pruner={**WAVES, "use": pruner})
    results = finish(swept, tmp_path)
    params = {record["number"]: record["params"] for record in records(tmp_path, "ask")}
    assert len(records(tmp_path, "promote")) > 3
    for number, rows in results.history.groupby("number"):
        expected = np.asarray(sweeping.refer(swept, number, params[number]).scores)
        np.testing.assert_allclose(rows[["train_loss", "valid_loss"]], expected[: len(rows)], **tolerances.TRAINED)


def test_a_schedule_spans_the_longest_training_also_of_a_trial_that_is_paused(tmp_path: Path) -> None:
    paused_ones = finish(sweep(schedule="cosine"), tmp_path / "paused").history
    known = [record["params"] for record in records(tmp_path / "paused", "ask")]
    whole = sweep("none", schedule="cosine", search_space={**SPACE, "epochs": 4}, enqueue=known)
    rows = finish(whole, tmp_path / "whole").history.set_index(["number", "epoch"])
    expected = rows.loc[list(zip(paused_ones["number"], paused_ones["epoch"], strict=True))]
    for column in ("train_loss", "valid_loss"):
        np.testing.assert_array_equal(paused_ones[column], expected[column])


CUT = [("waves", TPE), ("waves", {"use": "grid"}), ("asha", TPE)]


@pytest.mark.parametrize(("pruner", "sampler"), CUT, ids=["waves", "waves-grid", "asha"])
def test_a_log_that_is_cut_off_goes_on_to_the_same_end(
    pruner: str, sampler: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = SPACE if sampler == TPE else {**SPACE, "learning_rate": {"type": "categorical", "choices": [0.01, 0.02]}}
    swept = sweep({**WAVES, "use": pruner}, sampler=sampler, search_space=space, budget={"trials": 9})
    hoard(monkeypatch)
    finish(swept, tmp_path / "whole")
    monkeypatch.undo()
    count, step = len(log_of(tmp_path / "whole").read_bytes().splitlines()), 1 if IS_LONG else 9
    for kept in range(1 + SEED % step, count, step):
        leaving = (("checkpoints", "best"), ("best",), ("checkpoints",))[kept % 3]
        assert_goes_on_alike_from(swept, tmp_path / "whole", kept, tmp_path / "cut", leaving=leaving)


@pytest.mark.parametrize("pruner", ["waves", "asha"])
def test_a_sweep_that_is_stopped_again_and_again_trains_no_epoch_twice(pruner: str, tmp_path: Path) -> None:
    swept = sweep({**WAVES, "use": pruner}, checkpoints={"seconds": 3600})
    whole = finish(swept, tmp_path / "whole")
    for _ in range(20):
        request = StopRequest()
        for looks, _ in enumerate(start.follow(swept, tmp_path / "stopped", Datasets(), request=request)):
            if looks == 11:
                request.make("enough")
        if not request.reason:
            break
    assert_same_tables(sweeps.load(tmp_path / "stopped" / "small"), whole)
    assert len(records(tmp_path / "stopped", "run")) > 2
    known: Counter[int] = Counter()
    for record in read_log(tmp_path / "stopped" / "small" / "log").records:
        if record["kind"] == "epoch":
            known[record["number"]] += 1
            assert record["epoch"] == known[record["number"]]
        elif record["kind"] == "resume":
            assert record["epoch"] >= known[record["number"]], "it goes on from its state"


def test_states_of_paused_trials_beyond_the_share_of_memory_go_to_the_checkpoints_and_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = finish(sweep(), tmp_path / "memory")
    written: list[int] = []
    keep = Checkpoints.keep

    def spied(self: Checkpoints, group: int, snapshots: Any) -> None:
        written.extend(snapshot.number for _, snapshot in snapshots if group == PAUSED)
        keep(self, group, snapshots)

    monkeypatch.setattr(paused, "SHARE", 0.0)
    monkeypatch.setattr(Checkpoints, "keep", spied)
    assert_same_tables(finish(sweep(checkpoints={"seconds": 3600}), tmp_path / "disk"), expected)
    promoted = {record["number"] for record in records(tmp_path / "disk", "promote")}
    assert promoted <= set(written)
    assert [each["epoch"] for each in records(tmp_path / "disk", "resume")] == [
        each["epoch"] for each in records(tmp_path / "memory", "resume")
    ]


def test_a_diverged_trial_makes_room_at_its_rung_for_the_others(tmp_path: Path) -> None:
    rates = [1e30, 0.01, 1e25, 1e28]
    space = {**SPACE, "learning_rate": {"type": "categorical", "choices": [0.01, 1e25, 1e28, 1e30]}, "batch_size": 8}
    swept = sweep(search_space=space, budget={"trials": 4}, enqueue=[{"learning_rate": rate} for rate in rates])
    trials = finish(swept, tmp_path).trials
    assert trials["outcome"].tolist() == ["diverged", "completed", "diverged", "diverged"]
    assert trials["epochs_run"][1] == 4


def test_seconds_in_which_a_trial_is_paused_are_not_counted_as_its_own(tmp_path: Path) -> None:
    finish(sweep(), tmp_path)
    trials = sweeps.load(tmp_path / "small").trials
    waited = {}
    for kind in ("pause", "resume"):
        for record in records(tmp_path, kind):
            waited.setdefault(record["number"], []).append(record["elapsed"])
    ends = {record["number"]: record["elapsed"] for record in records(tmp_path, "outcome")}
    begins = {record["number"]: record["elapsed"] for record in records(tmp_path, "start")}
    for number, times in waited.items():
        between = [*sorted(times), *([ends[number]] if len(times) % 2 else [])]
        apart = sum(after - before for before, after in zip(between[::2], between[1::2], strict=True))
        expected = ends[number] - begins[number] - apart
        assert pd.Timedelta(trials["duration"][number]).total_seconds() == pytest.approx(expected, abs=2e-3)
