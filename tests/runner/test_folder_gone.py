"""A results folder that is deleted, moved or replaced while its sweep runs: nothing that was trained is lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from resuming import assert_same_tables, story
from sweeping import finish, follow, small

import sweeps
from sweeps.errors import FolderGoneError, ResultsError
from sweeps.storage import lock
from sweeps.storage.paths import RunFolder

LONG = small(
    search_space={"epochs": 30, "batch_size": 8, "learning_rate": {"type": "float", "low": 0.001, "high": 0.05}},
    budget={"trials": 6},
)
OTHERS = small(budget={"trials": 3}, seed=5)


def delete(folder: Path) -> None:
    shutil.rmtree(folder)


def move(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def replace(folder: Path) -> None:
    """Another process begins a sweep of the same name, and ends it."""
    delete(folder)
    finish(OTHERS, folder.parent)


def take(folder: Path) -> None:
    """Another host has taken this process for dead."""
    (folder / ".owner").write_text(json.dumps({"process": 7, "host": "far", "since": "today"}) + "\n")


def append(folder: Path) -> None:
    with (folder / "log" / "worker-0.jsonl").open("ab") as log:
        log.write(b"of another process\n")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("undisturbed")
    finish(LONG, results)
    return results


@pytest.mark.parametrize(
    ("mishap", "said"),
    [
        (delete, "was deleted while"),
        (move, r"was moved to .*/elsewhere while"),
        (replace, "was replaced by another while"),
        (take, "was taken by process 7 on far since today while"),
        (append, "was changed by another process"),
    ],
)
def test_what_was_trained_goes_on_from_a_fresh_folder_beside_the_one_that_is_gone(
    mishap: Callable[[Path], None], said: str, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "RENEW_S", 0.0)
    folder, fresh = tmp_path / "small", tmp_path / "small-recovered-1"
    run = follow(LONG, tmp_path)
    done = next(look.done for look in run if look.done >= 2)
    mishap(folder)
    others = story(tmp_path) if mishap is replace else []
    with pytest.raises(FolderGoneError, match=said) as told:
        list(run)
    assert f"rename it to {folder}, and the same command continues" in str(told.value)
    assert f"is in {fresh}:" in str(told.value)
    assert mishap is not delete or not folder.exists()
    assert mishap is not replace or story(tmp_path) == others
    outcomes = sweeps.load(fresh).trials["outcome"].tolist()
    assert outcomes.count("completed") >= done
    assert (fresh / "config.yaml").exists()
    assert (fresh / "environment.json").exists()
    assert list((fresh / "checkpoints").iterdir())
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    assert_same_tables(finish(LONG, tmp_path), sweeps.load(undisturbed / "small"))
    assert story(tmp_path) == story(undisturbed)


def test_results_without_their_log_are_refused(undisturbed: Path, tmp_path: Path) -> None:
    shutil.copytree(undisturbed / "small", tmp_path / "small")
    shutil.rmtree(tmp_path / "small" / "log")
    with pytest.raises(ResultsError, match=r"holds results \(trials\.parquet, .*, best\) but no log"):
        RunFolder(tmp_path / "small").prepare()
    (tmp_path / "small" / "log").mkdir()
    (tmp_path / "small" / "log" / "worker-0.jsonl").touch()
    RunFolder(tmp_path / "small").prepare()
