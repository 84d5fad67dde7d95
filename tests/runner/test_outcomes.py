"""What a trial's bad end does to the others, which is nothing, and to the trial itself, which may try again."""

from __future__ import annotations

import itertools
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
import sweeping
from sweeping import UnfinishedError, config, finish, records, small, timeless

import sweeps
from sweeps.config import SweepConfig
from sweeps.datasets.loading import Datasets
from sweeps.engine.device_lanes import DeviceLanes
from sweeps.engine.program import Program
from sweeps.log.trials import Epoch, LoggedTrial
from sweeps.runner import start
from sweeps.runner.best_trial import BestTrial
from sweeps.runner.journal import Journal
from sweeps.runner.outcomes import TrialEnd, ending_of
from sweeps.stop_request import StopRequest
from sweeps.study import Study

WIDTHS = {"type": "categorical", "choices": [4, 6]}
SEARCHED = {
    "epochs": 2,
    "batch_size": 8,
    "learning_rate": {"type": "categorical", "choices": [0.01, 0.02, 0.05]},
    "model.width": WIDTHS,
}


def sweep(**changes: Any) -> SweepConfig:
    """A grid of six trials: those with odd numbers have the wider model."""
    common = {"search_space": SEARCHED, "sampler": {"use": "grid"}, "budget": {}, "lanes": 2, "metrics": []}
    return config(**{**common, **changes})


def failing(
    monkeypatch: pytest.MonkeyPatch, name: str, fails: Callable[[Program, int], bool], error: BaseException
) -> list[int]:
    """Programs raise in every call of a method for which `fails(program, calls before)` holds; the calls so far."""
    whole, calls = getattr(Program, name), itertools.count()
    made: list[int] = []

    def call(self: Program, *arguments: Any) -> Any:
        made.append(next(calls))
        if fails(self, made[-1]):
            raise error
        return whole(self, *arguments)

    monkeypatch.setattr(Program, name, call)
    return made


def is_wide(program: Program, _: int) -> bool:
    return bool(program.lane.model.shapes.params["hidden"].shape[1] == 6)


def assert_same_but(left: sweeps.Results, right: sweeps.Results, numbers: set[int]) -> None:
    """The tables say the same to the bit of all other trials."""
    for table in ("trials", "history"):
        a, b = (timeless(getattr(each, table), "attempt", "config", "test_loss") for each in (left, right))
        rows = [frame[~frame["number"].isin(numbers)].reset_index(drop=True) for frame in (a, b)]
        assert len(rows[0]) > 0
        pd.testing.assert_frame_equal(*rows, check_exact=True)


MEMORY = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes.")


@pytest.mark.parametrize(
    ("method", "error", "outcome"),
    [
        ("_compile", ValueError("no such instruction"), "failed"),
        ("epoch", RuntimeError("a cable is loose"), "failed"),
        ("epoch", SystemExit("bye"), "failed"),
        ("epoch", MEMORY, "out_of_memory"),
        ("_compile", MEMORY, "out_of_memory"),
    ],
    ids=["compilation", "device", "exit", "memory", "memory of a compilation"],
)
def test_a_program_that_fails_ends_its_own_trials_alone_and_the_others_keep_every_bit(
    method: str, error: BaseException, outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = finish(sweep(), tmp_path / "whole")
    failing(monkeypatch, method, is_wide, error)
    found = finish(sweep(), tmp_path / "failing")
    assert found.trials["outcome"].tolist() == ["completed", outcome] * 3
    assert len(set(found.trials["reason"][1::2])) == 1
    assert_same_but(found, expected, {1, 3, 5})


def test_trials_that_diverge_leave_the_others_every_bit(tmp_path: Path) -> None:
    rates = [0.01, 1e30, 0.02, 1e25, 0.05]
    common = {
        "search_space": {"epochs": 3, "batch_size": 8, "learning_rate": {"type": "float", "low": 0.001, "high": 1e30}}
    }
    tried = [{"learning_rate": rate} for rate in rates]
    calm = [{"learning_rate": rate if rate < 1 else 0.03} for rate in rates]
    found = finish(small(**common, enqueue=tried, budget={"trials": 5}), tmp_path / "wild")
    expected = finish(small(**common, enqueue=calm, budget={"trials": 5}), tmp_path / "calm")
    assert found.trials["outcome"].tolist() == ["completed", "diverged"] * 2 + ["completed"]
    assert_same_but(found, expected, {1, 3})


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_infinity_never_wins(direction: str, tmp_path: Path) -> None:
    swept = small(
        search_space={"epochs": 2, "batch_size": 8, "learning_rate": {"type": "categorical", "choices": [1e30, 0.01]}},
        sampler={"use": "grid"}, budget={}, objective={"metric": "valid_loss", "direction": direction},
    )  # fmt: skip
    results = finish(swept, tmp_path)
    assert results.trials["outcome"].tolist() == ["diverged", "completed"]
    assert results.best is not None
    assert results.best.number == 1


def curve(values: list[float]) -> LoggedTrial:
    """A running trial with this accuracy after its epochs, and finite losses."""
    names = ("valid_accuracy",)
    rows = {(0, n): Epoch(n, n, 1.0, 1.0, names, (value,), 0.1) for n, value in enumerate(values, start=1)}
    return LoggedTrial(0, is_known=True, attempt=1, epochs=rows)


UNDEFINED = TrialEnd(
    "failed", "valid_accuracy is nan though the losses are finite: is it defined on the validation rows?"
)


@pytest.mark.parametrize(
    ("values", "keep", "expected"),
    [
        ([math.nan], "last_epoch", None),
        ([math.nan, math.nan], "last_epoch", UNDEFINED),
        ([math.nan, math.nan], "best_epoch", UNDEFINED),
        ([0.5, math.nan], "last_epoch", UNDEFINED),
        ([0.5, math.nan], "best_epoch", TrialEnd("completed", "", 0.5)),
        ([math.inf], "last_epoch", TrialEnd("diverged", "not finite from epoch 1: valid_accuracy is inf")),
    ],
)
def test_a_metric_that_is_not_defined_is_no_divergence(
    values: list[float], keep: str, expected: TrialEnd | None
) -> None:
    objective = {"metric": "valid_accuracy", "direction": "maximize"}
    swept = config(metrics=["accuracy"], objective=objective, keep=keep)
    assert ending_of(swept, curve(values), len(values), 2, is_pruned=False) == expected


# ---- the decision ----------------------------------------------------------------------------------------------------


def entry_of(losses: list[float]) -> LoggedTrial:
    """A running trial with these validation losses after its epochs."""
    rows = {(0, epoch): Epoch(epoch, epoch, 1.0, loss, (), (), 0.1) for epoch, loss in enumerate(losses, start=1)}
    return LoggedTrial(0, is_known=True, attempt=1, epochs=rows)


STOPPING = {"early_stopping": {"patience": 2, "target": 0.1}}


@pytest.mark.parametrize(
    ("losses", "is_pruned", "changes", "expected"),
    [
        ([0.5], False, {}, None),
        ([0.5], True, {}, TrialEnd("pruned", "by none at epoch 1", 0.5)),
        ([math.nan], True, {}, TrialEnd("diverged", "not finite from epoch 1: valid_loss is nan")),
        ([0.5, math.inf], False, STOPPING, TrialEnd("diverged", "not finite from epoch 2: valid_loss is inf")),
        ([0.5, 0.4, 0.3, 0.6], True, {}, TrialEnd("completed", "", 0.6)),
        ([0.5, 0.4, 0.3, 0.6], True, {"keep": "best_epoch"}, TrialEnd("completed", "", 0.3)),
        ([0.5, 0.05], True, STOPPING, TrialEnd("completed", "reached 0.1 at epoch 2", 0.05)),
        ([0.3, 0.4, 0.5], True, STOPPING, TrialEnd("pruned", "by none at epoch 3", 0.5)),
        ([0.3, 0.4, 0.5], False, STOPPING, TrialEnd("completed", "no better for 2 epochs at epoch 3", 0.5)),
    ],
    ids=["goes on", "pruned", "nan", "infinite", "last", "best kept", "target", "pruned first", "stalled"],
)
def test_how_a_trial_of_four_epochs_ends_follows_from_its_epochs_alone(
    losses: list[float], is_pruned: bool, changes: dict[str, Any], expected: TrialEnd | None
) -> None:
    entry = entry_of(losses)
    assert ending_of(small(**changes), entry, len(losses), 4, is_pruned=is_pruned) == expected
    assert entry == entry_of(losses) or math.isnan(losses[-1]), "a decision changes nothing"


def test_the_end_of_a_trial_goes_to_the_study_then_to_the_log_and_then_to_the_best_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, int]] = []
    tell, record, replace = Study.tell, Journal.record, BestTrial.replace

    def telling(self: Study, number: int, *rest: Any) -> None:
        told.append(("study", number))
        tell(self, number, *rest)

    def recording(self: Journal, kind: str, **fields: Any) -> None:
        if kind in {"outcome", "best"}:
            told.append((kind, fields["number"]))
        record(self, kind, **fields)

    def replacing(self: BestTrial, entry: LoggedTrial) -> None:
        told.append(("best trial", entry.number))
        replace(self, entry)

    monkeypatch.setattr(Study, "tell", telling)
    monkeypatch.setattr(Journal, "record", recording)
    monkeypatch.setattr(BestTrial, "replace", replacing)
    results = finish(sweep(), tmp_path)
    ended, best = [], math.inf
    for trial in records(tmp_path, "outcome"):
        number, value = trial["number"], trial["value"]
        ended += [("study", number), ("outcome", number)]
        if value < best:
            best = value
            ended += [("best trial", number), ("best", number)]
    assert results.trials["value"].is_unique
    assert told == ended


# ---- a program that does not compile ---------------------------------------------------------------------------------


def test_a_program_that_does_not_compile_is_compiled_once_and_its_trials_are_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced: list[int] = []
    whole = Program._epoch_function

    def tracing(self: Program) -> Any:
        if is_wide(self, 0):
            traced.append(1)
            raise UnfinishedError("not today")
        return whole(self)

    monkeypatch.setattr(Program, "_epoch_function", tracing)
    found = finish(sweep(lanes=1, retries={"failed": 5}), tmp_path)
    assert found.trials["outcome"].tolist() == ["completed", "failed"] * 3
    assert len(traced) == 1
    assert set(found.trials["attempt"]) == {1}
    assert all(reason.startswith("UnfinishedError: not today (") for reason in found.trials["reason"][1::2])


# ---- retries ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "outcome"), [(RuntimeError("a cable is loose"), "failed"), (MEMORY, "out_of_memory")]
)
@pytest.mark.parametrize("failures", [1, 2])
def test_a_trial_is_tried_again_as_often_as_its_outcome_may_be_and_then_has_it(
    failures: int, error: Exception, outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept = sweep(lanes=1, retries={outcome: 1})
    expected = finish(swept, tmp_path / "whole")
    # Trial 0 trains its first epoch, and fails in its second, and then, the second time, in its first.
    failing(monkeypatch, "epoch", lambda _, calls: calls in range(1, 1 + failures), error)
    found = finish(swept, tmp_path / "failing")
    ends = "completed" if failures == 1 else outcome
    assert found.trials["outcome"].tolist() == [ends] + ["completed"] * 5
    assert found.trials["attempt"].tolist() == [2] + [1] * 5
    (again,) = records(tmp_path / "failing", "retry")
    assert (again["number"], again["attempt"], again["outcome"]) == (0, 1, outcome)
    assert [each["outcome"] for each in records(tmp_path / "failing", "outcome") if each["number"] == 0] == [ends]
    assert_same_but(found, expected, set() if failures == 1 else {0})


def test_an_attempt_is_not_forgotten_by_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swept = sweep(lanes=1, retries={"failed": 1})
    failing(monkeypatch, "epoch", lambda _, calls: calls == 1, RuntimeError("a cable is loose"))
    whole = finish(swept, tmp_path / "whole")
    monkeypatch.undo()
    log = tmp_path / "whole" / "small" / "log" / "worker-0.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    (retried,) = [index for index, line in enumerate(lines) if b'"retry"' in line]
    for kept in range(retried + 1, retried + 4):
        shutil.rmtree(tmp_path / "cut", ignore_errors=True)
        (tmp_path / "cut" / "small" / "log").mkdir(parents=True)
        (tmp_path / "cut" / "small" / "log" / "worker-0.jsonl").write_bytes(b"".join(lines[:kept]))
        found = finish(swept, tmp_path / "cut")
        assert found.trials["attempt"].tolist() == [2] + [1] * 5
        assert_same_but(found, whole, set())


# ---- the best --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["all", "parameters.npz", "best.json", "of another trial", "a bit"])
def test_the_parameters_of_the_best_trial_are_right_in_the_end_whatever_a_crash_left_of_them(
    lost: str, tmp_path: Path
) -> None:
    swept = sweep()
    finish(swept, tmp_path)
    folder = tmp_path / "small" / "best"
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    log = tmp_path / "small" / "log" / "worker-0.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    last = max(index for index, line in enumerate(lines) if b'"outcome"' in line)
    log.write_bytes(b"".join(lines[: last + 1]))
    if lost == "all":
        shutil.rmtree(folder)
    elif lost == "a bit":
        content = bytearray(kept["parameters.npz"])
        content[70] ^= 1
        (folder / "parameters.npz").write_bytes(bytes(content))
    elif lost == "of another trial":
        other = finish(sweep(name="other", search_space={**SEARCHED, "learning_rate": 0.3}), tmp_path)
        assert other.best is not None
        shutil.copy(tmp_path / "other" / "best" / "parameters.npz", folder)
    else:
        (folder / lost).unlink()
    results = finish(swept, tmp_path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == kept
    assert results.best is not None
    expected = sweeping.refer(swept, results.best.number, results.best.params).params
    for name, array in results.best.parameters.items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-3, atol=1e-4)


def test_training_the_best_trial_again_goes_on_where_each_run_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept = small(search_space={"epochs": 6, "batch_size": 8, "learning_rate": 0.01}, budget={"trials": 1})
    finish(swept, tmp_path)
    folder = tmp_path / "small" / "best"
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.rmtree(folder)
    train, trained, request = DeviceLanes._train, list[int](), StopRequest()

    def counted(self: DeviceLanes, training: list[int]) -> list[int]:
        ended = train(self, training)
        trained.extend(ended)
        if ended and len(trained) % 2 == 0:  # as the end of a short window of time would
            request.make("SIGTERM")
        return ended

    monkeypatch.setattr(DeviceLanes, "_train", counted)
    ends = []
    for _ in range(5):
        request = StopRequest()
        ends.append(list(start.follow(swept, tmp_path, Datasets(), request=request))[-1:])
        if folder.exists():
            break
    assert [last.is_stopped for (last,) in ends] == [True, True, False]
    assert len(trained) == 6  # each epoch once
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == kept
    assert not (tmp_path / "small" / "checkpoints").exists()
