"""Any file of a results folder may be cut or changed: what is read is right or absent, and there is always a message.

Again and again one file of a sweep that was stopped is cut off at a random place, or a bit of it is turned over (a
thousand times in a long run). Then
`sweep show`, `sweeps.load` and `sweep doctor` must answer: never with a traceback, never with a number that is not the
original's, and the doctor must notice. Some of the folders are then run to the end, which must give the tables of a
sweep that was never stopped.
"""

from __future__ import annotations

import io
import json
import math
import platform
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import sweeping
from counts import IS_LONG, SEED, counted, part
from rich.console import Console
from sweeping import small, timeless

import sweeps
from sweeps.command import doctor as command_doctor
from sweeps.command import show as command_show
from sweeps.datasets.loading import Datasets
from sweeps.doctor import examine
from sweeps.errors import ResultsError
from sweeps.results import summary
from sweeps.results.summary import read_summary
from sweeps.runner import start
from sweeps.stop_request import StopRequest

pytestmark = pytest.mark.slow
TRIES, RUNS = (1000, 40) if IS_LONG else (100, 6)
TRIALS = 12
KINDS = ("run", "ask", "start", "epoch", "outcome", "best", "stop", "resume", "set_out")
UNPROTECTED = (".owner", ".torn-1")
"""Endings of files that no number is read from, and that may hold anything."""
LOG = "log/worker-0.jsonl"
LATE = ("running", "waiting")


class Original(NamedTuple):
    """A sweep that was stopped, continued and stopped again: its folder, what is in it, and its results.

    `ends` and `epochs` are the tables of a sweep of the same trials that was never stopped, and that pruned none.
    """

    folder: Path
    files: dict[str, bytes]
    trials: pd.DataFrame
    history: pd.DataFrame
    best: Any
    config_text: str
    ends: pd.DataFrame
    epochs: pd.DataFrame


def config() -> Any:
    searched = {
        "epochs": {"type": "int", "low": 3, "high": 6},
        "batch_size": {"type": "categorical", "choices": [8, 20, 53]},
        "learning_rate": {"type": "float", "low": 1e-3, "high": 0.05, "log": True},
    }
    pruner = {"use": "median", "n_startup_trials": 2, "n_warmup_steps": 1}
    metrics = ["mean_absolute_error"]
    return small(search_space=searched, lanes=4, budget={"trials": TRIALS}, pruner=pruner, metrics=metrics)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    results = tmp_path_factory.mktemp("results")
    for done in (TRIALS // 4, TRIALS // 2):
        request = StopRequest()
        for progress in start.follow(config(), results, Datasets(), request=request):
            if progress.done >= done:
                request.make("SIGTERM")
    folder = results / "small"
    (folder / ".owner").write_text(json.dumps({"process": 2**22 + 1, "host": platform.node(), "born": "0"}))
    (folder / "log" / "worker-0.torn-1").write_bytes(b'{"kind":"epoch","number":')
    found = sweeps.load(folder)
    files = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    best = found.best
    assert best is not None
    assert len(best.parameters) == 2
    unpruned = config().model_copy(update={"pruner": small().pruner})
    end = sweeping.finish(unpruned, tmp_path_factory.mktemp("end"))
    return Original(
        folder, files, found.trials, found.history, best, found.config_text, end.trials, timeless(end.history)
    )


@pytest.fixture
def folder(original: Original, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original.folder, tmp_path / "small"))


def damages(original: Original, names: list[str], tries: int) -> Iterator[tuple[str, bytes]]:
    """One file at a time, cut off or with a bit turned over: its name, and what it holds now."""
    chance = random.Random(SEED)
    for index in range(SEED, SEED + tries):
        name = names[index % len(names)]
        content = original.files[name]
        at = chance.randrange(len(content))
        if chance.random() < 0.5:
            yield name, content[:at]
        else:
            yield name, content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]


def restore(original: Original, folder: Path) -> None:
    """Make the folder what it was."""
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    for name in there - original.files.keys():
        (folder / name).unlink()
    for name, content in original.files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)


# ---- what must hold --------------------------------------------------------------------------------------------------


def is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def check_trials(original: Original, trials: pd.DataFrame) -> None:
    """Every cell is the original's, or is missing, or is of the trial when it had not gone so far."""
    before = original.trials.set_index("number")
    for row in trials.to_dict("records"):
        number = row.pop("number")
        expected = before.loc[number].to_dict()
        is_earlier = row["outcome"] in LATE and expected["outcome"] != row["outcome"]
        if is_earlier or row["epochs_run"] < expected["epochs_run"]:
            assert row["outcome"] in LATE
            expected |= earlier(original, number, row["epochs_run"])
            expected |= {name: row[name] for name in ("state", "outcome", "best_epoch", "attempt")}
        for name, value in row.items():
            assert is_missing(value) or value == expected[name], (number, name, value, expected[name])


def earlier(original: Original, number: int, epochs: int) -> dict[str, Any]:
    """A trial's figures after so many epochs."""
    rows = original.history[(original.history["number"] == number) & (original.history["epoch"] <= epochs)]
    last = rows[rows["epoch"] == epochs].to_dict("records")
    names = ("iterations", "train_loss", "valid_loss", "valid_mean_absolute_error")
    figures = {name: last[0][name] for name in names} if last else dict.fromkeys(names, 0)
    seconds = math.fsum(rows["seconds"])
    examples = 53 * epochs
    return {**figures, "epochs_run": epochs, "train_seconds": seconds, "examples_seen": examples}


def check_rows(history: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Every row of the one is a row of the other."""
    keys = ["number", "repeat", "epoch"]
    both = history.merge(expected, on=keys, how="left", suffixes=("", "_before"), indicator=True)
    assert (both["_merge"] == "both").all()
    for name in history.columns.drop(keys):
        np.testing.assert_array_equal(both[name], both[f"{name}_before"])


def check_loaded(original: Original, folder: Path) -> None:
    try:
        results = sweeps.load(folder)
    except ResultsError:
        return
    check_trials(original, results.trials)
    check_rows(results.history, original.history)
    assert results.config_text == original.config_text
    best, before = results.best, original.trials.set_index("number")
    if best is None:
        return
    assert best.value == before.loc[best.number, "value"]
    assert best.test == {}
    try:
        parameters = best.parameters
    except ResultsError:
        return
    assert best.number == original.best.number
    assert parameters.keys() == original.best.parameters.keys()
    for name, array in parameters.items():
        np.testing.assert_array_equal(array, original.best.parameters[name])


def check_shown(original: Original, folder: Path) -> None:
    before = original.trials.set_index("number")
    try:
        seen = read_summary(folder)
        command_show.show(Console(file=io.StringIO(), width=80), folder, 20)
    except ResultsError:
        return
    assert (seen.metric, seen.direction) == ("valid_loss", "minimize")
    for number, entry in seen.logged.trials.items():
        row = before.loc[number]
        assert math.isnan(entry.value) or entry.value == row["value"]
        assert entry.outcome in (*LATE, row["outcome"])
        for name, value in entry.params.items():
            assert value == row[f"params_{name}"]


def diagnosed(folder: Path) -> tuple[bool, str]:
    """Whether the doctor finds nothing wrong, and what it says."""
    console = Console(file=io.StringIO(), width=80)
    is_well = command_doctor.command(console, folder)
    return is_well, console.file.getvalue()  # type: ignore[attr-defined]


# ---- the tries -------------------------------------------------------------------------------------------------------


def test_the_folder_has_every_kind_of_file_and_nothing_is_wrong_with_it(original: Original) -> None:
    folders = {name.partition("/")[0] for name in original.files}
    assert folders >= {
        ".owner", "best", "checkpoints", "config.yaml", "environment.json", "history.csv", "history.parquet", "log",
        "tables.jsonl", "trials.csv", "trials.parquet",
    }  # fmt: skip
    assert set(original.trials["outcome"]) >= {"completed", "pruned", "running"}
    assert diagnosed(original.folder)[0]


def test_no_damage_gives_a_traceback_or_a_wrong_number_and_the_doctor_sees_it(
    original: Original, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in damages(original, list(original.files), TRIES):
        (folder / name).write_bytes(content)
        for short_log in (0, 10**9):
            monkeypatch.setattr(summary, "SHORT_LOG_BYTES", short_log)
            check_shown(original, folder)
        check_loaded(original, folder)
        is_well, text = diagnosed(folder)
        assert text
        assert not is_well or name.endswith(UNPROTECTED), (name, text)
        (folder / name).write_bytes(original.files[name])
    counted("a file of a results folder is cut, or a bit of it flipped, and everything is read", f"{TRIES:,} times")


def test_the_next_run_goes_on_and_comes_to_the_same_numbers(
    original: Original, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Pruning may come earlier or later than without the damage; no epoch comes to other numbers."""
    names = [each for other in original.files for each in (LOG, other) if other not in (".owner", LOG)]
    for name, content in damages(original, names, RUNS):
        check_next_run(original, folder, name, content)
        assert name != LOG or "the log is damaged" in caplog.text or "is set aside" in caplog.text
        caplog.clear()
    counted("the same, and the sweep is run on", f"{RUNS} times")


def test_the_next_run_goes_on_whichever_line_of_the_log_is_lost(original: Original, folder: Path) -> None:
    lines = original.files[LOG].splitlines(keepends=True)
    assert {kind for line in lines for kind in KINDS if f'"kind":"{kind}"'.encode() in line} == set(KINDS)
    for index in part(len(lines), 15):
        line = lines[index]
        content = b"".join([*lines[:index], line.replace(b'"time":"2', b'"time":"3'), *lines[index + 1 :]])
        check_next_run(original, folder, LOG, content)


def test_a_sweep_ends_although_the_log_has_lost_the_proposal_of_its_best_trial(tmp_path: Path) -> None:
    best = sweeping.finish(config(), tmp_path).best
    assert best is not None
    log = tmp_path / "small" / LOG
    lines = [line for line in log.read_bytes().splitlines() if b'"kind":"test"' not in line]
    kept = [line for line in lines if b'"kind":"ask"' not in line or f'"number":{best.number},'.encode() not in line]
    assert len(kept) == len(lines) - 1
    log.write_bytes(b"".join(line + b"\n" for line in kept[:-1]))  # without the record that the sweep is over
    again = sweeping.finish(config(), tmp_path).best
    assert again is not None
    assert (again.number, again.value, again.params, again.test) == (best.number, best.value, {}, {})


@pytest.mark.parametrize("name", ["parameters.npz", "best.json"])
def test_a_sweep_that_is_over_makes_damaged_best_parameters_again_and_nothing_else(tmp_path: Path, name: str) -> None:
    before = sweeping.finish(config(), tmp_path)
    assert before.best is not None
    parameters, path = before.best.parameters, tmp_path / "small" / "best" / name
    path.write_bytes(path.read_bytes()[:-1])
    after = sweeping.finish(config(), tmp_path)
    assert after.best is not None
    assert after.best.test == before.best.test
    for key, array in after.best.parameters.items():
        np.testing.assert_array_equal(array, parameters[key])
    pd.testing.assert_frame_equal(after.trials, before.trials)
    assert diagnosed(tmp_path / "small")[0]
    assert list(start.follow(config(), tmp_path, Datasets())) == []


def check_next_run(original: Original, folder: Path, name: str, content: bytes) -> None:
    restore(original, folder)
    (folder / name).write_bytes(content)
    (folder / ".owner").write_bytes(b"")
    for _ in start.follow(config(), folder.parent, Datasets()):
        pass
    check_end(original, sweeps.load(folder))
    wrong = [finding for finding in examine(folder) if finding.is_wrong]
    assert {finding.part for finding in wrong} <= {"log", "trials"}, (name, wrong)


def check_end(original: Original, results: sweeps.Results) -> None:
    trials, ends = results.trials.set_index("number"), original.ends.set_index("number")
    assert trials.index.tolist() == list(range(TRIALS))
    check_rows(timeless(results.history), original.epochs)
    for number, row in trials.iterrows():
        match row["outcome"]:
            case "completed":
                for column in timeless(trials, "attempt", "worker", "outcome", "state", "reason", "config"):
                    assert is_missing(row[column]) or row[column] == ends.loc[number, column], (number, column)
            case "pruned":
                assert is_missing(row["valid_loss"]) or row["value"] == row["valid_loss"]
            case outcome:
                assert outcome == "failed"
                assert "lost" in row["reason"]
