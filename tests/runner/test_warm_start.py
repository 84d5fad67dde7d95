"""Sweeps that learn from an earlier one: what is read, what is said, what is refused, and going on without it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from resuming import assert_goes_on_alike_from, log_of
from sweeping import finish, follow, records, small

import sweeps
from sweeps.cli import main
from sweeps.config import SweepConfig, to_yaml

TPE = {"use": "tpe", "n_startup_trials": 3}


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of an earlier sweep of six trials."""
    results = tmp_path_factory.mktemp("earlier")
    finish(small(name="other", seed=3, budget={"trials": 6}), results)
    return results / "other"


def learning(other: Path, **changes: Any) -> SweepConfig:
    return small(**{"sampler": TPE, "budget": {"trials": 4}, "warm_start": str(other), **changes})


def test_trials_are_copied_into_the_log_and_are_not_the_sweeps_own(other: Path, tmp_path: Path) -> None:
    before = sweeps.load(other).trials
    results = finish(learning(other), tmp_path)
    (record,) = records(tmp_path, "warm_start")
    assert record["source"] == str(other)
    learnt = record["trials"]
    assert [trial["number"] for trial in learnt] == before["number"].tolist()
    assert [trial["value"] for trial in learnt] == before["value"].tolist()
    for name in ("epochs", "batch_size", "learning_rate"):
        assert [trial["params"][name] for trial in learnt] == before[f"params_{name}"].tolist()
    assert results.trials["number"].tolist() == [0, 1, 2, 3]
    assert len(results.study.trials) == 4
    without = finish(learning(other, warm_start=[]), tmp_path / "without")
    assert results.trials["params_learning_rate"].tolist() != without.trials["params_learning_rate"].tolist()


def test_a_sweep_goes_on_alike_from_any_record_without_the_earlier_folder(other: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(other, copy)
    swept = learning(copy)
    finish(swept, tmp_path / "whole")
    shutil.rmtree(copy)
    lines = len(log_of(tmp_path / "whole").read_bytes().splitlines())
    for kept in range(2, lines - 3, 6):
        assert_goes_on_alike_from(swept, tmp_path / "whole", kept, tmp_path / "cut")


def test_a_folder_that_is_added_is_read_when_the_sweep_goes_on_and_none_is_read_twice(
    other: Path, tmp_path: Path
) -> None:
    finish(learning(other, warm_start=[]), tmp_path)
    assert records(tmp_path, "warm_start") == []
    finish(learning(other, budget={"trials": 5}), tmp_path)
    trials = finish(learning(other, budget={"trials": 6}), tmp_path).trials
    assert [record["source"] for record in records(tmp_path, "warm_start")] == [str(other)]
    assert trials["config"].nunique() == 1


def test_what_does_not_fit_is_counted_and_said(other: Path, tmp_path: Path) -> None:
    sizes = sweeps.load(other).trials["params_batch_size"]
    fitting = int((sizes != 53).sum())
    assert 0 < fitting < 6
    space = {**small().search_space, "batch_size": {"type": "categorical", "choices": [8, 20]}}
    news = [line for look in follow(learning(other, search_space=space), tmp_path) for line in look.news]
    said = f"learns from {fitting} of 6 trials of {other}: {6 - fitting} do not fit this search space "
    assert f"{said}(batch_size is 53, which must be one of [8, 20] here)" in news
    assert len(records(tmp_path, "warm_start")[0]["trials"]) == fitting


def test_a_fixed_value_of_the_earlier_sweep_counts_as_its_trials_value(other: Path, tmp_path: Path) -> None:
    space = {**small().search_space, "epochs": 2}
    finish(small(name="fixed", search_space=space, budget={"trials": 4}), tmp_path)
    finish(learning(tmp_path / "fixed"), tmp_path)
    assert [trial["params"]["epochs"] for trial in records(tmp_path, "warm_start")[0]["trials"]] == 4 * [2]


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize(
    "case",
    [
        ({"warm_start": "results/nowhere"}, "warm_start: there is no file results/nowhere in "),
        ({"warm_start": ["OTHER", "file.txt"]}, "warm_start[1]: FILE must be a results folder, but it is a file"),
        (
            {"objective": {"metric": "train_loss", "direction": "minimize"}},
            "warm_start: OTHER must have the objective of this sweep, minimize train_loss, but it has minimize valid",
        ),
        (
            {"search_space": {"epochs": 9, "batch_size": 8, "learning_rate": 0.1}},
            "warm_start: there is nothing to learn from OTHER: of 6 trials 6 do not fit this search space",
        ),
    ],
)
def test_what_cannot_teach_is_one_line_with_its_place_and_leaves_no_folder(
    command: str,
    case: tuple[dict[str, Any], str],
    other: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    changes, said = case
    tree = yaml.safe_load(to_yaml(learning(other))) | {"warm_start": "OTHER", "name": "small"} | changes
    file, text = tmp_path / "sweep.yaml", tmp_path / "file.txt"
    text.write_text("no results")
    file.write_text(yaml.safe_dump(tree).replace("OTHER", str(other)))
    results = ["--results", str(tmp_path / "results")] if command == "run" else []
    monkeypatch.setattr(sys, "argv", ["sweep", command, str(file), *results])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said.replace("OTHER", str(other)).replace("FILE", str(text)) in line
    assert line.startswith(f"error: {file}:")
    assert not (tmp_path / "results" / "small").exists()


def test_a_sweep_cannot_learn_from_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(small(sampler=TPE, budget={"trials": 2}), tmp_path)
    file = tmp_path / "sweep.yaml"
    file.write_text(to_yaml(learning(tmp_path / "small")))
    monkeypatch.setattr(sys, "argv", ["sweep", "run", str(file), "--results", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "warm_start[0]: a sweep cannot learn from itself" in capsys.readouterr().err
    assert records(tmp_path, "warm_start") == []


def test_check_says_what_there_is_to_learn(
    other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(to_yaml(learning(other)))
    monkeypatch.setattr(sys, "argv", ["sweep", "check", str(file)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert f"learns from 6 of 6 trials of {other}" in " ".join(capsys.readouterr().out.split())
