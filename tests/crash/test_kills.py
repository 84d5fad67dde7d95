"""Signals at random moments: whatever was told of a trial stays so, and the sweep comes to what it would have.

`tests/crash/schedules.py` disturbs sweeps in processes that are forked with the compiled programs in them, so that
there is time for many; here too, `sweep run` as it is typed is killed while it imports, compiles and trains.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from counts import IS_LONG, SEED, counted, listed

from crash.pace import SWEEP
from crash.verdict import Reference

PROJECT = Path(__file__).parents[2]
SCHEDULES, AT_A_TIME, KILLS = (100, 2, 10) if IS_LONG else (8, 1, 3)
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'tests'}"}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked"),
]


def test_random_schedules_of_signals_lose_and_change_nothing(tmp_path: Path) -> None:
    each = SCHEDULES // AT_A_TIME
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        parts = pool.map(
            lambda first: schedules(tmp_path / str(first), first, first + each), range(SEED, SEED + SCHEDULES, each)
        )
        found = [schedule for part in parts for schedule in part]
    sent, codes = (Counter(one for each in found for one in each[what]) for what in ("signals", "codes"))
    counted(
        f"{len(found)} random schedules of signals",
        f"{sum(codes.values())} runs got {listed(sent)}; {sum(each['told'] for each in found):,} trials were "
        f"acknowledged before the last run",
    )
    for schedule in found:
        assert schedule["problems"] == [], schedule
    assert len(found) == SCHEDULES
    least = SCHEDULES / 4 if IS_LONG else 0
    assert all(sent[name] > least for name in ("SIGKILL", "SIGTERM", "SIGSTOP", "SIGCONT"))
    assert sum(schedule["told"] > 0 for schedule in found) > least


def schedules(folder: Path, first: int, end: int) -> list[dict[str, Any]]:
    """What `crash.schedules` says of some seeds."""
    folder.mkdir()
    command = [sys.executable, "-m", "crash.schedules", folder, "--seeds", str(first), str(end)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"seed"')]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "models").symlink_to(PROJECT / "models")
    (folder / "paced.yaml").write_text(SWEEP)
    return folder


@pytest.fixture(scope="module")
def reference(project: Path) -> Reference:
    """The sweep, which nothing disturbed."""
    assert sweep(project, "undisturbed").wait(timeout=100) == 0
    return Reference(project / "undisturbed" / "paced")


def test_the_command_is_killed_at_any_moment_of_its_life_and_continues(project: Path, reference: Reference) -> None:
    chance, codes = random.Random(SEED), list[int]()
    while 0 not in codes:
        process = sweep(project, "killed", PACE_SECONDS="0.05")
        try:
            codes.append(process.wait(timeout=chance.uniform(0, 4) if len(codes) < KILLS else 100))
        except subprocess.TimeoutExpired:
            process.kill()
            codes.append(process.wait(timeout=10))
    counted("`sweep run` is killed at random moments from its first imports on", f"{len(codes) - 1} kills")
    assert set(codes[:-1]) == {-9}
    assert reference.problems(project / "killed" / "paced", ()) == []


def test_a_window_of_minutes_again_and_again_ends_with_nothing_left_to_do(project: Path, reference: Reference) -> None:
    """As cron does it; and of two that begin together, one is refused and harms nothing."""
    codes = list[tuple[int, ...]]()
    while not codes or codes[-1] != (0, 0):
        both = [sweep(project, "windows", "--minutes", "0.1", PACE_SECONDS="0.07") for _ in range(2)]
        codes.append(tuple(sorted(process.wait(timeout=100) for process in both)))
        assert set(codes[-1]) <= {0, 2, 75}, (project / "output").read_text()
    counted("windows of `--minutes`, two runs at a time", f"{len(codes)} windows")
    assert (2, 75) in codes
    assert reference.problems(project / "windows" / "paced", ()) == []


def sweep(project: Path, results: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    """`sweep run` in a process of its own."""
    command = [sys.executable, "-c", "from sweeps.cli import entry; entry()", "run", "paced.yaml", "--results", results]
    with (project / "output").open("ab") as output:
        return subprocess.Popen(
            [*command, *arguments], cwd=project, env={**ENVIRONMENT, **environment}, stdout=output, stderr=output
        )
