"""An output that goes away ends no sweep and gives no traceback; one that a disk refuses is an exit code."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sweeping.commands import environment, make_project, short_config

from sweeps.doctor import examine
from sweeps.log.jsonl import read_log

SWEEP = f"{sys.executable} -m sweeps"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_project(tmp_path, short_config(trials=3))


def shell(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """What a person types, in bash, with a pipe's exit code that of the first of its commands which fails."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def assert_complete(folder: Path) -> None:
    results = folder / "results" / "small"
    assert read_log(results / "log").records[-1]["kind"] == "finish"
    assert [finding.text for finding in examine(results) if finding.is_wrong] == []


def test_a_sweep_whose_reader_has_seen_enough_is_trained_to_its_end(folder: Path) -> None:
    ended = shell(folder, f"{SWEEP} run small.yaml | head -1")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "sweep small: tpe, 3 trials -> results/small\n"
    assert_complete(folder)


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_a_sweep_with_closed_streams_writes_nothing_of_them_into_its_files(folder: Path, closed: str) -> None:
    ended = shell(folder, f"{SWEEP} run small.yaml {closed}")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert_complete(folder)


def test_a_full_disk_under_the_output_ends_no_sweep_and_is_an_exit_code_of_what_only_prints(folder: Path) -> None:
    ended = shell(folder, f"{SWEEP} run small.yaml >/dev/full")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert_complete(folder)
    for command in ("show results/small", "doctor results/small", "schema", "--help", "check small.yaml"):
        ended = shell(folder, f"{SWEEP} {command} >/dev/full")
        said = "error: the output cannot be written: No space left on device\n"
        assert (ended.returncode, ended.stderr) == (74, said), command


def test_a_refusal_that_cannot_be_printed_keeps_its_exit_code(folder: Path) -> None:
    assert shell(folder, f"{SWEEP} show results/none 2>/dev/full").returncode == 2
    assert shell(folder, f"{SWEEP} show results/none 2>&-").returncode == 2


@pytest.mark.parametrize("command", ["schema", "--help"])
def test_a_reader_that_has_seen_enough_is_no_failure(folder: Path, command: str) -> None:
    ended = shell(folder, f"{SWEEP} {command} | head -1")
    assert (ended.returncode, ended.stderr, ended.stdout.count("\n")) == (0, "", 1)


def test_a_sweep_of_a_terminal_that_is_closed_stops_cleanly_and_its_cursor_is_never_missing(folder: Path) -> None:
    own, given = pty.openpty()
    (folder / "long.yaml").write_text(short_config(trials=100_000))
    with subprocess.Popen(
        [sys.executable, "-m", "sweeps", "run", "long.yaml"],
        cwd=folder,
        env=environment(TERM="xterm"),
        stdin=given,
        stdout=given,
        stderr=given,
    ) as process:
        os.close(given)
        shown = b""
        try:
            until = time.monotonic() + 120
            while b"completed" not in shown and time.monotonic() < until:
                shown += os.read(own, 65536)
            process.send_signal(signal.SIGHUP)  # as the system does when a terminal is closed
            os.close(own)
            assert process.wait(60) == 75
        finally:
            process.kill()
    assert re.findall(rb"\x1b\[\?25[lh]", shown) == [b"\x1b[?25l", b"\x1b[?25h"], "it was hidden and shown at once"
    last = read_log(folder / "results" / "small" / "log").records[-1]
    assert (last["kind"], last["reason"]) == ("stop", "SIGHUP")
