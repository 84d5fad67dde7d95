"""The lock of a results folder: one process at a time runs the sweep in it.

`.owner` is locked (`flock`) while a run lasts, so that the death of its process frees it, and says in one line of JSON
which process that is. Another host may not see the lock, and some file systems have none. There the text is believed
until the file is `STALE_S` old, or until its process is known to be dead; a running owner renews it every `RENEW_S`.
Ages are differences between times that the file system gave, so the hosts' clocks need not agree.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import tempfile
import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

from sweeps.errors import FolderGoneError, ResultsError
from sweeps.storage.files import NO_LINKS, displaced, lock, make_folder, refused
from sweeps.storage.paths import RunFolder

RENEW_S = 10.0
STALE_S = 120.0


class FolderLock:
    """The lock of a folder, from here on until the end of the `with` block.

    Raises: ResultsError where another process has it, or the folder cannot be written.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._path = folder.owner
        try:
            make_folder(folder.path)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | NO_LINKS, 0o666)
            with ExitStack() as after_an_error:
                after_an_error.callback(os.close, self._descriptor)
                _refuse_others(self._descriptor, self._path)
                self._text = _own_text()
                _write(self._descriptor, self._text)
                after_an_error.pop_all()
        except OSError as error:
            raise refused(self._path, error) from error
        self._renewal_due = 0.0

    def renew(self) -> None:
        """Say that the run goes on; writes every `RENEW_S` only.

        Raises: FolderGoneError where the folder is not there any more, or another host has taken this process for dead.
        """
        if time.monotonic() < self._renewal_due:
            return
        # A disk that refuses this will refuse the log too, which says so.
        with suppress(OSError):
            text = _read(self._descriptor)
            what = displaced(self._descriptor, self._path, self._path.parent)
            what = what or ("" if text == self._text else f"was taken by {_words(text)}")
            if what:
                raise FolderGoneError(f"{self._path.parent} {what} while its sweep ran")
            os.utime(self._descriptor)
        self._renewal_due = time.monotonic() + RENEW_S

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # a text that stays is of a process that is known to be dead
            if _read(self._descriptor) == self._text:
                os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


class LockState(NamedTuple):
    """Which process owns a folder, as a reader sees it: `words` are "" where none does; not `is_live` where it died."""

    words: str
    is_live: bool


def lock_state(folder: RunFolder) -> LockState:
    """The state by the text alone: to try the lock could refuse a run that begins in that very moment."""
    try:
        text = folder.owner.read_bytes().decode("utf-8", errors="replace")
        age_s = time.time() - folder.owner.stat().st_mtime
    except OSError:
        return LockState("", is_live=False)
    if not text:
        return LockState("", is_live=False)
    owner = _parsed(text)
    born = _born(owner.get("process"))
    if owner.get("host") == platform.node() and born != "":
        return LockState(_words(text), is_live=born is not None and born == owner.get("born"))
    return LockState(_words(text), is_live=age_s < STALE_S)


def check_unlocked(folder: RunFolder) -> None:
    """Refuse what `FolderLock` would refuse, and take nothing: a run says so before it loads data.

    Raises: ResultsError where another process runs the sweep.
    """
    try:
        descriptor = os.open(folder.owner, os.O_RDWR | NO_LINKS)
    except OSError:
        return  # there is no lock yet, or `FolderLock` will say what is wrong
    try:
        _refuse_others(descriptor, folder.owner)
    except OSError as error:
        raise refused(folder.owner, error) from error
    finally:
        os.close(descriptor)


def _refuse_others(descriptor: int, path: Path) -> None:
    is_ours = lock(descriptor)
    text = _read(descriptor)
    # A text that is not whole is of a process that died while it wrote it, and has done nothing yet.
    owner = _parsed(text)
    if is_ours is False or (owner and _is_believed(owner, path, knows_locks=is_ours is True)):
        raise ResultsError(f"{path.parent} is being run by {_words(text)}. Wait for it to end, or stop it")


def _is_believed(owner: dict[str, Any], path: Path, *, knows_locks: bool) -> bool:
    """Whether an owner whose lock is not there may be running all the same."""
    if owner.get("host") == platform.node():
        if knows_locks:
            return False
        born = _born(owner.get("process"))
        if born is None or born != owner.get("born"):
            return False
    return _age_s(path) < STALE_S


def _age_s(path: Path) -> float:
    """How long ago a file was written or renewed, by the clock of its file system."""
    with tempfile.TemporaryFile(dir=path.parent) as probe:
        return os.fstat(probe.fileno()).st_mtime - path.stat().st_mtime


def _own_text() -> str:
    owner = {
        "process": os.getpid(),
        "host": platform.node(),
        "since": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "born": _born(os.getpid()),
        "token": secrets.token_hex(8),
    }
    return json.dumps(owner) + "\n"


def _born(process: object) -> str | None:
    """When a process of this host began, in the kernel's own words ("" where it has none); None for a dead one."""
    if not isinstance(process, int):
        return None
    if not Path("/proc/self/stat").exists():
        return ""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return stat.rpartition(")")[2].split()[19]  # `starttime`, the 22nd field; the second, in brackets, may hold spaces


def _words(text: str) -> str:
    owner = _parsed(text)
    if not owner:
        return "another process"
    return f"process {owner.get('process')} on {owner.get('host')} since {owner.get('since')}"


def _parsed(text: str) -> dict[str, Any]:
    try:
        owner = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return owner if isinstance(owner, dict) else {}


def _read(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, 4096).decode("utf-8", errors="replace")


def _write(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, text.encode("utf-8"))
    os.fsync(descriptor)
