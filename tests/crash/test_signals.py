"""Real signals to real processes, and handlers that leave no trace."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from sweeping.commands import environment, make_project, short_config

import sweeps
from sweeps.command.run import attended
from sweeps.command.signals import HANDLED, LAST_WORD, Signals
from sweeps.log.jsonl import read_log
from sweeps.runner.progress import Progress
from sweeps.stop_request import StopRequest

LONG_EPOCHS = [
    word
    for override in (
        "dataset.rows=1000000",
        "model={use: 'models.mlp:MLP', hidden: [512, 512]}",
        "search_space.batch_size=1",  # a million updates of a quarter of a million parameters
    )
    for word in ("--set", override)
]
LOOK = Progress(0, 2, 1, 2, None, 0.0, None, {}, 0, ())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_project(tmp_path, short_config(trials=100_000, epochs=50, more="sampler: {use: random}\n"))


@contextmanager
def sweep(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`sweep run small.yaml` in a process of its own, which does not outlive the test."""
    command = [sys.executable, "-c", "from sweeps.cli import entry; entry()", "run", "small.yaml", *arguments]
    with subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(folder: Path, text: str) -> None:
    """Until the log says so."""
    log, until = folder / "results" / "small" / "log" / "worker-0.jsonl", time.monotonic() + 100
    while not (log.exists() and text in log.read_text()):
        assert time.monotonic() < until, f"the log never said {text}"
        time.sleep(0.05)


# ---- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 75), ("SIGUSR1", 75), ("SIGHUP", 75), ("SIGINT", 130)])
def test_a_signal_stops_a_sweep_cleanly_and_the_same_command_continues_it(folder: Path, name: str, code: int) -> None:
    with sweep(folder, "--trials", "90000") as process:
        wait_for(folder, '"completed"')
        sent = time.monotonic()
        process.send_signal(signal.Signals[name])
        out, err = process.communicate(timeout=60)
    assert time.monotonic() - sent < 15
    assert (process.returncode, err) == (code, "stopped cleanly; `sweep run small.yaml --trials 90000` continues\n")
    assert f"stopping when these epochs have ended ({name}); Ctrl-C stops at once" in out
    log = read_log(folder / "results" / "small" / "log")
    assert (log.damaged, log.records[-1]["kind"], log.records[-1]["reason"]) == ([], "stop", name)
    table = pd.read_parquet(folder / "results" / "small" / "trials.parquet")
    pd.testing.assert_frame_equal(table, sweeps.load(folder / "results" / "small").trials)

    ended = len(table)
    with sweep(folder, "--trials", str(ended)) as process:
        _, err = process.communicate(timeout=200)
    assert (process.returncode, err) == (0, "")
    trials = sweeps.load(folder / "results" / "small").trials
    assert trials["number"].tolist() == list(range(ended))
    assert set(trials["outcome"]) == {"completed"}
    completed = table["outcome"] == "completed"
    pd.testing.assert_frame_equal(trials[completed], table[completed])


def test_a_second_interrupt_does_not_wait_for_the_epoch_and_loses_none_of_it(folder: Path) -> None:
    with sweep(folder, *LONG_EPOCHS) as process:
        wait_for(folder, '"start"')
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=2)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert time.monotonic() - sent < 7  # the grace alone is longer
    assert (process.returncode, err.startswith("stopped cleanly")) == (130, True), err
    assert (folder / "results" / "small" / "trials.parquet").exists()
    kept = sorted((folder / "results" / "small" / "checkpoints").iterdir())
    assert kept, "where the lanes stood within their first epoch is written down"


@pytest.mark.slow
def test_an_epoch_that_is_too_long_is_not_waited_for_longer_than_fifteen_seconds(folder: Path) -> None:
    with sweep(folder, *LONG_EPOCHS) as process:
        wait_for(folder, '"start"')
        time.sleep(2)
        sent = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert time.monotonic() - sent < 15
    assert process.returncode == 75, err
    assert '"epoch"' not in (folder / "results" / "small" / "log" / "worker-0.jsonl").read_text()


def test_a_signal_before_anything_trains_stops_at_once(folder: Path) -> None:
    (folder / "slow.py").write_text(
        "import time\n\n\ndef rows():\n    print('reading', flush=True)\n    time.sleep(90)\n"
    )
    with sweep(folder, "--set", "dataset={use: 'slow:rows'}") as process:
        assert process.stdout is not None
        while "reading" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (75, "stopped; the same command continues\n")


def test_a_window_of_minutes_ends_with_75_until_the_sweep_is_complete_and_then_with_0(folder: Path) -> None:
    with sweep(folder, "--minutes", "0.0001") as process:
        _, err = process.communicate(timeout=100)
    assert (process.returncode, err) == (75, "stopped cleanly; `sweep run small.yaml --minutes 0.0001` continues\n")
    for said in ("2 trials in", "nothing left to do"):
        with sweep(folder, "--minutes", "5", "--trials", "2") as process:
            out, err = process.communicate(timeout=200)
        assert (process.returncode, err) == (0, "")
        assert said in out
    assert set(sweeps.load(folder / "results" / "small").trials["outcome"]) == {"completed"}


def test_a_second_command_on_the_same_folder_is_refused_and_the_first_goes_on(folder: Path) -> None:
    with sweep(folder) as first:
        wait_for(folder, '"completed"')
        with sweep(folder, "--trials", "5") as second:
            _, err = second.communicate(timeout=100)
        assert second.returncode == 2
        assert err.startswith(f"error: results/small is being run by process {first.pid} on ")
        assert err.count("\n") == 1
        assert sweeps.load(folder / "results" / "small").best is not None  # a reader is let in
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=60)
        assert first.returncode == 75


def test_a_killed_sweep_leaves_nothing_in_the_way_of_the_next(folder: Path) -> None:
    with sweep(folder) as process:
        wait_for(folder, '"completed"')
        process.kill()
        process.wait(timeout=30)
    ended = len(sweeps.load(folder / "results" / "small").trials)
    with sweep(folder, "--trials", str(ended)) as process:
        _, err = process.communicate(timeout=200)
    assert (process.returncode, err) == (0, "")


# ---- handlers --------------------------------------------------------------------------------------------------------


def test_handlers_are_put_back(folder: Path) -> None:
    before = [signal.getsignal(number) for number in HANDLED]
    with Signals(StopRequest(), sys.exit):
        assert [signal.getsignal(number) for number in HANDLED] != before
    assert [signal.getsignal(number) for number in HANDLED] == before


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        with Signals(StopRequest(), sys.exit) as signals:
            signals.is_patient = True
            signal.raise_signal(signal.SIGUSR1)
            assert signals.request.reason == ""
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_patient_handler_only_asks_and_an_interrupt_after_that_does_not_wait() -> None:
    with Signals(StopRequest(), sys.exit) as signals:
        signals.is_patient = True
        said: list[str] = []
        signals.say = said.append
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGUSR1)
        assert (signals.request.reason, signals.exit_code) == ("SIGTERM", 75)
        assert not signals.request.is_overdue
        signal.raise_signal(signal.SIGINT)
        assert (signals.request.is_overdue, signals.exit_code) == (True, 130)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL  # a third one ends the process
        assert said == [LAST_WORD]  # which says so


def test_a_handler_that_nobody_listens_to_stops_at_once() -> None:
    with Signals(StopRequest(), sys.exit), pytest.raises(SystemExit, match="75"):
        signal.raise_signal(signal.SIGTERM)
    with Signals(StopRequest(), sys.exit), pytest.raises(SystemExit, match="130"):
        signal.raise_signal(signal.SIGINT)


def test_from_the_first_look_on_garbage_is_collected() -> None:
    console = Console(quiet=True)
    gc.disable()
    try:
        looks = attended(console, iter([LOOK, LOOK]), StopRequest())
        assert not gc.isenabled()
        next(looks)
        assert gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()
