"""Sweeps that are continued with another config: what is refused, what goes on, and what the tables say of it."""

from __future__ import annotations

import hashlib
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from resuming import Said, assert_same_tables
from sweeping import config, finish, follow, records, small

import sweeps
from sweeps import environment, machine
from sweeps.config import SweepConfig
from sweeps.config.changes import fingerprint
from sweeps.config.code_fingerprint import sources
from sweeps.datasets.loading import Datasets
from sweeps.errors import ResultsError
from sweeps.log.line import decode, encode
from sweeps.runner import start
from sweeps.runner.earlier_runs import EarlierRuns
from sweeps.runner.journal import Journal
from sweeps.training import models
from sweeps.user_code import project_folders

NARROW: dict[str, Any] = {
    "epochs": {"type": "int", "low": 1, "high": 2},
    "batch_size": {"type": "categorical", "choices": [8, 20]},
    "learning_rate": {"type": "float", "low": 0.01, "high": 0.02, "log": True},
}
WIDE: dict[str, Any] = {
    "epochs": {"type": "int", "low": 1, "high": 4},
    "batch_size": {"type": "categorical", "choices": [53, 8, 20]},
    "learning_rate": {"type": "float", "low": 0.001, "high": 0.05, "log": True},
}


def force(swept: SweepConfig, results: Path) -> sweeps.Results:
    for _ in start.follow(swept, results, Datasets(), allow_changed=True):
        pass
    return sweeps.load(results / swept.name)


@pytest.mark.parametrize("sampler", ["random", "tpe", "cmaes"])
def test_a_search_space_that_has_grown_is_continued_without_force(sampler: str, tmp_path: Path) -> None:
    common = {"sampler": {"use": sampler}, "pruner": {"use": "hyperband"}}
    finish(small(**common, search_space=NARROW, budget={"trials": 6}), tmp_path)
    trials = finish(small(**common, search_space=WIDE, budget={"trials": 18}), tmp_path).trials
    assert trials["number"].tolist() == list(range(18))
    assert trials["params_learning_rate"][:6].between(0.01, 0.02).all()
    assert not trials["params_learning_rate"][6:].between(0.01, 0.02).all()
    assert trials["config"].nunique() == 1


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_grid_that_has_grown_trains_what_is_new_in_it_and_nothing_twice(shuffle: bool, tmp_path: Path) -> None:
    def grid(sizes: list[int], rates: list[float]) -> SweepConfig:
        space = {
            "epochs": 1,
            "batch_size": {"type": "categorical", "choices": sizes},
            "learning_rate": {"type": "categorical", "choices": rates},
        }
        return small(sampler={"use": "grid", "shuffle": shuffle}, search_space=space, budget={})

    finish(grid([8, 20], [0.01, 0.02]), tmp_path)
    swept = grid([8, 20, 53], [0.03, 0.01, 0.02])
    trials = finish(swept, tmp_path).trials
    pairs = list(zip(trials["params_batch_size"], trials["params_learning_rate"], strict=True))
    first = [(8, 0.01), (8, 0.02), (20, 0.01), (20, 0.02)]
    assert (sorted(pairs[:4]) if shuffle else pairs[:4]) == first
    assert sorted(pairs) == sorted((size, rate) for size in (8, 20, 53) for rate in (0.01, 0.02, 0.03))
    assert list(follow(swept, tmp_path)) == []
    finish(grid([8, 20, 53, 4], [0.03, 0.01, 0.02]), tmp_path)
    assert len(sweeps.load(tmp_path / "small").trials) == 12


def mark(swept: SweepConfig) -> str:
    return fingerprint(swept, sources(swept))


def test_trials_after_a_forced_change_are_marked_and_those_before_it_stay_as_they_were(tmp_path: Path) -> None:
    before, after = small(budget={"trials": 3}), small(seed=5, budget={"trials": 6})
    first = finish(before, tmp_path).trials
    trials = force(after, tmp_path).trials
    assert trials["config"].tolist() == [mark(before)] * 3 + [mark(after)] * 3
    assert trials["value"][:3].tolist() == first["value"].tolist()
    assert trials["seed"].tolist() == [0] * 3 + [5] * 3
    assert [run["changes"] for run in records(tmp_path, "run")] == [
        [],
        ["seed: 0 before, 5 now", "budget.trials: 3 before, 6 now"],
    ]
    finish(small(seed=5, budget={"trials": 7}), tmp_path)  # it is this config's sweep from now on


def test_a_trial_that_starts_again_is_marked_with_the_config_that_it_ended_under(tmp_path: Path) -> None:
    run = follow(small(budget={"trials": 4}), tmp_path)
    for progress in run:
        if progress.done >= 1:
            break
    run.close()  # type: ignore[attr-defined]  # it is a generator
    after = small(seed=5, budget={"trials": 4})
    trials = force(after, tmp_path).trials
    assert set(trials["outcome"]) == {"completed"}
    again = trials["attempt"] == 2
    assert again.any()
    assert set(trials["config"][again]) == {mark(after)}


def test_another_model_can_be_forced_and_the_best_of_the_old_one_is_not_tested_with_it(tmp_path: Path) -> None:
    narrow = config(model={"use": "sweeping:curved", "width": 6}, budget={"trials": 4}, lanes=1)
    run = follow(narrow, tmp_path)
    for progress in run:
        if progress.best is not None:
            break
    run.close()  # type: ignore[attr-defined]  # it is a generator
    wide = config(model={"use": "sweeping:curved", "width": 5}, budget={"trials": 4, "target": 1e9}, lanes=1)
    results = force(wide, tmp_path)
    assert results.best is not None
    assert results.best.number == 0
    assert results.best.test == {}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"search_space": {**WIDE, "learning_rate": NARROW["learning_rate"]}}, "do not fit this search space"),
        ({"search_space": {**WIDE, "optimizer.momentum": {"type": "float", "low": 0, "high": 1}}}, "do not fit"),
        ({"enqueue": [{"epochs": 4, "learning_rate": 0.011}]}, "do not fit this search space.* was to be tried"),
        ({"objective": {"metric": "train_loss", "direction": "minimize"}}, "another config.*\nobjective.metric"),
    ],
)
def test_what_the_past_trials_cannot_be_part_of_is_refused_by_force_too_and_nothing_is_written(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    finish(small(search_space=WIDE, budget={"trials": 6}), tmp_path)
    folder = tmp_path / "small"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(ResultsError, match=f"(?s){said}"):
        force(small(**{"search_space": WIDE, "budget": {"trials": 9}, **changes}), tmp_path)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert len(finish(small(search_space=WIDE, budget={"trials": 7}), tmp_path).trials) == 7


def test_the_records_of_earlier_runs_are_let_go_once_the_sweep_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    earlier: list[weakref.ref[EarlierRuns]] = []
    opened, record = Journal.open, Journal.record

    def opening(*arguments: Any) -> tuple[Journal, EarlierRuns]:
        journal, runs = opened(*arguments)
        earlier.append(weakref.ref(runs))
        return journal, runs

    def watched(self: Journal, kind: str, **fields: Any) -> None:
        runs = earlier[0]()
        seen.append(0 if runs is None else len(runs.records))
        record(self, kind, **fields)

    finish(small(budget={"trials": 2}), tmp_path)
    monkeypatch.setattr(Journal, "open", opening)
    monkeypatch.setattr(Journal, "record", watched)
    finish(small(budget={"trials": 4}), tmp_path)
    assert seen[0] > 0
    assert set(seen[1:]) == {0}


# ---- code that has changed -------------------------------------------------------------------------------------------

MODEL = """\
from helpers import scaled


def model(input_shape, outputs):
    return (lambda key: {"w": scaled(*input_shape, outputs)}, lambda params, x: x @ params["w"])
"""
HELPERS = "import jax.numpy as jnp\n\n\ndef scaled(*shape):\n    return jnp.full(shape, 0.1)\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project of its own: a model, and a module that it imports."""
    (tmp_path / "own_model.py").write_text(MODEL)
    (tmp_path / "helpers.py").write_text(HELPERS)
    monkeypatch.chdir(tmp_path)
    with project_folders(None):
        yield tmp_path
    for name in ("own_model", "helpers"):
        sys.modules.pop(name, None)


def own(trials: int) -> SweepConfig:
    return small(model={"use": "own_model:model"}, budget={"trials": trials})


def test_code_that_a_config_names_and_what_that_imports_are_known_by_their_text(project: Path) -> None:
    found = sources(own(1))
    assert sorted(found) == ["helpers", "own_model"]
    assert found["helpers"] == hashlib.sha256(HELPERS.encode()).hexdigest()[:12]
    (project / "broken.py").write_text("def (")
    assert list(sources(small(model={"use": "broken:model"}))) == ["broken"]
    assert sources(small(model={"use": "flax.nnx:Linear"})) == {}


def test_changed_code_is_refused_by_name_and_can_be_forced_and_then_marks_the_trials(project: Path) -> None:
    finish(own(2), project / "results")
    finish(own(3), project / "results")
    (project / "helpers.py").write_text(HELPERS.replace("0.1", "0.2"))
    with pytest.raises(ResultsError) as refusal:
        finish(own(4), project / "results")
    first, *changed = str(refusal.value).splitlines()
    assert "holds a sweep with other code. --allow-changed continues it" in first
    assert len(changed) == 1
    assert changed[0].startswith("code.helpers: ")
    trials = force(own(4), project / "results").trials
    assert trials["config"].nunique() == 2
    assert trials["config"][:3].nunique() == 1
    finish(own(5), project / "results")  # it is this code's sweep from now on


# ---- data that have changed ------------------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Twenty rows of y = 2 x."""
    file = tmp_path / "rows.csv"
    file.write_text("x,y\n" + "".join(f"{x}.5,{2 * x + 1}.25\n" for x in range(20)))
    return file


def of_table(file: Path, trials: int, **changes: Any) -> dict[str, Any]:
    return {
        "name": "table",
        "dataset": {"use": "csv", "path": str(file), "target": "y"},
        "model": {"use": "sweeping:flat"},
        "loss": "mean_squared_error",
        "optimizer": {"use": "sgd"},
        "search_space": {"epochs": 2, "batch_size": 4, "learning_rate": {"type": "float", "low": 1e-4, "high": 1e-3}},
        "objective": {"metric": "valid_loss", "direction": "minimize"},
        "budget": {"trials": trials},
        **changes,
    }


def test_data_that_have_changed_are_refused_by_name_and_can_be_forced_and_then_mark_the_trials(table: Path) -> None:
    results = table.parent / "results"
    sweeps.run(of_table(table, 2), results)
    sweeps.run(of_table(table, 3), results)  # the same rows
    table.write_text(table.read_text().replace("0.5,1.25", "0.5,9.25"))
    for trials in (3, 4):  # nothing left to do is said of the same data only
        with pytest.raises(ResultsError) as refusal:
            sweeps.run(of_table(table, trials), results)
        first, changed = str(refusal.value).splitlines()
        assert "holds a sweep with other data. --allow-changed continues it" in first
        assert changed.startswith("data.csv(path=")
    trials = sweeps.run(of_table(table, 4), results, allow_changed=True).trials
    assert trials["config"].nunique() == 2
    assert trials["config"].iloc[:3].nunique() == 1
    assert sweeps.run(of_table(table, 5), results).trials["config"].iloc[3:].nunique() == 1, "and go on by themselves"


def test_a_trial_that_is_trained_again_on_other_data_says_so(table: Path) -> None:
    results = table.parent / "results"
    sweeps.run(of_table(table, 1), results)
    assert "environment: the same" in Said(results / "table", 0).text
    table.write_text(table.read_text().replace("0.5,1.25", "0.5,9.25"))
    again = Said(results / "table", 0)
    assert not again.is_same
    assert "have changed" in again.text


def loaded(input_shape: tuple[int, ...], outputs: int, path: str, is_used: bool) -> Any:
    """A linear model that begins at the weights in a file, or that adds what they give."""
    read = np.load(path)

    def init(key: jax.Array) -> Any:
        return {"kernel": jnp.zeros((*input_shape, outputs)) if is_used else jnp.asarray(read)}

    return init, lambda params, x: x @ params["kernel"] + (x @ read if is_used else 0)


def drawn(input_shape: tuple[int, ...], outputs: int) -> Any:
    """A linear model that begins somewhere else in each process."""
    begin = np.random.default_rng().normal(size=(*input_shape, outputs)).astype(np.float32)
    return lambda key: {"kernel": jnp.asarray(begin)}, lambda params, x: x @ params["kernel"]


@pytest.mark.parametrize("is_used", [False, True], ids=["begins at them", "adds what they give"])
def test_weights_that_a_model_reads_are_refused_by_name_when_they_have_changed(table: Path, is_used: bool) -> None:
    results, file = table.parent / "results", table.parent / "weights.npy"
    model = {"use": "test_resume:loaded", "path": str(file), "is_used": is_used}
    np.save(file, np.float32([[0.5]]))
    sweeps.run(of_table(table, 1, model=model), results)
    forget_models()
    sweeps.run(of_table(table, 2, model=model), results)  # the same weights
    np.save(file, np.float32([[0.25]]))
    forget_models()
    with pytest.raises(ResultsError, match=r"other data.*\ndata\.weights of test_resume:loaded\("):
        sweeps.run(of_table(table, 3, model=model), results)
    assert "  the weights of test_resume:loaded(" in Said(results / "table", 0).text
    trials = sweeps.run(of_table(table, 3, model=model), results, allow_changed=True).trials
    assert trials["config"].nunique() == 2


def test_a_model_that_begins_at_random_by_itself_has_no_weights_that_could_change(table: Path) -> None:
    for trials in (1, 2):
        forget_models()
        sweeps.run(of_table(table, trials, model={"use": "test_resume:drawn"}), table.parent / "results")
    assert not any(name.startswith("weights") for name in records(table.parent / "results", "run", "table")[0]["data"])


def forget_models() -> None:
    """As a new process would."""
    models._BUILT.clear()


def test_a_log_without_checksums_of_data_goes_on(table: Path) -> None:
    results = table.parent / "results"
    sweeps.run(of_table(table, 1), results)
    log = results / "table" / "log" / "worker-0.jsonl"
    records = [decode(line) for line in log.read_bytes().splitlines()]
    log.write_bytes(b"".join(encode({k: v for k, v in record.items() if k != "data"}) for record in records))
    assert sweeps.run(of_table(table, 2), results).trials["config"].nunique() == 1


def test_a_sweep_that_goes_on_with_fewer_cores_keeps_its_lanes_and_what_it_proposes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learning = {"sampler": {"use": "tpe", "n_startup_trials": 2}, "lanes": "auto", "budget": {"trials": 8}}
    monkeypatch.setattr(machine, "cores", lambda: 2)
    whole = finish(small(**learning), tmp_path / "whole")
    begun = follow(small(**learning), tmp_path)
    next(look for look in begun if look.done >= 3)
    begun.close()  # type: ignore[attr-defined]  # it is a generator
    monkeypatch.setattr(machine, "cores", lambda: 1)
    monkeypatch.setattr(environment, "_processor", lambda: "another one")
    first, lanes = [warning for look in follow(small(**learning), tmp_path) for warning in look.warnings]
    assert first.startswith("since the last run: processor: ")
    assert first.endswith(" then, another one now. Numbers may differ by rounding, and proposals with them")
    advice = "`lanes: 2` would fit this machine, and change what is proposed"
    assert lanes == f"4 lanes as in earlier runs of this sweep; {advice}"
    assert [record["lanes"] for record in records(tmp_path, "run")] == [{"cpu": 4}] * 2
    assert_same_tables(whole, sweeps.load(tmp_path / "small"))
    looks = list(follow(small(**{**learning, "budget": {"trials": 9}, "lanes": 3}), tmp_path))
    assert (looks[0].lanes, [warning for look in looks for warning in look.warnings]) == (3, [])
