"""A sweep that dies at any of its operations on the disk, or loses its power there, comes to the same in the end.

`tests/crash/` has the tools: a preloaded library that kills a process before, or in the middle of, its k-th operation,
and a disk in memory to which the recorded operations are done, so that a power cut can be had at each of them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from counts import IS_LONG, SEED, counted, listed

from crash import shim
from crash.disk import Disk, lay_out
from crash.shim import Operation

PROJECT = Path(__file__).parents[2]
needs_shim = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("gcc"), reason="the shim is preloaded on Linux, and built with gcc"
)


# ---- the tools -------------------------------------------------------------------------------------------------------


WRITER = """\
import os, sys
from crash import shim
folder, trace, kill_at, is_torn = sys.argv[1:]
shim.arm(folder, trace, int(kill_at), is_torn=is_torn == "True")
with open(f"{folder}/.new", "wb", buffering=0) as file:
    file.write(b"twelve bytes")
    os.fsync(file.fileno())
os.rename(f"{folder}/.new", f"{folder}/file")
"""
DONE = ["create", "write", "fsync", "rename"]


def write(folder: Path, kill_at: int = 0, *, is_torn: bool = False) -> tuple[int, list[Operation]]:
    """The program above in a process of its own: its exit code, and its trace."""
    trace = folder.with_suffix(".trace")
    folder.mkdir()
    command = [sys.executable, "-c", WRITER, folder, trace, str(kill_at), str(is_torn)]
    environment = {**os.environ, **shim.environment(shim.build(folder.parent)), "PYTHONPATH": str(PROJECT / "tests")}
    return subprocess.run(command, env=environment, check=False, timeout=60).returncode, shim.read(trace)


@needs_shim
def test_the_shim_sees_every_operation_and_kills_before_each(tmp_path: Path) -> None:
    code, trace = write(tmp_path / "whole")
    assert (code, [operation.kind for operation in trace]) == (0, DONE)
    assert trace[1].content == b"twelve bytes"
    for at in range(1, 5):
        code, trace = write(tmp_path / str(at), at)
        assert code == -9
        assert [operation.kind for operation in trace] == [*DONE[: at - 1], "killed"]
        assert (trace[-1].offset, trace[-1].second) == (at, DONE[at - 1])
        names = {path.name for path in (tmp_path / str(at)).iterdir()}
        assert names == (set() if at == 1 else {".new"})


@needs_shim
def test_a_torn_write_is_half_of_it(tmp_path: Path) -> None:
    code, trace = write(tmp_path / "torn", 2, is_torn=True)
    assert (code, [operation.kind for operation in trace]) == (-9, ["create", "write", "killed"])
    assert (tmp_path / "torn" / ".new").read_bytes() == b"twelve"


def on_disk(*operations: tuple[Any, ...]) -> Disk:
    disk = Disk(Path("/r"))
    for kind, path, *rest in operations:
        offset, content, second = (*rest, *(0, b"", "")[len(rest) :])
        disk.do(Operation(kind, offset, content, path, second))
    return disk


def test_a_power_cut_takes_what_was_not_synced() -> None:
    created = [("create", "/r/a"), ("write", "/r/a", 0, b"one")]
    assert on_disk(*created).files() == {"/r": None, "/r/a": b"one"}
    assert on_disk(*created).safe_files() == {"/r": None}
    assert on_disk(*created).hasty_files() == {"/r": None, "/r/a": b""}
    synced = [*created, ("fsync", "/r/a")]
    assert on_disk(*synced).safe_files() == {"/r": None}
    assert on_disk(*synced).hasty_files() == {"/r": None, "/r/a": b"one"}
    named = [*synced, ("fsync", "/r")]
    assert on_disk(*named).safe_files() == {"/r": None, "/r/a": b"one"}
    longer = [*named, ("write", "/r/a", 2, b"tirely")]
    assert on_disk(*longer).files() == {"/r": None, "/r/a": b"ontirely"}
    assert on_disk(*longer).safe_files() == {"/r": None, "/r/a": b"one"}


def test_a_renamed_file_is_the_old_one_or_the_new_one_after_a_power_cut() -> None:
    old = [("create", "/r/a"), ("write", "/r/a", 0, b"old"), ("fsync", "/r/a"), ("fsync", "/r")]
    new = [
        *old,
        ("create", "/r/b"),
        ("write", "/r/b", 0, b"new"),
        ("fsync", "/r/b"),
        ("rename", "/r/b", 0, b"", "/r/a"),
    ]
    assert on_disk(*new).safe_files() == {"/r": None, "/r/a": b"old"}
    assert on_disk(*new).hasty_files() == {"/r": None, "/r/a": b"new"}
    assert on_disk(*new, ("fsync", "/r")).safe_files() == {"/r": None, "/r/a": b"new"}


def test_a_file_in_a_folder_whose_name_is_not_safe_is_lost() -> None:
    made = [
        ("mkdir", "/r/d"),
        ("create", "/r/d/a"),
        ("write", "/r/d/a", 0, b"1"),
        ("fsync", "/r/d/a"),
        ("fsync", "/r/d"),
    ]
    assert on_disk(*made).safe_files() == {"/r": None}
    assert on_disk(*made, ("fsync", "/r")).safe_files() == {"/r": None, "/r/d": None, "/r/d/a": b"1"}


def test_what_a_disk_holds_can_be_laid_out(tmp_path: Path) -> None:
    lay_out({"/r": None, "/r/d": None, "/r/d/a": b"1"}, Path("/r"), tmp_path / "place")
    assert (tmp_path / "place" / "d" / "a").read_bytes() == b"1"


# ---- a whole sweep ---------------------------------------------------------------------------------------------------


STEP = 1 if IS_LONG else 20
"""A long run dies at every operation; another run at every twentieth, beginning with another one in every run."""
FIRST = 1 + SEED % STEP
EACH = "every" if IS_LONG else "every twentieth"
NAMES = {
    "random": "random search and no checkpoint",
    "tpe": "tpe, a median pruner and checkpoints after every epoch",
    **({"waves": "waves, and paused trials that are written when they are paused"} if IS_LONG else {}),
}


@needs_shim
@pytest.mark.slow
@pytest.mark.parametrize("methods", NAMES)
def test_a_crash_at_every_write_loses_nothing(tmp_path: Path, methods: str) -> None:
    found = crashes(tmp_path, methods)
    count = Counter(crash["how"] for crash in found)
    ways = {name: number for name, number in count.items() if name not in {"trace", "not killed"}}
    counted(f"a sweep with {NAMES[methods]} dies at {EACH} operation on its files", listed(ways))
    for crash in found:
        assert crash["problems"] == [], crash
    assert count["trace"] == count["not killed"] == 1
    assert [crash["at"] for crash in found if crash["how"] == "killed before it"] == list(
        range(FIRST, FIRST + STEP * count["killed before it"], STEP)
    )


def crashes(folder: Path, methods: str) -> list[dict[str, Any]]:
    """Everything that `crash.every_write` has found."""
    library = shim.build(folder)
    environment = {**os.environ, **shim.environment(library), "PYTHONPATH": f"{PROJECT}:{PROJECT / 'tests'}"}
    command = [sys.executable, "-m", "crash.every_write", folder, methods, "--from", str(FIRST), "--step", str(STEP)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"how"')]
