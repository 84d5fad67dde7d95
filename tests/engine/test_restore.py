"""Sweeps that are cut off anywhere go on as if nothing had happened: the same trials, in the same order, to the bit."""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sweeping
import tolerances
from counts import IS_LONG, SEED
from resuming import OF_A_RUN, assert_goes_on_alike_from, assert_same_tables, cut, hoard, keep_at_once, log_of, story
from sweeping import finish, records, small, use_policy, vmapped

import sweeps
from sweeps.config import SweepConfig
from sweeps.datasets.loading import Datasets
from sweeps.engine import checkpoints
from sweeps.engine.device_lanes import DeviceLanes
from sweeps.engine.devices import Policy
from sweeps.runner import start
from sweeps.stop_request import StopRequest

SIZES = {"type": "categorical", "choices": [8, 20, 53]}
SEARCHED: dict[str, Any] = {
    "epochs": {"type": "int", "low": 1, "high": 6},
    "batch_size": SIZES,
    "learning_rate": {"type": "float", "low": 1e-3, "high": 1.0, "log": True},
}
SAMPLERS: dict[str, dict[str, Any]] = {
    "random": {"use": "random"},
    "tpe": {"use": "tpe", "n_startup_trials": 2},
    "grid": {"use": "grid"},
    "cmaes": {"use": "cmaes"},
}
PRUNERS: dict[str, dict[str, Any]] = {
    "none": {"use": "none"},
    "hyperband": {"use": "hyperband", "reduction_factor": 2},
    "median": {"use": "median", "n_startup_trials": 1},
}


def sweep(sampler: str = "tpe", pruner: str = "hyperband", **changes: Any) -> SweepConfig:
    space = {**SEARCHED, "learning_rate": 0.01} if sampler == "grid" else SEARCHED
    common = {"search_space": space, "lanes": 4, "budget": {"trials": 7}, "checkpoints": {"seconds": 1e-9}}
    return small(**{**common, "sampler": SAMPLERS[sampler], "pruner": PRUNERS[pruner], **changes})


@pytest.fixture
def hoarding(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Checkpoints are written after every epoch, and none is removed until the patch is undone."""
    hoard(monkeypatch)
    return monkeypatch


def used(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    use_policy(monkeypatch, lambda _: policy)


# ---- a log that ends anywhere ----------------------------------------------------------------------------------------


@pytest.mark.rotating
@pytest.mark.parametrize(("sampler", "pruner"), list(itertools.product(SAMPLERS, PRUNERS)))
def test_a_log_cut_at_some_records_goes_on_to_the_same_end(sampler: str, pruner: str, tmp_path: Path) -> None:
    swept = sweep(sampler, pruner)
    finish(swept, tmp_path / "whole")
    count = len(log_of(tmp_path / "whole").read_bytes().splitlines())
    offset = list(SAMPLERS).index(sampler) + list(PRUNERS).index(pruner)
    for kept in range(2 + offset, count, 13):
        assert_goes_on_alike_from(swept, tmp_path / "whole", kept, tmp_path / "cut")


STEP = 1 if IS_LONG else 5
"""A long run cuts the log at every record; another run at every fifth, from another one on in every run."""
BARE, FULL = ("best",), ("checkpoints", "best")


@pytest.mark.rotating
@pytest.mark.slow
@pytest.mark.parametrize(("sampler", "pruner"), list(itertools.product(SAMPLERS, PRUNERS)))
def test_a_log_cut_at_any_record_goes_on_to_the_same_end_with_checkpoints_and_without(
    sampler: str, pruner: str, hoarding: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    swept = sweep(sampler, pruner, budget={"trials": 5})
    finish(swept, tmp_path / "whole")
    hoarding.undo()
    taken_up: dict[tuple[str, ...], list[int]] = {BARE: [], FULL: []}
    count = len(log_of(tmp_path / "whole").read_bytes().splitlines())
    for kept in range(1 + SEED % STEP, count, STEP):
        leaving = FULL if kept % 2 else BARE
        again = assert_goes_on_alike_from(swept, tmp_path / "whole", kept, tmp_path / "cut", leaving=leaving)
        taken_up[leaving] += [record["epoch"] for record in again]
    assert any(taken_up[FULL]), "checkpoints are used where they are"
    assert taken_up[BARE]
    assert not any(taken_up[BARE])


@pytest.mark.slow
@pytest.mark.parametrize("leaving", [BARE, FULL], ids=["bare", "checkpoints"])
def test_vmapped_lanes_that_must_catch_up_by_different_numbers_of_epochs_come_to_the_same(
    leaving: tuple[str, ...], hoarding: pytest.MonkeyPatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept = sweep(budget={"trials": 6}, micro_batch=8)
    used(vmapped(2, groups=2), monkeypatch)
    whole = finish(swept, tmp_path / "whole")
    hoarding.undo()
    used(vmapped(2, groups=2), monkeypatch)
    count = len(log_of(tmp_path / "whole").read_bytes().splitlines())
    for kept in range(3 + 2 * (SEED % STEP), count, 2 * STEP):
        cut(tmp_path / "whole", tmp_path / "cut", kept, leaving=leaving)
        assert_same_tables(finish(swept, tmp_path / "cut"), whole, **tolerances.TRAINED)
        # Values may differ in their last bits, and with them what a sampler proposes; what happens may not.
        told = [[(each["kind"], each.get("number")) for each in story(tmp_path / name)] for name in ("cut", "whole")]
        assert told[0] == told[1], f"after {kept} records"


def test_a_crash_after_a_crash_after_a_crash_changes_nothing(tmp_path: Path) -> None:
    swept = sweep()
    finish(swept, tmp_path / "whole")
    whole = log_of(tmp_path / "whole").read_bytes().splitlines(keepends=True)
    cut(tmp_path / "whole", tmp_path / "cut", 6)
    for kept in range(12, len(whole), 6):
        finish(swept, tmp_path / "cut")
        lines = log_of(tmp_path / "cut").read_bytes().splitlines(keepends=True)
        own = [index for index, line in enumerate(lines) if not any(f'"{kind}"'.encode() in line for kind in OF_A_RUN)]
        log_of(tmp_path / "cut").write_bytes(b"".join(lines[: own[min(kept, len(own) - 1)]]))
        for table in (tmp_path / "cut" / "small").glob("*.*"):
            if table.name != "config.yaml":
                table.unlink()
    assert_same_tables(finish(swept, tmp_path / "cut"), sweeps.load(tmp_path / "whole" / "small"))
    assert story(tmp_path / "cut") == story(tmp_path / "whole")
    assert len(records(tmp_path / "cut", "run")) > 3


# ---- stops -----------------------------------------------------------------------------------------------------------


def run_in_pieces(swept: SweepConfig, results: Path, looks: int) -> int:
    """Stop after so many looks, continue, and so on to the end; how many runs that took."""
    for runs in itertools.count(1):
        request, is_stopped = StopRequest(), False
        for seen, look in enumerate(start.follow(swept, results, Datasets(), request=request), start=1):
            is_stopped = look.is_stopped
            if seen == looks:
                request.make("a test")
        if not is_stopped:
            return runs
    raise AssertionError


@pytest.mark.parametrize("looks", [1, 4])
def test_a_sweep_that_is_stopped_again_and_again_is_the_same_sweep_and_trains_no_epoch_twice(
    looks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept = sweep()
    whole = finish(swept, tmp_path / "whole")
    trained: list[int] = []
    train = DeviceLanes._train

    def counted(self: DeviceLanes, training: list[int]) -> list[int]:
        ended = train(self, training)
        trained.extend(ended)
        return ended

    monkeypatch.setattr(DeviceLanes, "_train", counted)
    assert run_in_pieces(swept, tmp_path / "pieces", looks) > 3
    assert_same_tables(sweeps.load(tmp_path / "pieces" / "small"), whole)
    assert story(tmp_path / "pieces") == story(tmp_path / "whole")
    assert len(trained) == len(whole.history)


def test_vmapped_lanes_that_are_stopped_again_and_again_come_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used(vmapped(2, groups=2), monkeypatch)
    swept = sweep("random", micro_batch=8)
    whole = finish(swept, tmp_path / "whole")
    assert run_in_pieces(swept, tmp_path / "pieces", 2) > 2
    assert_same_tables(sweeps.load(tmp_path / "pieces" / "small"), whole, **tolerances.TRAINED)


def test_a_sweep_of_which_the_lanes_have_become_fewer_goes_on_with_the_same_results(tmp_path: Path) -> None:
    whole = finish(sweep("random", "none", lanes=2), tmp_path / "whole")
    for _ in zip(range(9), start.follow(sweep("random", "none", lanes=5), tmp_path / "cut", Datasets()), strict=False):
        pass
    continued = finish(sweep("random", "none", lanes=2), tmp_path / "cut")
    assert_same_tables(continued, whole)
    assert set(continued.trials["attempt"]) == {1}


def test_an_epoch_that_is_given_up_when_a_stop_is_overdue_goes_on_within(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept = small(
        search_space={"epochs": 2, "batch_size": 8, "learning_rate": 0.01},
        dataset={"use": "sweeping:plane", "rows": 400},
        lanes=1,
        budget={"trials": 1},
    )
    whole = finish(swept, tmp_path / "whole")
    monkeypatch.setattr("sweeps.stop_request.GRACE_S", 0.0)
    request, calls = StopRequest(), []
    call = DeviceLanes._call

    def slowly(self: DeviceLanes, *arguments: Any) -> Any:
        self._program.parts_per_call = 5
        calls.append(self._trained[0])
        if len(calls) == 15:
            request.make("a test")
            time.sleep(1)  # until the run has looked
        return call(self, *arguments)

    monkeypatch.setattr(DeviceLanes, "_call", slowly)
    for _ in start.follow(swept, tmp_path / "cut", Datasets(), request=request):
        pass
    (stopped,) = records(tmp_path / "cut", "stop")
    assert stopped["reason"] == "a test"
    assert len(calls) == 15
    assert_same_tables(finish(swept, tmp_path / "cut"), whole)
    assert len(calls) == 20, "two epochs of fifty updates, five a call: none was called twice"


# ---- checkpoints that cannot be used ---------------------------------------------------------------------------------


def cut_with_checkpoints(swept: SweepConfig, tmp_path: Path, hoarding: pytest.MonkeyPatch) -> list[checkpoints.Kept]:
    """A sweep of one long trial whose log was cut off after five epochs, and its checkpoints by then."""
    finish(swept, tmp_path / "whole")
    hoarding.undo()
    lines = log_of(tmp_path / "whole").read_bytes().splitlines()
    (kept,) = [index for index, line in enumerate(lines, 1) if b'"epoch":5,' in line]
    cut(tmp_path / "whole", tmp_path / "cut", kept)
    return checkpoints.kept(tmp_path / "cut" / "small" / "checkpoints")


LONG = {"search_space": {"epochs": 9, "batch_size": 8, "learning_rate": 0.01}, "budget": {"trials": 1}, "lanes": 1}


def said(swept: SweepConfig, results: Path) -> list[str]:
    return [line for look in start.follow(swept, results, Datasets()) for line in look.news]


@pytest.mark.parametrize(("damaged", "taken_up"), [((), 6), ((6,), 5), ((6, 5), 4), ((6, 5, 4, 3, 2, 1), 0)])
def test_a_damaged_checkpoint_is_told_once_and_an_older_one_or_the_first_epoch_does(
    damaged: tuple[int, ...], taken_up: int, hoarding: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    swept = sweep("random", "none", **LONG)
    for each in cut_with_checkpoints(swept, tmp_path, hoarding):
        if each.epoch in damaged:
            content = bytearray(each.path.read_bytes())
            content[len(content) // 2] ^= 1
            each.path.write_bytes(bytes(content))
    news = said(swept, tmp_path / "cut")
    assert sum("is damaged: its checksum does not match" in line for line in news) == len(damaged)
    assert [record["epoch"] for record in records(tmp_path / "cut", "resume")] == [taken_up]
    assert_same_tables(sweeps.load(tmp_path / "cut" / "small"), sweeps.load(tmp_path / "whole" / "small"))


def test_the_last_two_checkpoints_of_a_trial_are_kept_and_none_once_it_has_ended(
    hoarding: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hoarding.undo()
    hoarding.setattr(checkpoints, "MOST_TIME", 1e9)
    hoarding.setattr(checkpoints.Checkpoints, "keep", keep_at_once)
    swept, seen = sweep("random", "none", **LONG), set()
    for _ in start.follow(swept, tmp_path, Datasets()):
        seen.add(tuple(each.epoch for each in checkpoints.kept(tmp_path / "small" / "checkpoints")))
    assert seen >= {(4, 5), (7, 8)}
    assert max(map(len, seen)) == 2
    assert not (tmp_path / "small" / "checkpoints").exists()


def test_a_checkpoint_of_another_model_is_not_used_and_that_is_told(
    hoarding: pytest.MonkeyPatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept = sweep("random", "none", **LONG)
    cut_with_checkpoints(swept, tmp_path, hoarding)
    monkeypatch.setattr(sweeping, "flat", sweeping.filed)  # somebody has edited the model
    news = said(swept, tmp_path / "cut")
    assert "the checkpoint of trial 0 is another model's: its epochs are trained again" in news
    assert sweeps.load(tmp_path / "cut" / "small").trials["outcome"].tolist() == ["completed"]


def test_epochs_that_come_out_otherwise_when_they_are_trained_again_are_told_once(
    hoarding: pytest.MonkeyPatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept = sweep("random", "none", **LONG)
    cut_with_checkpoints(swept, tmp_path, hoarding)
    shutil.rmtree(tmp_path / "cut" / "small" / "checkpoints")
    monkeypatch.setattr(sweeping, "plane", functools.partial(sweeping.plane, seed=9))  # somebody has changed the data
    (told,) = [line for line in said(swept, tmp_path / "cut") if "once more" in line]
    assert told.startswith("epoch 1 of trial 0 has a validation loss of ")


def test_a_checkpoint_that_the_disk_refuses_is_told_once_and_the_sweep_goes_on(
    tmp_path: Path, hoarding: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "checkpoints").write_text("in the way")
    results = finish(sweep("random", "none"), tmp_path)
    assert set(results.trials["outcome"]) == {"completed"}
    (told,) = [message for message in caplog.messages if "checkpoints follow when they can be written" in message]
    assert "small/checkpoints/trial-" in told


# ---- another config --------------------------------------------------------------------------------------------------


def test_a_trial_begun_under_another_config_begins_again_and_its_old_reports_are_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = sweep("random", "none", **LONG), sweep("random", "median", **LONG)
    finish(before, tmp_path / "whole")
    lines = log_of(tmp_path / "whole").read_bytes().splitlines()
    (kept,) = [index for index, line in enumerate(lines, 1) if b'"epoch":3,' in line]
    cut(tmp_path / "whole", tmp_path / "cut", kept)
    for _ in start.follow(after, tmp_path / "cut", Datasets(), allow_changed=True):
        pass
    trials = sweeps.load(tmp_path / "cut" / "small").trials
    assert trials["attempt"].tolist() == [2]
    assert records(tmp_path / "cut", "resume") == []
    assert [record["epoch"] for record in records(tmp_path / "cut", "epoch")] == [1, 2, 3, *range(1, 10)]


# ---- a real process --------------------------------------------------------------------------------------------------

KILLED = """\
name: small
dataset: {use: linear_regression, rows: 2000, features: 3}
model: {use: "models.mlp:MLP", hidden: [64]}
loss: mean_squared_error
optimizer: {use: sgd, momentum: 0.9}
search_space:
  epochs: {type: int, low: 20, high: 60}
  batch_size: {type: categorical, choices: [4, 8]}
  learning_rate: {type: float, low: 0.0001, high: 0.02, log: true}
objective: {metric: valid_loss, direction: minimize}
sampler: {use: tpe, n_startup_trials: 3}
pruner: {use: hyperband}
budget: {trials: 12}
lanes: 3
checkpoints: {seconds: 0.2}
"""


@pytest.mark.slow
def test_a_process_that_is_killed_twice_in_the_middle_ends_with_the_tables_of_one_that_is_not(tmp_path: Path) -> None:
    (tmp_path / "models").symlink_to(sweeping.ROOT / "models")
    (tmp_path / "small.yaml").write_text(KILLED)
    command = [sys.executable, "-c", "from sweeps.cli import entry; entry()", "run", "small.yaml", "--results"]
    environment = {**os.environ, "PYTHONPATH": str(sweeping.ROOT), "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def run(results: str, until: int | None = None) -> None:
        """To its end, or until so many epochs are in its log."""
        log = log_of(tmp_path / results)
        with subprocess.Popen([*command, results], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL) as process:
            while until is not None and process.poll() is None:
                if log.exists() and log.read_bytes().count(b'"kind":"epoch"') >= until:
                    process.kill()
                time.sleep(0.01)

    run("whole")
    run("killed", until=60)
    run("killed", until=120)
    run("killed")
    assert [len(records(tmp_path / name, "run")) for name in ("whole", "killed")] == [1, 3]
    assert story(tmp_path / "killed") == story(tmp_path / "whole")
    assert_same_tables(sweeps.load(tmp_path / "killed" / "small"), sweeps.load(tmp_path / "whole" / "small"))
    assert any(record["epoch"] for record in records(tmp_path / "killed", "resume")), "checkpoints are used"
