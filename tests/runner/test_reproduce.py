"""A trial that is trained again comes to the same numbers, and whatever differs is named."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import sweeping
from resuming import Said
from sweeping import CPU, use_policy

from sweeps import cli
from sweeps.engine.devices import Policy
from sweeps.errors import ResultsError
from sweeps.log.jsonl import LogWriter, read_log, timestamp
from sweeps.log.line import decode, encode
from sweeps.runner import reproduce as replaying
from sweeps.runner.reproduce import Difference, environment_changes, recorded, verdict

DIVERGING = {"epochs": 3, "batch_size": 8, "learning_rate": 1e38}
SPACE = {
    "epochs": {"type": "int", "low": 1, "high": 4},
    "batch_size": {"type": "categorical", "choices": [8, 20, 53]},
    "learning_rate": {"type": "float", "low": 1e-3, "high": 1e38, "log": True},
}
SWEEP: dict[str, Any] = {
    "search_space": SPACE,
    "pruner": {"use": "median", "n_startup_trials": 1},
    "enqueue": [{"epochs": 4, "batch_size": 20, "learning_rate": 0.05}, DIVERGING]
    + [{"epochs": 4, "batch_size": 8, "learning_rate": 1e-3 * number} for number in range(1, 5)],
    "budget": {"trials": 6},
    "metrics": ["mean_absolute_error"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep with trials that were completed, pruned and diverged."""
    results = tmp_path_factory.mktemp("results")
    sweeping.finish(sweeping.small(**SWEEP), results)
    return results / "small"


def number_of(folder: Path, outcome: str) -> int:
    ended = [record for record in read_log(folder / "log").records if record.get("outcome") == outcome]
    assert ended, f"the sweep has no trial that was {outcome}"
    return int(ended[0]["number"])


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def rewritten(folder: Path, target: Path, number: int, **changes: Any) -> Path:
    """A copy of a sweep's log and config in which the epochs of a trial have other numbers."""
    (target / "log").mkdir(parents=True)
    (target / "config.yaml").write_bytes((folder / "config.yaml").read_bytes())
    lines = []
    for line in (folder / "log" / "worker-0.jsonl").read_bytes().splitlines():
        record = decode(line)
        assert isinstance(record, dict)
        is_meant = record["kind"] == "epoch" and record["number"] == number
        lines.append(
            encode(record | {key: change(record[key]) for key, change in changes.items()} if is_meant else record)
        )
    (target / "log" / "worker-0.jsonl").write_bytes(b"".join(lines))
    return target


@pytest.mark.parametrize("outcome", ["completed", "pruned", "diverged"])
def test_a_trial_is_identical_whatever_became_of_it(folder: Path, outcome: str) -> None:
    number = number_of(folder, outcome)
    said = Said(folder, number)
    assert (said.is_same, said.last) == (True, "identical")
    epochs = len(recorded(folder, number).epochs)
    assert said.text.splitlines()[0].startswith(f"trial {number} of {folder}, {outcome} after {epochs} epoch")
    assert said.text.count("  identical") == epochs
    assert "environment: the same" in said.text


def test_nothing_in_the_folder_is_touched(folder: Path) -> None:
    before = contents(folder)
    Said(folder, 0)
    assert contents(folder) == before


def test_a_small_difference_is_within_tolerance_and_the_largest_is_told(folder: Path, tmp_path: Path) -> None:
    changed = rewritten(folder, tmp_path / "changed", 0, valid_loss=lambda value: value * (1 + 1e-6))
    said = Said(changed, 0)
    assert said.is_same
    assert said.last.startswith("within tolerance (tolerance 0.001 of the value + 0.0001): the largest difference is ")
    assert "in valid_loss of epoch" in said.last


def test_a_large_difference_is_different_and_its_epochs_are_named(folder: Path, tmp_path: Path) -> None:
    changed = rewritten(folder, tmp_path / "changed", 0, train_loss=lambda value: value * 1.01 + 0.01)
    said = Said(changed, 0)
    assert not said.is_same
    assert said.last.startswith("different")
    assert said.text.count("different: train_loss") == 4


def test_a_number_that_was_finite_and_is_not_is_different(folder: Path, tmp_path: Path) -> None:
    number = number_of(folder, "diverged")
    changed = rewritten(folder, tmp_path / "changed", number, valid_loss=lambda value: 1.0)
    assert not Said(changed, number).is_same


def test_an_epoch_that_the_log_has_lost_is_said_to_be_missing_and_the_others_are_compared(
    folder: Path, tmp_path: Path
) -> None:
    changed = rewritten(folder, tmp_path / "changed", 0)
    log = changed / "log" / "worker-0.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    second = next(n for n, line in enumerate(lines) if b'"number":0,' in line and b'"epoch":2,' in line)
    log.write_bytes(b"".join([*lines[:second], lines[second].replace(b"epoch", b"EPOCH", 1), *lines[second + 1 :]]))
    said = Said(changed, 0)
    assert "  epoch 2    is not in the log" in said.text
    assert (said.text.count("  identical"), said.last) == (3, "identical")


def test_lanes_side_by_side_come_to_the_same_within_tolerance(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vmapped = Policy((CPU,), 1, 1, 4)
    use_policy(monkeypatch, lambda _: vmapped)
    said = Said(folder, 0)
    assert said.is_same
    assert said.last.startswith(("identical", "within tolerance"))


@pytest.mark.parametrize(
    ("number", "complaint"),
    [(99, "has no trial 99; its trials are 0 to 5"), (6, "trial 6 of .* has not ended: it is running")],
)
def test_a_trial_that_cannot_be_replayed_is_refused(folder: Path, tmp_path: Path, number: int, complaint: str) -> None:
    changed = rewritten(folder, tmp_path / "changed", 0)
    if number == 6:
        with LogWriter(changed / "log", "worker-0") as writer:
            for kind in ("ask", "start"):
                writer.append({"kind": kind, "time": timestamp(), "number": 6, "attempt": 1, "params": {}})
    with pytest.raises(ResultsError, match=complaint):
        recorded(changed, number)


def test_a_trial_whose_parameters_are_lost_is_refused(folder: Path, tmp_path: Path) -> None:
    changed = rewritten(folder, tmp_path / "changed", 0)
    log = changed / "log" / "worker-0.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"kind":"ask"', b'"kind":"ASK"', 1))
    with pytest.raises(ResultsError, match="has lost the parameters of trial 0"):
        recorded(changed, 0)


def test_a_trial_of_another_config_is_trained_under_that_one(folder: Path, tmp_path: Path) -> None:
    """The log has the config of every run, so that `config.yaml` need not be the trial's."""
    changed = rewritten(folder, tmp_path / "changed", 0)
    text = (changed / "config.yaml").read_text().replace("mean_squared_error", "mean_absolute_error", 1)
    (changed / "config.yaml").write_text(text)
    assert Said(changed, 0).last == "identical"


def test_without_that_config_such_a_trial_is_refused(folder: Path, tmp_path: Path) -> None:
    changed = rewritten(folder, tmp_path / "changed", 0)
    log = changed / "log" / "worker-0.jsonl"
    records = [decode(line) for line in log.read_bytes().splitlines()]
    without = [{key: value for key, value in dict(record).items() if key != "yaml"} for record in records]
    log.write_bytes(b"".join(map(encode, without)))
    assert Said(changed, 0).last == "identical"
    text = (changed / "config.yaml").read_text().replace("seed: 0", "seed: 1")
    (changed / "config.yaml").write_text(text)
    with pytest.raises(ResultsError, match=r"was not made by you.*--trust"):
        Said(changed, 0)
    with pytest.raises(ResultsError, match="was trained under another config"):
        Said(changed, 0, trusts=True)


def test_what_differs_in_the_environment_is_named(folder: Path, tmp_path: Path) -> None:
    changed = rewritten(folder, tmp_path / "changed", 0)
    log = changed / "log" / "worker-0.jsonl"
    records = [decode(line) for line in log.read_bytes().splitlines()]
    for record in records:
        assert isinstance(record, dict)
        if record["kind"] == "run":
            record["environment"]["packages"]["jax"] = "0.1.2"
            record["environment"]["python"] = "3.0.0"
    log.write_bytes(b"".join(encode(dict(record)) for record in records))
    said = Said(changed, 0).text
    assert "environment: not the same" in said
    assert "  jax: 0.1.2 then, " in said
    assert "  python: 3.0.0 then, " in said


def test_the_environments_are_those_of_the_runs_that_trained_the_trial(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("name: none\n")
    epoch = {"kind": "epoch", "number": 0, "train_loss": 1.0, "valid_loss": 1.0, "metrics": {}}
    records: list[dict[str, Any]] = [
        {"kind": "run", "environment": {"python": "1"}, "yaml": "x", "config": "a"},
        {"kind": "ask", "number": 0, "params": {}},
        {"kind": "start", "number": 0, "attempt": 1},
        {**epoch, "attempt": 1, "epoch": 1},
        {"kind": "run", "environment": {"python": "2"}, "yaml": "x", "config": "a"},
        {"kind": "start", "number": 0, "attempt": 2},
        {**epoch, "attempt": 2, "epoch": 1},
        {"kind": "run", "environment": {"python": "3"}, "yaml": "x", "config": "a"},
        {**epoch, "attempt": 2, "epoch": 2},
        {"kind": "outcome", "number": 0, "attempt": 2, "outcome": "completed", "value": 1.0},
    ]
    with LogWriter(tmp_path / "log", "worker-0") as writer:
        for record in records:
            writer.append({"time": timestamp(), **record})
    trial = recorded(tmp_path, 0)
    assert trial.environments == [{"python": "2"}, {"python": "3"}]
    assert (trial.config, trial.config_text, list(trial.epochs)) == ("", "x", [1, 2])


@pytest.mark.parametrize(
    ("recorded_", "now", "expected"),
    [
        (1.0, 1.0 + 1e-3, "within tolerance"),
        (1.0, 1.0 + 1.2e-3, "different"),
        (0.0, 0.9e-4, "within tolerance"),
        (0.0, 1.1e-4, "different"),
        (1.0, math.nan, "different"),
        (math.nan, 1.0, "different"),
        (math.inf, 1e30, "different"),
    ],
)
def test_the_tolerance_is_a_thousandth_of_the_value_and_a_little(recorded_: float, now: float, expected: str) -> None:
    assert verdict([Difference(1, "valid_loss", recorded_, now)]) == expected


def test_environments_of_two_machines_differ_in_their_processors_and_devices() -> None:
    before = {"processor": "a", "devices": ["cuda:0 (H100)"], "packages": {"jax": "1"}, "seed": 1, "git_revision": ""}
    now = {"processor": "b", "devices": ["cpu:0 (cpu)"], "packages": {"jax": "1"}, "seed": 2, "git_revision": "c"}
    assert environment_changes(before, now) == [
        "processor: a then, b now",
        "git_revision: unknown then, c now",
        "devices: cuda:0 (H100) then, cpu:0 (cpu) now",
    ]


def test_environment_json_names_the_processor_and_the_kind_of_each_device(folder: Path) -> None:
    described = json.loads((folder / "environment.json").read_text())
    assert described["processor"]
    assert all("(cpu)" in device for device in described["devices"])


def test_a_tolerance_is_not_a_verdict_of_its_own() -> None:
    assert (replaying.RELATIVE, replaying.ABSOLUTE) == (1e-3, 1e-4)
    assert verdict([Difference(1, "a", 1.0, 1.0005), Difference(2, "a", 1.0, 2.0)]) == "different"


@pytest.mark.parametrize(("number", "code"), [(0, 0), (1, 1), (99, 2)])
def test_the_exit_code_says_how_it_went(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    changed = rewritten(folder, tmp_path / "changed", 1, seconds=float, train_loss=lambda value: 1.0)
    monkeypatch.setattr(sys, "argv", ["sweep", "replay", str(changed), str(number)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code
