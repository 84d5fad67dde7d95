"""The doctor says what is wrong with a results folder, a line each, and changes nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sweeping
from rich.console import Console
from sweeping import small

import sweeps
from sweeps import cli
from sweeps.command import doctor as command_doctor
from sweeps.datasets.loading import Datasets
from sweeps.doctor import examine, rebuild
from sweeps.errors import ResultsError
from sweeps.log.jsonl import LogWriter, read_log, timestamp
from sweeps.log.line import decode, encode
from sweeps.results import best
from sweeps.results.summary import read_summary
from sweeps.runner import start
from sweeps.stop_request import StopRequest
from sweeps.storage import npz
from sweeps.storage.lock import FolderLock
from sweeps.storage.paths import TABLES, RunFolder

Change = Callable[[Path], None]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("results")
    sweeping.finish(small(), results)
    return results / "small"


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished sweep."""
    return Path(shutil.copytree(finished, tmp_path / "small"))


def wrong(folder: Path) -> list[str]:
    """What is wrong, each as its part and its text."""
    return [f"{finding.part}: {finding.text}" for finding in examine(folder) if finding.is_wrong]


def notes(folder: Path) -> dict[str, str]:
    """The last thing that is said of each part that nothing is wrong with."""
    return {finding.part: finding.text for finding in examine(folder) if not finding.is_wrong}


def said(folder: Path, **options: Any) -> tuple[bool, str]:
    console = Console(width=80, highlight=False, force_terminal=False)
    with console.capture() as captured:
        is_well = command_doctor.command(console, folder, **options)
    return is_well, captured.get()


def log_of(folder: Path) -> Path:
    return folder / "log" / "worker-0.jsonl"


def spoil(folder: Path, text: bytes, nth: int = 0) -> int:
    """Change a byte in the `nth` line of the log that holds `text`; the line's number."""
    lines = log_of(folder).read_bytes().splitlines(keepends=True)
    index = [n for n, line in enumerate(lines) if text in line][nth]
    lines[index] = lines[index].replace(b'"time":"2', b'"time":"3', 1)
    log_of(folder).write_bytes(b"".join(lines))
    return index + 1


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def flipped(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.write_bytes(bytes(content))


# ---- a folder that is whole ------------------------------------------------------------------------------------------


def test_nothing_is_wrong_with_what_a_run_has_left(finished: Path) -> None:
    before, lines = contents(finished), len(read_log(finished / "log").records)
    is_well, text = said(finished)
    assert is_well
    assert text.splitlines()[0] == f"  log              whole: 1 file, {lines} lines"
    assert text.splitlines()[-1] == f"{finished}: nothing is wrong"
    assert "tables           whole, and say what the log says" in text
    assert contents(finished) == before


def test_no_line_is_wider_than_80_columns_whatever_is_wrong(folder: Path) -> None:
    spoil(folder, b'"kind":"outcome"')
    (folder / "history.csv").unlink()
    (folder / "environment.json").write_text("{")
    _, text = said(Path(folder))
    assert max(len(line) for line in text.splitlines() if str(folder) not in line) <= 80
    assert text.splitlines()[-1].endswith("wrong")


def test_it_answers_without_jax_and_without_pandas(finished: Path) -> None:
    program = (
        f"import sys; from sweeps.command.doctor import command; from rich.console import Console\n"
        f"from pathlib import Path; assert command(Console(), Path({str(finished)!r}))\n"
        f"print({{'jax', 'pandas', 'pyarrow', 'optuna'}} & sys.modules.keys())"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.splitlines()[-1] == "set()"


def test_what_is_no_results_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="there is no results folder"):
        examine(tmp_path / "nothing")


def test_trials_that_have_not_ended_are_not_damage(tmp_path: Path) -> None:
    config, request = small(budget={"trials": 8}), StopRequest()
    for look in start.follow(config, tmp_path, Datasets(), request=request):
        if look.done >= 2:
            request.make("SIGTERM")
    assert wrong(tmp_path / "small") == []
    assert notes(tmp_path / "small")["trials"].endswith("; the next `sweep run` continues them")


# ---- the log ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["run", "ask", "start", "epoch", "outcome", "best"])
def test_a_damaged_line_is_named_with_what_it_was_about(folder: Path, kind: str) -> None:
    number = spoil(folder, f'"kind":"{kind}"'.encode())
    about = kind if kind == "run" else f"{kind} of trial 0"
    complaint = f"log: log/worker-0.jsonl:{number} is skipped: its checksum does not match (it seems to be: {about})"
    assert complaint in wrong(folder)


@pytest.mark.parametrize(("kind", "gap"), [("ask", "its parameters"), ("start", "its start"), ("epoch", "epoch 1")])
def test_what_a_trial_has_lost_is_named(folder: Path, kind: str, gap: str) -> None:
    spoil(folder, f'"kind":"{kind}"'.encode())
    assert f"trials: trial 0: the log has lost {gap}" in wrong(folder)


def test_many_damaged_lines_are_counted(folder: Path) -> None:
    content = log_of(folder).read_bytes()
    log_of(folder).write_bytes(content.replace(b'"crc32"', b'"crc33"'))
    found = [text for text in wrong(folder) if text.startswith("log:")]
    assert len(found) == 13
    assert found[-1] == f"log: {content.count(b'crc32') - 12} more damaged lines"


@pytest.mark.parametrize("trial", [3, 10**9])
def test_a_line_that_was_cut_short_is_said_to_be_set_aside_by_the_next_run(trial: int, folder: Path) -> None:
    with log_of(folder).open("ab") as file:
        file.write(b'{"kind":"epoch","number":%d' % trial)
    number = log_of(folder).read_bytes().count(b"\n") + 1
    assert wrong(folder)[0] == (
        f"log: log/worker-0.jsonl:{number} has no end ({25 + len(str(trial))} bytes); the next `sweep run` sets it "
        f"aside (it seems to be: epoch of trial {trial})"
    )
    LogWriter(folder / "log", "worker-0").close()
    assert not any(text.startswith("log:") for text in wrong(folder))
    assert notes(folder)["log"].startswith(
        f"log/worker-0.torn-1 has {25 + len(str(trial))} bytes that a crash cut short"
    )


def test_lines_that_are_gone_are_missed(folder: Path) -> None:
    lines = log_of(folder).read_bytes().splitlines(keepends=True)
    log_of(folder).write_bytes(b"".join(lines[:-3]))
    gone = sum(map(len, lines[-3:]))
    assert any(f"{gone:,} bytes that the tables were made from are missing" in text for text in wrong(folder))
    assert "tables: they were made from a longer log, and may say more than it does" in wrong(folder)


# ---- the tables ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_a_damaged_table_and_a_missing_one_are_named_and_made_anew(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    flipped(folder / name, len(whole) // 2)
    assert wrong(folder) == [f"tables: {name} is damaged; --rebuild makes them anew"]
    (folder / name).unlink()
    assert wrong(folder) == [f"tables: {name} is missing; --rebuild makes them anew"]
    rebuild(folder)
    assert wrong(folder) == []
    assert (folder / name).read_bytes() == whole


def test_tables_that_are_older_than_the_log_are_said_to_be(folder: Path) -> None:
    with LogWriter(folder / "log", "worker-0") as writer:
        writer.append({"kind": "stop", "time": timestamp(), "reason": "SIGTERM"})
    assert len(wrong(folder)) == 1
    assert wrong(folder)[0].startswith("tables: they are older than the log, which has ")


def test_tables_behind_the_log_of_a_run_that_was_killed_are_no_damage(folder: Path) -> None:
    with LogWriter(folder / "log", "worker-0") as writer:
        writer.append({"kind": "best", "time": timestamp(), "number": 0, "value": 0.5})
    assert wrong(folder) == []
    assert "of the log behind, as a run that was killed leaves them" in notes(folder)["tables"]


def test_code_and_data_that_changed_between_two_runs_are_named(folder: Path) -> None:
    runs = [
        {"code": {"m": "1"}, "data": {"csv(path='a.csv')": "1", "weights of m:f": "1"}},
        {"code": {"m": "1"}, "data": {"csv(path='a.csv')": "2", "weights of m:f": "1"}},
        {"code": {"m": "2"}, "data": {"csv(path='a.csv')": "2", "weights of m:f": "2"}},
    ]
    with LogWriter(folder / "log", "worker-0") as writer:
        for day, run in enumerate(runs, start=1):
            writer.append({"kind": "run", "time": f"2030-01-0{day}T00:00:00.000000+00:00", **run})
    told = [finding.text for finding in examine(folder) if finding.part == "runs"]
    then = "UTC; the column `config` tells the trials apart"
    assert told == [
        f"data csv(path='a.csv'): changed before the run of 2030-01-02T00:00:00 {then}",
        f"code m, data weights of m:f: changed before the run of 2030-01-03T00:00:00 {then}",
    ]


@pytest.mark.parametrize("is_there", [True, False])
def test_without_their_note_nobody_knows_whether_tables_are_whole(folder: Path, is_there: bool) -> None:
    if is_there:
        flipped(folder / "tables.jsonl", 5)
    else:
        (folder / "tables.jsonl").unlink()
    (complaint,) = wrong(folder)
    assert complaint.startswith(f"tables: tables.jsonl is {'damaged' if is_there else 'missing'}, so that nobody knows")


def test_everything_is_made_anew_from_the_log_alone(folder: Path, finished: Path) -> None:
    for name in (*TABLES, "tables.jsonl", "config.yaml", "environment.json"):
        (folder / name).unlink()
    assert said(folder, rebuild_first=True)[0]
    for name in (*TABLES, "tables.jsonl", "config.yaml", "environment.json"):
        assert (folder / name).read_bytes() == (finished / name).read_bytes()
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "trials.parquet"), sweeps.load(folder).trials)


def test_nothing_is_made_anew_while_a_run_goes_on(folder: Path) -> None:
    before = contents(folder)
    program = (
        "import sys; from pathlib import Path\n"
        "from sweeps.storage.lock import FolderLock; from sweeps.storage.paths import RunFolder\n"
        f"with FolderLock(RunFolder(Path({str(folder)!r}))):\n    print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(ResultsError, match=f"is being run by process {process.pid} "):
            rebuild(folder)
        assert f"process {process.pid} on " in notes(folder)["owner"]
        process.communicate(timeout=30)
    changed = {name for name, content in contents(folder).items() if before[name] != content}
    assert changed == {".owner"}


# ---- everything else -------------------------------------------------------------------------------------------------


def test_best_parameters_that_are_damaged_missing_or_another_trials_are_said_to_be(folder: Path) -> None:
    best = sweeps.load(folder).best
    assert best is not None
    flipped(folder / "best" / "parameters.npz", 100)
    assert any("parameters.npz is damaged: its checksum does not match" in text for text in wrong(folder))
    shutil.rmtree(folder / "best")
    assert wrong(folder)[0].startswith(f"best: missing, though trial {best.number} has completed")


def test_parameters_of_a_trial_that_is_not_the_best_are_said_to_be(folder: Path) -> None:
    better = {"time": timestamp(), "number": 99, "attempt": 1}
    with LogWriter(folder / "log", "worker-0") as writer:
        writer.append({"kind": "ask", "params": {}, **better})
        writer.append({"kind": "start", **better})
        writer.append({"kind": "outcome", "outcome": "completed", "value": -1.0, "epochs": 0, "reason": "", **better})
    assert any("but trial 99 is the best" in text for text in wrong(folder))


@pytest.mark.parametrize("name", ["config.yaml", "environment.json"])
@pytest.mark.parametrize("damage", ["gone", "cut", "changed"])
def test_a_file_that_is_not_what_the_log_says_is_named(folder: Path, name: str, damage: str) -> None:
    path = folder / name
    text = path.read_text()
    if damage == "gone":
        path.unlink()
    else:
        path.write_text(
            text[: len(text) // 2] if damage == "cut" else text.replace("seed: 0", "seed: 1").replace("3.", "4.", 1)
        )
    (complaint,) = wrong(folder)
    assert complaint.startswith(f"{name}: ")
    assert complaint.endswith("--rebuild makes it anew, and so does the next `sweep run` that trains")


def test_a_damaged_checkpoint_is_named(folder: Path) -> None:
    path = folder / "checkpoints" / "trial-9.attempt-1.epoch-2.npz"
    path.parent.mkdir(exist_ok=True)
    npz.write(path, {"state": np.ones(100, np.float32)}, {"number": 9})
    assert wrong(folder) == []
    flipped(path, 200)
    (complaint,) = wrong(folder)
    assert complaint.startswith("checkpoints: ")
    assert "trial-9.attempt-1.epoch-2.npz is damaged" in complaint


def test_a_dead_owner_is_said_to_be_dead_and_no_damage(folder: Path) -> None:
    with FolderLock(RunFolder(folder)):
        text = (folder / ".owner").read_text()
    (folder / ".owner").write_text(json.dumps(json.loads(text) | {"process": 2**22 + 1}))
    assert wrong(folder) == []
    assert notes(folder)["owner"].endswith("has ended without a word; the next `sweep run` takes over")


def test_looking_takes_no_lock(folder: Path) -> None:
    """A reader that locked for a moment would refuse a run that begins in that moment."""
    program = (
        "import fcntl\n"
        "def refuse(*arguments): raise SystemExit('a reader has taken a lock')\n"
        "fcntl.flock = fcntl.lockf = refuse\n"
        f"from pathlib import Path; from sweeps.doctor import examine; examine(Path({str(folder)!r}))"
    )
    subprocess.run([sys.executable, "-c", program], timeout=60, check=True)


def test_half_written_files_are_told_and_no_damage(folder: Path) -> None:
    (folder / ".trials.0123.partial.parquet").write_bytes(b"half")
    assert wrong(folder) == []
    assert notes(folder)["leftovers"].startswith(".trials.0123.partial.parquet: half-written")


@pytest.mark.parametrize(("damage", "code"), [("none", 0), ("a table", 1), ("everything", 2)])
def test_the_exit_code_says_how_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], damage: str, code: int
) -> None:
    if damage == "a table":
        (folder / "trials.csv").unlink()
    if damage == "everything":
        shutil.rmtree(folder / "log")
    monkeypatch.setattr(sys, "argv", ["sweep", "doctor", str(folder)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code
    assert ("error: " in capsys.readouterr().err) == (code == 2)


# ---- a log that another program has written --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"kind": "ask", "number": 10**9, "params": {}}, "it is of trial 1,000,000,000, in a log of "),
        ({"kind": "ask", "number": 10**40, "params": {}}, "its number must be a whole number"),
        ({"kind": "ask", "number": "3", "params": {}}, "its number must be a whole number"),
        ({"kind": "ask", "number": 3, "params": [1]}, "its params must be a mapping"),
        ({"kind": "outcome", "number": 1, "attempt": 9, "outcome": ["a"]}, "its outcome must be text"),
        ({"kind": "outcome", "number": 1, "attempt": 9, "value": {}}, "its value must be a number"),
        ({"kind": "epoch", "number": 1, "epoch": 1.5}, "its epoch must be a whole number"),
        ({"kind": "epoch", "number": 1, "epoch": 1, "metrics": {"a": "b"}}, "its metrics must be a mapping to numbers"),
        ({"kind": "epoch", "number": 1, "metrics": {"a": 10**400}}, "its metrics must be a mapping to numbers"),
        ({"kind": "epoch", "number": 1, "train_loss": 10**400}, "its train_loss must be a number"),
        ({"kind": "set_out", "groups": [[0, "soon"]]}, "its groups must be pairs of a number and a virtual time"),
        ({"kind": "run", "format": "2"}, "its format must be a whole number"),
    ],
)
def test_a_forged_record_costs_every_reader_one_line(folder: Path, record: dict[str, Any], reason: str) -> None:
    before = read_summary(folder).logged.trials
    with log_of(folder).open("ab") as log:
        log.write(encode(record))
    started = time.monotonic()
    (finding,) = [text for text in wrong(folder) if text.startswith("log: ")]
    assert f" is skipped: {reason}" in finding
    results, summary = sweeps.load(folder), read_summary(folder)
    assert len(results.trials) == len(before)
    assert results.history["number"].isin(results.trials["number"]).all()
    assert [damage.reason for damage in summary.damaged] == [damage.reason for damage in results.damaged]
    assert reason in results.damaged[0].reason
    assert time.monotonic() - started < 30


def test_a_forged_number_of_epochs_is_counted_and_not_listed(folder: Path) -> None:
    forged = {"kind": "outcome", "number": 1, "attempt": 9, "outcome": "completed", "value": 0.5, "epochs": 10**12}
    with log_of(folder).open("ab") as log:
        log.write(encode(forged))
    started = time.monotonic()
    epochs = ", ".join(map(str, range(1, 13)))
    assert f"trials: trial 1: the log has lost epochs {epochs} and 999,999,999,988 more" in wrong(folder)
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    "change", [{"logs": {"../../secret": 4}}, {"logs": {"worker-0.jsonl": "4"}}, {"tables": [1]}, {"logs": None}]
)
def test_a_forged_manifest_is_a_damaged_one(folder: Path, change: dict[str, Any]) -> None:
    first, *rest = (folder / "tables.jsonl").read_bytes().splitlines(keepends=True)
    record = decode(first.rstrip())
    assert isinstance(record, dict)
    (folder / "tables.jsonl").write_bytes(encode({**record, **change}) + b"".join(rest))
    assert any("tables.jsonl is damaged" in text for text in wrong(folder))
    assert len(sweeps.load(folder).trials) == len(read_summary(folder).logged.trials)


@pytest.mark.parametrize("described", [{}, {"number": "0", "parameters_sha256": "0" * 64}, {"number": 0}])
def test_a_forged_description_of_the_best_trial_is_a_damaged_one(folder: Path, described: dict[str, Any]) -> None:
    (folder / "best" / "best.json").write_text(best.text(described))
    assert any("best.json is damaged" in text for text in wrong(folder))
