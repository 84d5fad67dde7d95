"""How often a whole sweep compiles its training program, as JAX counts it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweeping import config, counting_compilations, finish, records, small

pytestmark = pytest.mark.usefixtures("compiling_anew")


def test_a_numeric_sweep_of_64_trials_compiles_its_training_program_once(tmp_path: Path) -> None:
    space = {
        "epochs": {"type": "int", "low": 1, "high": 4},
        "batch_size": {"type": "int", "low": 1, "high": 53},
        "learning_rate": {"type": "float", "low": 1e-3, "high": 1.0, "log": True},
        "optimizer.momentum": {"type": "float", "low": 0.0, "high": 0.95},
    }
    with counting_compilations() as compiled:
        results = finish(config(search_space=space, budget={"trials": 64}), tmp_path)
    assert len(results.trials) == 64
    assert results.trials[["params_epochs", "params_batch_size"]].drop_duplicates().shape[0] > 32
    assert len(compiled) == 1
    assert [record["compilations"] for record in records(tmp_path, "finish")] == [1]


def test_every_static_choice_compiles_a_program_of_its_own(tmp_path: Path) -> None:
    space = {
        **small().search_space,
        "model.width": {"type": "categorical", "choices": [4, 6]},
        "optimizer.use": {"type": "categorical", "choices": ["sgd", "sign_sgd"]},
    }
    common = {"epochs": 1, "batch_size": 8}
    known = [
        {**common, "learning_rate": rate, "model.width": width, "optimizer.use": use}
        for width, use, rate in [(4, "sgd", 0.01), (6, "sgd", 0.01), (4, "sgd", 0.02), (4, "sign_sgd", 0.01)]
    ]
    swept = small(
        model={"use": "sweeping:curved"}, optimizer={}, search_space=space, enqueue=known, budget={"trials": 4}
    )
    with counting_compilations() as compiled:
        results = finish(swept, tmp_path)
    assert results.trials["outcome"].tolist() == ["completed"] * 4
    assert len(compiled) == 3
