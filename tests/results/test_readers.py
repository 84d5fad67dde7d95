"""Readers and a writer in one folder: nobody fails, waits for the other, or sees what was never so."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

import sweeps
from sweeps.command import doctor as command_doctor
from sweeps.command import show as command_show
from sweeps.doctor import examine

PROJECT = Path(__file__).parents[2]
READERS, LOOKS = 3, 5
"""So many readers, each of which looks so often at least."""
CONFIG = """\
name: small
dataset: {use: linear_regression, rows: 50000, features: 3}
model: {use: "models.linear:Linear"}
loss: mean_squared_error
optimizer: {use: sgd}
search_space:
  epochs: {type: int, low: 1, high: 4}
  batch_size: 20
  learning_rate: {type: float, low: 0.01, high: 0.1, log: true}
objective: {metric: valid_loss, direction: minimize}
sampler: {use: random}
budget: {trials: 100000}
"""
READER = """\
import sys
from pathlib import Path
from test_readers import read_once
folder = Path(sys.argv[1])
before, count = {}, 0
while sys.stdin.readable() and not Path(sys.argv[2]).exists():
    before = read_once(folder, before)
    count += 1
    print(count, flush=True)
"""


def read_once(folder: Path, before: dict[int, tuple[float, str]]) -> dict[int, tuple[float, str]]:
    """Look in every way; what had ended by the last look has still ended, with the same value."""
    command_show.show(Console(file=io.StringIO(), width=80), folder, 10)
    results = sweeps.load(folder)
    torn = [damage for damage in results.damaged if "under way" not in damage.reason]
    assert not torn, torn
    found = {number: (entry.value, entry.outcome) for number, entry in results.logged.trials.items() if entry.ending}
    assert all(found.get(number) == ended for number, ended in before.items())
    wrong = [finding for finding in examine(folder) if finding.is_wrong]
    assert not wrong, wrong
    assert command_doctor.command(Console(file=io.StringIO(), width=80), folder)
    return found


@pytest.mark.slow
def test_readers_in_a_loop_neither_fail_nor_harm_a_sweep_that_runs(tmp_path: Path) -> None:
    (tmp_path / "models").symlink_to(PROJECT / "models")
    (tmp_path / "small.yaml").write_text(CONFIG)
    folder, done = tmp_path / "results" / "small", tmp_path / "done"
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'tests'}:{PROJECT / 'tests' / 'results'}"}
    options = {"cwd": tmp_path, "env": environment, "stdin": subprocess.DEVNULL, "text": True}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    sweep = [sys.executable, "-c", "from sweeps.cli import entry; entry()", "run", "small.yaml"]
    with subprocess.Popen(sweep, **options, **pipes) as writer:  # type: ignore[call-overload]
        wait_for(folder / "log" / "worker-0.jsonl")
        command = [sys.executable, "-c", READER, str(folder), str(done)]
        readers = [subprocess.Popen(command, **options, **pipes) for _ in range(READERS)]  # type: ignore[call-overload]
        try:
            for reader in readers:
                assert reader.stdout is not None
                while (line := reader.stdout.readline()) and int(line) < LOOKS:
                    pass
            before = folder.joinpath("log", "worker-0.jsonl").stat().st_size
            time.sleep(1)
            assert folder.joinpath("log", "worker-0.jsonl").stat().st_size > before, "the writer stands still"
            writer.terminate()
            _, complaints = writer.communicate(timeout=60)
            assert (writer.returncode, "Traceback" in complaints) == (75, False), complaints
            done.touch()
            for reader in readers:
                counts, complaints = reader.communicate(timeout=60)
                assert (reader.returncode, complaints) == (0, "")
                assert int(counts.splitlines()[-1]) >= LOOKS
        finally:
            for process in (writer, *readers):
                process.kill()
                process.communicate()
    assert not any(finding.is_wrong for finding in examine(folder))


def wait_for(path: Path) -> None:
    until = time.monotonic() + 100
    while not path.exists() or b'"outcome"' not in path.read_bytes():
        assert time.monotonic() < until
        time.sleep(0.05)
