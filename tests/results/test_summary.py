"""A glance at a results folder says what its whole log says, whichever way it looks."""

from __future__ import annotations

import io
import math
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sweeps.command import show as command_show
from sweeps.errors import ResultsError
from sweeps.log.jsonl import LogWriter, read_log, timestamp
from sweeps.log.trials import LoggedTrials
from sweeps.results import summary
from sweeps.results.manifest import write_manifest
from sweeps.results.summary import read_summary
from sweeps.results.tables import TableFiles
from sweeps.storage.lock import FolderLock
from sweeps.storage.paths import RunFolder

CONFIG = """\
name: toy
dataset: {use: linear_regression}
model: {use: "models.linear:Linear"}
loss: mean_squared_error
search_space: {epochs: 2, batch_size: 500, learning_rate: {type: float, low: 1e-3, high: 1.0, log: true}}
objective: {metric: valid_loss, direction: minimize}
budget: {trials: 8}
"""
LONG, SHORT = 0, 10**9


def told(
    number: int, attempt: int = 1, value: float | None = None, word: str = "", **params: Any
) -> list[dict[str, Any]]:
    """What the log says of one trial's attempt."""
    common = {"time": timestamp(), "number": number, "attempt": attempt}
    figures = {"train_loss": 1.0, "valid_loss": 2.0, "metrics": {}, "seconds": 0.1}
    epoch = {"kind": "epoch", "repeat": 0, "epoch": 1, "iterations": 4, "examples": 9, **figures}
    records = [{"kind": "ask", "params": params}] if params else []
    records += [{"kind": "start", "seed": 1, "device": "cpu:0"}, epoch]
    ended = {"kind": "outcome", "outcome": word, "reason": "", "value": value, "epochs": 1}
    records += [ended] if word else []
    return [{**record, **common} for record in records]


RECORDS: list[dict[str, Any]] = [
    {"kind": "run", "time": timestamp()},
    *told(0, value=0.5, word="completed", a=1, b=(64, 32), c="relu"),
    *told(1, value=math.inf, word="diverged", a=2, b=(), c="\x1b[2Jtanh"),
    *told(2, word="interrupted", a=3, b=(1,), c="relu"),
    *told(3, value=0.25, word="completed", a=4, c="relu"),
    {"kind": "best", "time": timestamp(), "number": 3, "value": 0.25},
    *told(2, attempt=2, value=0.25, word="completed"),
    *told(2, attempt=1, value=0.1, word="completed"),
    *told(4, value=0.125, word="pruned", a=5, b=(2,)),
    *told(5, a=6),
    {"kind": "test", "time": timestamp(), "number": 3, "metrics": {"test_loss": 0.3, "test_nan": math.nan}},
    {"kind": "ask", "time": timestamp(), "number": 6, "params": {"a": 7}},
    {"kind": "finish", "time": timestamp(), "reason": "complete", "compilations": 1},
]


def folder_with(folder: Path, before: list[dict[str, Any]], since: list[dict[str, Any]]) -> Path:
    """A results folder whose tables hold `before`, and whose log goes on with `since`."""
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    with LogWriter(folder / "log", "worker-0") as writer:
        for record in before:
            writer.append(record)
        writer.flush()
        logged = LoggedTrials(read_log(folder / "log").records)
        TableFiles(logged, "valid_loss", "minimize", RunFolder(folder)).write()
        write_manifest(RunFolder(folder), logged, "valid_loss", "minimize", is_whole=True)
        for record in since:
            writer.append(record)
    return folder


def shown(folder: Path) -> str:
    file = io.StringIO()
    command_show.show(Console(file=file, width=80, highlight=False), folder, 10)
    return file.getvalue()


def through(folder: Path, monkeypatch: pytest.MonkeyPatch, short_log: int) -> tuple[str, int | None]:
    """What `sweep show` prints, and whose parameters are kept, with logs of fewer bytes taken for short ones."""
    monkeypatch.setattr(summary, "SHORT_LOG_BYTES", short_log)
    return shown(folder), read_summary(folder).logged.kept


@pytest.mark.rotating
@pytest.mark.parametrize("count", range(len(RECORDS) + 1))
def test_the_tables_and_the_log_since_say_what_the_whole_log_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    folder = folder_with(tmp_path, RECORDS[:count], RECORDS[count:])
    expected = through(folder, monkeypatch, SHORT)
    monkeypatch.setattr(summary, "read_log", lambda log: pytest.fail("the whole log was read"))
    assert through(folder, monkeypatch, LONG) == expected


def test_it_says_what_the_log_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "SHORT_LOG_BYTES", LONG)
    seen = read_summary(folder_with(tmp_path, RECORDS, []))
    assert (seen.metric, seen.direction, seen.damaged, seen.warnings) == ("valid_loss", "minimize", (), ())
    assert [(trial.number, trial.outcome, trial.attempt) for trial in seen.logged.trials.values()] == [
        (0, "completed", 1), (1, "diverged", 1), (2, "completed", 2), (3, "completed", 1), (4, "pruned", 1),
        (5, "running", 1), (6, "waiting", 0),
    ]  # fmt: skip
    best = seen.logged.best("minimize")
    assert best is not None
    assert (best.number, best.value, best.params) == (2, 0.25, {"a": 3, "b": "[1]", "c": "relu"})
    assert seen.logged.trials[3].test["test_loss"] == 0.3
    assert seen.logged.kept == 3


@pytest.mark.parametrize("name", ["tables.jsonl", "trials.parquet"])
def test_tables_that_are_damaged_or_gone_change_nothing_but_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = folder_with(tmp_path, RECORDS[:20], RECORDS[20:])
    said, kept = through(folder, monkeypatch, SHORT)
    expected = f"{said}warning: {name} is damaged, so the whole log was read instead\n", kept
    content = (folder / name).read_bytes()
    generator = random.Random(0)
    for _ in range(100):
        at = generator.randrange(len(content))
        flipped = bytes([content[at] ^ 1 << generator.randrange(8)])
        for damaged in (content[:at], content[:at] + flipped + content[at + 1 :]):
            (folder / name).write_bytes(damaged)
            assert through(folder, monkeypatch, LONG) == expected
    (folder / name).unlink()
    warning = "" if name == "tables.jsonl" else f"warning: {name} is missing, so the whole log was read instead\n"
    assert through(folder, monkeypatch, LONG) == (f"{said}{warning}", kept)


def test_tables_that_are_being_replaced_are_no_cause_for_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_with(tmp_path, RECORDS[:20], RECORDS[20:])
    expected = through(folder, monkeypatch, SHORT)
    with FolderLock(RunFolder(folder)):
        (folder / "trials.parquet").write_bytes(b"")
        assert through(folder, monkeypatch, LONG) == expected


def test_damage_since_the_tables_is_listed_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_with(tmp_path, RECORDS[:-1], RECORDS[-1:])
    log = folder / "log" / "worker-0.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"compilations":1', b'"compilations":2'))
    said, _ = through(folder, monkeypatch, LONG)
    assert f"skipped: {log}:{len(RECORDS)}: its checksum does not match" in said.replace("\n", "")


def test_a_line_that_is_being_written_is_not_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_with(tmp_path, RECORDS[:-1], RECORDS[-1:])
    log = folder / "log" / "worker-0.jsonl"
    log.write_bytes(log.read_bytes()[:-5])
    assert through(folder, monkeypatch, LONG) == through(folder, monkeypatch, SHORT)


def test_a_log_that_has_become_shorter_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_with(tmp_path, RECORDS, [])
    log = folder / "log" / "worker-0.jsonl"
    whole = log.read_bytes()
    kept = b"".join(whole.splitlines(keepends=True)[:5])
    log.write_bytes(kept)
    missing = f"{len(whole) - len(kept):,} bytes that the tables were made from are missing from here"
    for short_log in (LONG, SHORT):
        said, _ = through(folder, monkeypatch, short_log)
        assert f"skipped: {log}:6: {missing}" in said.replace("\n", "")


@pytest.mark.parametrize("change", ["shorter", "another beside it", "another name"])
def test_the_tables_of_another_log_are_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    folder = folder_with(tmp_path, RECORDS, [])
    log = folder / "log" / "worker-0.jsonl"
    if change == "shorter":
        log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:5]))
    elif change == "another name":
        log.rename(log.with_name("worker-1.jsonl"))
    else:
        with LogWriter(folder / "log", "worker-1") as writer:
            writer.append({"kind": "ask", "time": timestamp(), "number": 7, "params": {"a": 1}})
    assert through(folder, monkeypatch, LONG) == through(folder, monkeypatch, SHORT)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="there is no results folder"):
        read_summary(tmp_path / "nothing")


def test_a_short_log_is_looked_at_without_any_slow_library(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, RECORDS, [])
    program = (
        f"import sys; from pathlib import Path; "
        f"from sweeps.results.summary import read_summary; read_summary(Path({str(folder)!r}));"
        "print({'pandas', 'pyarrow', 'numpy', 'pydantic', 'jax'} & sys.modules.keys())"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "set()\n"
