"""A full disk, a read-only one, a folder that may not be written any more: real ones, under real processes.

A tmpfs of 1 MiB is mounted for a test, which needs root; `unshare -rm` gives an ordinary user as much, so the last test
runs the others in it. Where neither works they are skipped.
"""

from __future__ import annotations

import os
import queue
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
import pytest

import sweeps
from sweeps.log.jsonl import read_log

PROJECT = Path(__file__).parents[2]
TRIALS = 25
CONFIG = f"""\
name: small
dataset: {{use: linear_regression, rows: 20000, features: 3}}
model: {{use: "models.linear:Linear"}}
loss: mean_squared_error
optimizer: {{use: sgd}}
search_space:
  epochs: {{type: int, low: 5, high: 10}}
  batch_size: 5
  learning_rate: {{type: float, low: 0.001, high: 0.01, log: true}}
objective: {{metric: valid_loss, direction: minimize}}
sampler: {{use: random}}
budget: {{trials: {TRIALS}}}
"""
SWEEP = "from sweeps.cli import main; main()"
HASTY = (
    "from sweeps.runner import journal\nfrom sweeps.storage import retry\n"
    "retry.GIVE_UP_S, journal.TABLES_SECONDS, journal.TABLES_SHARE = 2.0, 0.1, 1\n"
    f"{SWEEP}"
)
LOOKING_FOR_JAX = f"import sys, atexit; atexit.register(lambda: print('jax' in sys.modules)); {SWEEP}"
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
SAID_S = 90.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    prepare(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of the same sweep on a disk that is never full."""
    folder = tmp_path_factory.mktemp("reference")
    prepare(folder)
    code, lines = run(folder, SWEEP)
    assert code == 0, lines
    return folder / "results"


def prepare(folder: Path) -> None:
    (folder / "models").symlink_to(PROJECT / "models")
    (folder / "small.yaml").write_text(CONFIG)


@contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    """A tmpfs with nothing in it, mounted at `place` for a while."""
    if not IS_ROOT or not shutil.which("mount"):
        pytest.skip("mounting needs root, or the test at the end of this file, which runs this one in a namespace")
    place.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mount.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {mount.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


class Running:
    """A command in a process of its own; what it prints is there to be waited for."""

    def __init__(self, folder: Path, program: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait_for(self, text: str) -> str:
        """The next line that says so."""
        until = time.monotonic() + SAID_S
        while (line := self._next(until)) is not None:
            if text in line:
                return line
        raise AssertionError(f"it never said {text!r}: {self.lines}")

    def wait_for_trials(self, results: Path, count: int) -> None:
        """Until so many have ended, by the log."""
        until = time.monotonic() + SAID_S
        while sum(record["kind"] == "outcome" for record in read_log(results / "small" / "log").records) < count:
            assert time.monotonic() < until
            assert self.process.poll() is None, self.end()
            time.sleep(0.02)

    def end(self) -> tuple[int, list[str]]:
        """The exit code and all lines."""
        while self._next(time.monotonic() + SAID_S) is not None:
            pass
        return self.process.wait(SAID_S), self.lines

    def _next(self, until: float) -> str | None:
        line = self._queue.get(timeout=max(until - time.monotonic(), 0.01))
        if line is not None:
            self.lines.append(line)
        return line

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(SAID_S)
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


def run(folder: Path, program: str, *arguments: str) -> tuple[int, list[str]]:
    with Running(folder, program, "run", "small.yaml", *arguments) as running:
        return running.end()


def fill(disk: Path) -> Path:
    """Takes every byte that is left; what gives them back is the file's end."""
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))
    return filler


def assert_complete(results: Path, reference: Path) -> None:
    """Every trial is there once, with the numbers of a sweep whose disk was never full, in tables that agree."""
    assert read_log(results / "small" / "log").damaged == []
    found, right = (sweeps.load(each / "small").trials for each in (results, reference))
    same = ["number", "value", "outcome", "epochs_run", "params_epochs", "params_learning_rate"]
    pd.testing.assert_frame_equal(found[same], right[same])
    assert found["number"].tolist() == list(range(TRIALS))
    pd.testing.assert_frame_equal(pd.read_parquet(results / "small" / "trials.parquet"), found)
    assert len(pd.read_csv(results / "small" / "history.csv")) == found["epochs_run"].sum()
    partial = [path for path in results.rglob("*") if "partial" in path.name]
    assert partial == []


@pytest.mark.slow
def test_a_sweep_on_a_full_disk_is_paused_until_there_is_space_and_then_completes(
    folder: Path, reference: Path
) -> None:
    with (
        mounted(folder / "disk", "size=1m") as disk,
        Running(folder, SWEEP, "run", "small.yaml", "--results", "disk") as running,
    ):
        running.wait_for_trials(disk, 3)
        filler = fill(disk)
        line = running.wait_for("paused: ")
        assert line.startswith("paused: disk/small/log/worker-0.jsonl cannot be written: No space left on device (")
        assert line.endswith(" bytes are needed). Results are kept in memory; trying for 60 s")
        acknowledged = read_log(disk / "small" / "log").records
        time.sleep(2)
        now = read_log(disk / "small" / "log")
        assert (now.records, now.damaged) == (acknowledged, [])  # nothing half-written
        filler.unlink()
        running.wait_for("the disk takes writes again: going on")
        code, lines = running.end()
        assert code == 0, lines
        assert sum("paused" in line for line in lines) == 1
        assert_complete(disk, reference)


@pytest.mark.slow
def test_a_sweep_whose_disk_stays_full_exits_with_74_and_the_same_command_completes_it(
    folder: Path, reference: Path
) -> None:
    with mounted(folder / "disk", "size=1m") as disk:
        with Running(folder, HASTY, "run", "small.yaml", "--results", "disk") as running:
            running.wait_for_trials(disk, 3)
            filler = fill(disk)
            code, lines = running.end()
        assert code == 74, lines
        assert lines[-1].startswith("error: disk/small/log/worker-0.jsonl cannot be written: No space left on device (")
        assert lines[-1].endswith("The same command continues once it can be written")
        kept = read_log(disk / "small" / "log")
        assert kept.damaged == []
        told = [record for record in kept.records if record["kind"] == "outcome"]
        assert len(told) >= 3

        fill(disk)
        code, lines = run(folder, LOOKING_FOR_JAX, "--results", "disk")
        assert (code, lines[-1]) == (74, "False"), lines
        assert "cannot be written: No space left on device" in lines[-2]

        filler.unlink()
        code, lines = run(folder, SWEEP, "--results", "disk")
        assert code == 0, lines
        assert_complete(disk, reference)
        records = read_log(disk / "small" / "log").records
        assert [record for record in records if record["kind"] == "outcome"][: len(told)] == told


def test_a_signal_ends_the_pause_at_once(folder: Path) -> None:
    with (
        mounted(folder / "disk", "size=1m") as disk,
        Running(folder, SWEEP, "run", "small.yaml", "--results", "disk") as running,
    ):
        running.wait_for_trials(disk, 3)
        fill(disk)
        running.wait_for("paused: ")
        sent = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        code, lines = running.end()
        assert code == 74, lines
        assert time.monotonic() - sent < 15
        assert read_log(disk / "small" / "log").damaged == []


def test_tables_that_cannot_be_written_do_not_stop_a_sweep_whose_log_can(folder: Path, reference: Path) -> None:
    """The folder may not be changed any more, but the log in it is open."""
    with Running(folder, HASTY, "run", "small.yaml") as running:
        running.wait_for_trials(folder / "results", 3)
        with frozen(folder / "results" / "small"):
            line = running.wait_for("The sweep goes on; the tables follow when they can be written")
            assert re.search(r"results/small/(trials|history)\.(parquet|csv) cannot be written: ", line), line
            code, lines = running.end()
    assert code == 74, lines
    assert sum("the tables follow" in line for line in lines) == 1
    log = read_log(folder / "results" / "small" / "log")
    assert (log.records[-1]["kind"], log.damaged) == ("finish", [])
    code, lines = run(folder, SWEEP)
    assert code == 0, lines
    assert any("nothing left to do" in line for line in lines)
    assert_complete(folder / "results", reference)


@contextmanager
def frozen(folder: Path) -> Iterator[None]:
    """Names in the folder can be neither made nor replaced; root needs another means than permissions."""
    if IS_ROOT:
        tried = subprocess.run(["chattr", "+i", str(folder)], capture_output=True, text=True, check=False)
        if tried.returncode:
            pytest.skip(f"this file system knows no immutable folders: {tried.stderr.strip()}")
    else:
        folder.chmod(0o500)
    try:
        yield
    finally:
        if IS_ROOT:
            subprocess.run(["chattr", "-i", str(folder)], check=True)
        else:
            folder.chmod(0o700)


def test_a_read_only_folder_is_refused_for_little_more_work_than_importing_the_command_and_without_jax(
    folder: Path,
) -> None:
    """A ratio within one run: how long a second of work takes depends on what else the machine does."""
    before = worked_s()
    importing = [sys.executable, "-c", "import sweeps.cli, sweeps.command.run"]
    subprocess.run(importing, env={**os.environ, "PYTHONPATH": str(PROJECT)}, check=True)
    imported = worked_s()
    with mounted(folder / "disk", "size=1m,ro"):
        code, lines = run(folder, LOOKING_FOR_JAX, "--results", "disk")
    assert worked_s() - imported < 3 * (imported - before)
    refusal = "the results folder disk/small cannot be written: Read-only file system"
    assert (code, lines[-2:]) == (2, [f"error: {refusal}. Choose another with --results DIR", "False"])


def worked_s() -> float:
    """Processor time of all processes that have ended. Wall time would be that of whatever else this machine does."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_output_that_a_full_disk_does_not_take_does_not_stop_a_sweep(folder: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", SWEEP, "run", "small.yaml", "--trials", "4"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=SAID_S,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert len(sweeps.load(folder / "results" / "small").trials) == 4


@pytest.mark.skipif(IS_ROOT, reason="root needs no namespace")
def test_an_ordinary_user_runs_the_tests_that_mount_in_a_namespace() -> None:
    command = ["unshare", "--map-root-user", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("there are no user namespaces here")
    ended = subprocess.run(
        [
            *command,
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-k",
            "full_disk_is or stays_full or signal or read_only",
            __file__,
        ],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert "4 passed" in ended.stdout
