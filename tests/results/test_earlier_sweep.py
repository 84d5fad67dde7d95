"""What is taken of an earlier sweep's log to learn from."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import made_up_sweep
import pytest
from made_up_sweep import CONFIG, trial_records

from sweeps.config import parse_config
from sweeps.errors import ResultsError
from sweeps.log.line import decode, encode, unfit
from sweeps.results.earlier_sweep import lessons_of, read_earlier
from sweeps.study import Study

PARAMS = {"epochs": 3, "batch_size": 32, "learning_rate": 1e-3, "model.hidden": [128, 64], "optimizer.use": "adam"}
LESSON = {"number": 0, "params": PARAMS, "outcome": "diverged", "value": None, "epoch": 0}


def folder(path: Path) -> Path:
    """A sweep with an end of each kind."""
    lives: list[tuple[list[float], str]] = [
        ([0.5, 0.7], "completed"),
        ([0.3], "pruned"),
        ([0.4, math.nan], "diverged"),
        ([math.nan], "diverged"),
        ([0.6], "failed"),
        ([0.6], "running"),
    ]
    made: list[Any] = [made_up_sweep.run_record()]
    for number, (values, outcome) in enumerate(lives):
        made += trial_records(number, values, outcome, {**PARAMS, "epochs": 12 if number == 1 else 3})
    return made_up_sweep.write(path / "other", made)


def test_trials_with_a_result_are_taken_with_their_last_finite_value(tmp_path: Path) -> None:
    config = parse_config(CONFIG)
    lessons = lessons_of(read_earlier(str(folder(tmp_path)), config.objective), config)
    assert [(each["number"], each["outcome"], each["value"], each["epoch"]) for each in lessons.trials] == [
        (0, "completed", 0.7, 2),
        (1, "pruned", 0.3, 1),
        (2, "diverged", 0.4, 1),
        (3, "diverged", None, 0),
    ]
    assert lessons.trials[0]["params"] == {**PARAMS, "model.hidden": (128, 64)}
    assert lessons.said == f"learns from 4 of 6 trials of {tmp_path / 'other'}: 2 have no result"
    study = Study(config)
    for each in lessons.trials:
        study.learn(each["params"], each["outcome"], each["value"], each["epoch"])
    assert study.ask() is not None


def test_another_model_or_dataset_is_said_and_a_space_that_nothing_fits_is_refused(tmp_path: Path) -> None:
    changes = ["model.use=models.cnn:CNN", "search_space.epochs.high=5", "name=new"]
    config = parse_config(CONFIG, changes)
    earlier = read_earlier(str(folder(tmp_path)), config.objective)
    said = lessons_of(earlier, config).said.partition(": ")[2]
    unfit_one = "1 do not fit this search space (epochs is 12, which must be from 1 to 5 here)"
    assert said == f"{unfit_one}; 2 have no result; its model was models.mlp:MLP"
    with pytest.raises(ResultsError, match=r"nothing to learn from .*: of 6 trials 4 do not fit .*; 2 have no result"):
        lessons_of(earlier, parse_config(CONFIG, ["search_space.batch_size=64"]))


def test_a_record_of_trials_is_read_back_as_it_was_written_and_one_that_is_none_is_not_trusted() -> None:
    record = {"kind": "warm_start", "source": "results/other", "trials": [LESSON]}
    read = decode(encode(record)[:-1])
    assert isinstance(read, dict)
    assert read["trials"][0]["params"]["model.hidden"] == (128, 64)
    assert unfit(read) == ""
    for wrong in ({"trials": 3}, {"source": None}, {"trials": [{}]}, {"trials": [{**LESSON, "epoch": None}]}):
        assert unfit({**record, **wrong}) == (
            "its source must be text, and its trials mappings of what they have had and come to"
        )
