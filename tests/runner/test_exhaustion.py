"""A search space that is smaller than the budget ends the sweep, and that is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweeping import finish, follow, records, small

from sweeps.command.run import more
from sweeps.runner.budget import exhaustion, total_trials

FOUR = {
    "epochs": 1,
    "batch_size": {"type": "categorical", "choices": [8, 20]},
    "learning_rate": {"type": "categorical", "choices": [0.01, 0.02]},
}
SAID = "all 4 configurations of the search space have been tried, which ends the sweep before its 9 trials"


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_sweep_ends_when_all_configurations_have_been_tried_and_says_so(sampler: str, tmp_path: Path) -> None:
    swept = small(search_space=FOUR, sampler={"use": sampler}, budget={"trials": 9})
    looks = list(follow(swept, tmp_path))
    assert {look.total for look in looks} == {4}
    assert sum(SAID in line for look in looks for line in look.news) == 1
    results = finish(swept, tmp_path)  # which has nothing left to do
    assert sorted(zip(results.trials["params_batch_size"], results.trials["params_learning_rate"], strict=True)) == [
        (8, 0.01), (8, 0.02), (20, 0.01), (20, 0.02)
    ]  # fmt: skip
    assert len(records(tmp_path, "run")) == 1
    assert more(swept, results.logged.trials.values()).startswith(SAID.replace("all 4", "All 4"))
    wider = small(
        search_space={**FOUR, "batch_size": {"type": "categorical", "choices": [8, 20, 53]}}, budget={"trials": 9}
    )
    assert total_trials(wider, results.logged.trials.values()) == 6
    assert exhaustion(wider, results.logged.trials.values()) == ""


def test_repeated_trials_use_up_the_budget(tmp_path: Path) -> None:
    trials = finish(small(search_space=FOUR, budget={"trials": 6}, duplicates="repeat"), tmp_path).trials
    assert len(trials) == 6
    pairs = trials[["params_batch_size", "params_learning_rate"]]
    assert pairs.duplicated().any()
