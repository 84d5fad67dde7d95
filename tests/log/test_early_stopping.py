"""Early stopping, targets and the epoch that is kept: against the same trials left to run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sweeping
from sweeping import finish, records, small, timeless

import sweeps
from sweeps.log.early_stopping import kept_epoch, reached, stalled
from sweeps.log.trials import Epoch, LoggedTrial

SPACE = {
    "epochs": 12,
    "batch_size": {"type": "categorical", "choices": [8, 20, 53]},
    "learning_rate": {"type": "float", "low": 0.05, "high": 0.45, "log": True},
}


def entry_of(values: list[float]) -> LoggedTrial:
    """A trial with these validation losses after its epochs."""
    entry = LoggedTrial(0)
    for epoch, value in enumerate(values, start=1):
        entry.epochs[0, epoch] = Epoch(epoch, epoch, 1.0, value, (), (), 1.0)
    return entry


# ---- the rules -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "min_delta", "stops"),
    [
        ([5, 4, 3, 2, 1], 0.0, False),
        ([1, 2, 3], 0.0, True),
        ([1, 2], 0.0, False),
        ([3, 3, 3], 0.0, True),
        ([5, 6, 4, 7, 5], 0.0, True),
        ([5, 6, 4, 7, 3.9], 0.0, False),
        ([5, 4.9, 4.8, 4.7], 0.15, False),
        ([5, 4.9, 4.86], 0.15, True),
    ],
)
def test_patience_counts_the_epochs_since_one_was_better_by_more_than_min_delta(
    values: list[float], min_delta: float, stops: bool
) -> None:
    config = small(early_stopping={"patience": 2, "min_delta": min_delta})
    assert bool(stalled(config, entry_of(values))) is stops


def test_without_patience_nothing_stalls_and_without_a_target_nothing_is_reached() -> None:
    assert stalled(small(), entry_of([1.0] * 50)) == ""
    assert reached(small(), 1, -math.inf) == ""


@pytest.mark.parametrize(("direction", "good", "bad"), [("minimize", 0.4, 0.6), ("maximize", 0.6, 0.4)])
def test_a_target_is_reached_from_the_side_of_the_objective(direction: str, good: float, bad: float) -> None:
    config = small(early_stopping={"target": 0.5}, objective={"metric": "valid_loss", "direction": direction})
    assert reached(config, 3, good) == "reached 0.5 at epoch 3"
    assert reached(config, 3, 0.5)
    assert not reached(config, 3, bad)


def test_the_kept_epoch_is_the_last_or_the_first_of_the_best() -> None:
    epochs = entry_of([3.0, 1.0, 2.0, 1.0, math.nan]).epochs_of(0)
    assert kept_epoch(small(), epochs) == 5
    assert kept_epoch(small(keep="best_epoch"), epochs) == 2


# ---- whole sweeps ----------------------------------------------------------------------------------------------------


def stop_of(values: list[float], patience: int, min_delta: float) -> int:
    """The epoch after which a person would stop: the first with `patience` epochs behind it that were no better."""
    for epoch in range(patience + 1, len(values) + 1):
        bests = [values[0]]
        for value in values[1:epoch]:
            bests.append(value if value < bests[-1] - min_delta else bests[-1])
        if bests[epoch - 1] == bests[epoch - 1 - patience]:
            return epoch
    return len(values)


def by_trial(results: sweeps.Results) -> dict[int, list[float]]:
    history = results.history
    return {number: rows["valid_loss"].tolist() for number, rows in history.groupby("number")}


def test_trials_end_where_a_person_would_stop_and_are_the_same_until_then(tmp_path: Path) -> None:
    free = by_trial(finish(small(name="free", search_space=SPACE), tmp_path))
    stopping = {"patience": 2, "min_delta": 0.01}
    results = finish(small(name="stopping", search_space=SPACE, early_stopping=stopping), tmp_path)
    ends = {number: stop_of(values, 2, 0.01) for number, values in free.items()}
    assert by_trial(results) == {number: values[: ends[number]] for number, values in free.items()}
    assert len(set(ends.values())) > 2
    trials = results.trials
    assert (trials["outcome"] == "completed").all()
    early = trials[trials["epochs_run"] < 12]
    assert (early["reason"] == [f"no better for 2 epochs at epoch {epochs}" for epochs in early["epochs_run"]]).all()
    assert (trials["value"] == trials["valid_loss"]).all()


def test_a_trial_that_has_reached_its_target_is_complete_and_the_sweep_goes_on(tmp_path: Path) -> None:
    free = by_trial(finish(small(name="free", search_space=SPACE), tmp_path))
    target = float(np.median([values[-1] for values in free.values()]))
    results = finish(small(name="aimed", search_space=SPACE, early_stopping={"target": target}), tmp_path)
    firsts = {
        number: next((epoch for epoch, value in enumerate(values, 1) if value <= target), 12)
        for number, values in free.items()
    }
    assert results.trials["epochs_run"].tolist() == [firsts[number] for number in range(8)]
    assert min(firsts.values()) < 12
    assert len(results.trials) == 8


WILD: dict[str, Any] = {"search_space": SPACE, "keep": "best_epoch"}


@pytest.mark.parametrize("lanes", [1, 4])
def test_the_best_epochs_parameters_and_value_are_kept(tmp_path: Path, lanes: int) -> None:
    swept = small(**WILD, lanes=lanes)
    results = finish(swept, tmp_path)
    losses = by_trial(results)
    ended = results.trials[results.trials["outcome"] == "completed"]
    assert ended["value"].tolist() == [min(losses[number]) for number in ended["number"]]
    assert ended["best_epoch"].tolist() == [1 + int(np.argmin(losses[number])) for number in ended["number"]]
    assert results.best is not None
    assert results.best.epoch < 12, "or nothing is shown"
    assert results.best.metrics["valid_loss"] == results.best.value
    assert len(records(tmp_path, "best")) >= 1
    assert evaluated(swept, results.best) == pytest.approx(results.best.value, rel=1e-5)


def evaluated(swept: Any, best: Any) -> float:
    """The validation loss of the linear model's kept parameters, in NumPy."""
    split = sweeping.plane().valid
    outputs = split.x.astype(np.float64) @ best.parameters["kernel"] + best.parameters["bias"]
    return float(((outputs[:, 0] - split.y) ** 2).mean())


def test_the_best_epochs_parameters_are_made_again_where_they_were_lost(tmp_path: Path) -> None:
    swept = small(**WILD)
    first = finish(swept, tmp_path)
    assert first.best is not None
    kept = {name: array.copy() for name, array in first.best.parameters.items()}
    (log,) = (tmp_path / "small" / "log").glob("*.jsonl")
    lines = log.read_text().splitlines(keepends=True)
    last = max(index for index, line in enumerate(lines) if '"kind":"best"' in line.replace(" ", ""))
    log.write_text("".join(lines[:last]))
    (tmp_path / "small" / "best" / "parameters.npz").unlink()
    again = finish(swept, tmp_path)
    assert again.best is not None
    assert again.best.number == first.best.number
    for name, array in again.best.parameters.items():
        np.testing.assert_array_equal(array, kept[name])
    assert timeless(again.trials, "attempt").equals(timeless(first.trials, "attempt"))


def test_nothing_is_copied_where_the_last_epoch_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    monkeypatch.setattr("sweeps.runner.best_trial.BestTrial.remember", lambda *arguments: taken.append(arguments))
    finish(small(), tmp_path)
    assert taken == []


@pytest.mark.parametrize("part", [0.2, 0.4, 0.6, 0.8])
def test_a_log_that_was_cut_off_goes_on_to_the_same_trials(tmp_path: Path, part: float) -> None:
    swept = small(**WILD, early_stopping={"patience": 2, "target": 0.012})
    whole = finish(swept, tmp_path)
    assert whole.best is not None
    kept = {name: array.copy() for name, array in whole.best.parameters.items()}
    (log,) = (tmp_path / "small" / "log").glob("*.jsonl")
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[: round(part * len(lines))]))
    again = finish(swept, tmp_path)
    assert again.best is not None
    assert timeless(again.trials, "attempt", "worker").equals(timeless(whole.trials, "attempt", "worker"))
    for name, array in again.best.parameters.items():
        np.testing.assert_array_equal(array, kept[name])
