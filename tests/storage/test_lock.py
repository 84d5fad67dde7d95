"""One process runs a sweep at a time, with real processes and real locks."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sweeps.errors import ResultsError
from sweeps.storage import lock
from sweeps.storage.lock import STALE_S, FolderLock, check_unlocked
from sweeps.storage.paths import RunFolder

HOLD = """\
import sys
from pathlib import Path
from sweeps.errors import ResultsError
from sweeps.storage.lock import FolderLock
from sweeps.storage.paths import RunFolder
try:
    with FolderLock(RunFolder(Path(sys.argv[1]))):
        print("has it", flush=True)
        sys.stdin.read()
except ResultsError as error:
    print(error, flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "small")


@contextmanager
def another(folder: RunFolder) -> Iterator[subprocess.Popen[str]]:
    """A process that has the folder, or was refused, until its input ends; its first line is what came of it."""
    command = [sys.executable, "-c", HOLD, str(folder.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def leave(folder: RunFolder, age_s: float = 0.0, **changes: Any) -> None:
    """What an owner leaves that could not clean up: this process of this host, but for `changes`."""
    with FolderLock(folder):
        text = {**json.loads(folder.owner.read_text()), **changes}
    folder.owner.write_text(json.dumps(text))
    then = time.time() - age_s
    os.utime(folder.owner, (then, then))


def test_an_owner_says_who_it_is_and_leaves_nothing_behind(folder: RunFolder) -> None:
    with FolderLock(folder):
        text = json.loads(folder.owner.read_text())
        assert (text["process"], text["host"]) == (os.getpid(), platform.node())
    assert folder.owner.read_text() == ""
    with FolderLock(folder):
        pass


def test_a_folder_that_another_process_has_is_refused_with_process_host_and_time(folder: RunFolder) -> None:
    with another(folder) as process:
        assert said(process) == "has it"
        since = json.loads(folder.owner.read_text())["since"]
        expected = f"is being run by process {process.pid} on {platform.node()} since {since}. Wait for it to end"
        with pytest.raises(ResultsError) as refused:
            FolderLock(folder)
        assert str(refused.value).startswith(f"{folder.path} {expected}")
        with pytest.raises(ResultsError) as refused_early:
            check_unlocked(folder)
        assert str(refused_early.value) == str(refused.value)


def test_what_a_killed_process_leaves_is_taken_over_at_once(folder: RunFolder) -> None:
    with another(folder) as process:
        assert said(process) == "has it"
        process.kill()
        process.wait(timeout=10)
        assert folder.owner.read_text() != ""
        check_unlocked(folder)
        with FolderLock(folder):
            assert json.loads(folder.owner.read_text())["process"] == os.getpid()


def test_of_several_processes_that_start_together_one_has_it(folder: RunFolder) -> None:
    with another(folder) as a, another(folder) as b, another(folder) as c, another(folder) as d:
        lines = sorted(said(process) for process in (a, b, c, d))
    assert lines.count("has it") == 1
    assert sum("is being run by" in line for line in lines) == 3


def test_looking_for_an_owner_takes_and_makes_nothing(folder: RunFolder) -> None:
    check_unlocked(folder)
    assert not folder.path.exists()
    leave(folder)
    before = folder.owner.read_bytes(), folder.owner.stat().st_mtime
    check_unlocked(folder)
    assert (folder.owner.read_bytes(), folder.owner.stat().st_mtime) == before


def test_another_host_is_believed_until_its_file_is_stale(folder: RunFolder) -> None:
    leave(folder, host="elsewhere", process=7, age_s=STALE_S - 30)
    with pytest.raises(ResultsError, match="process 7 on elsewhere since"):
        FolderLock(folder)
    leave_again = time.time() - STALE_S - 30
    os.utime(folder.owner, (leave_again, leave_again))
    with FolderLock(folder):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says when a process began")
def test_without_locks_a_process_of_this_host_is_believed_while_it_lives(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "lock", lambda descriptor: None)
    leave(folder)
    with pytest.raises(ResultsError, match=f"process {os.getpid()}"):
        FolderLock(folder)
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait(timeout=30)
    for changes in ({"process": ended.pid}, {"born": "1"}, {"age_s": STALE_S + 30}):
        folder.owner.write_text("")
        leave(folder, **changes)
        with FolderLock(folder):
            pass


def test_a_renewal_touches_the_file_but_not_at_every_look(folder: RunFolder) -> None:
    with FolderLock(folder) as owned:
        long_ago = time.time() - 1000
        os.utime(folder.owner, (long_ago, long_ago))
        owned.renew()
        assert time.time() - folder.owner.stat().st_mtime < 100
        os.utime(folder.owner, (long_ago, long_ago))
        owned.renew()
        assert time.time() - folder.owner.stat().st_mtime > 900


def test_an_owner_that_was_held_for_dead_stops_and_leaves_the_new_owners_text(folder: RunFolder) -> None:
    text = json.dumps({"process": 7, "host": "elsewhere", "since": "now"})
    with FolderLock(folder) as owned:
        folder.owner.write_text(text)
        with pytest.raises(ResultsError, match="was taken by process 7 on elsewhere since now"):
            owned.renew()
    assert folder.owner.read_text() == text


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe\x00", b'{"host": 3, "process": "x"}', b"[" * 4096])
def test_a_damaged_text_without_a_lock_stops_nobody_for_long(folder: RunFolder, content: bytes) -> None:
    folder.path.mkdir()
    folder.owner.write_bytes(content)
    long_ago = time.time() - STALE_S - 30
    os.utime(folder.owner, (long_ago, long_ago))
    with FolderLock(folder):
        assert json.loads(folder.owner.read_text())["process"] == os.getpid()


@pytest.mark.parametrize("content", [b"{", b'{"process": 1234, "host": "lo', b"[1]", b"\xff\xfe\x00"])
def test_a_text_that_is_not_whole_is_of_a_process_that_died_while_it_wrote_it(
    folder: RunFolder, content: bytes
) -> None:
    folder.path.mkdir()
    folder.owner.write_bytes(content)
    with FolderLock(folder):
        assert json.loads(folder.owner.read_text())["process"] == os.getpid()


@pytest.mark.parametrize("content", [b'{"process": "x"}', b'{"process": -1, "host": null}', b'{"process": 1e99}'])
def test_a_damaged_process_of_this_host_is_a_dead_one(
    folder: RunFolder, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "lock", lambda descriptor: None)
    folder.path.mkdir()
    folder.owner.write_bytes(json.dumps({**json.loads(content), "host": platform.node()}).encode())
    with FolderLock(folder):
        pass


def test_a_folder_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "small").write_text("in the way")
    with pytest.raises(ResultsError, match=r"small/\.owner cannot be written: "):
        FolderLock(RunFolder(tmp_path / "small"))
