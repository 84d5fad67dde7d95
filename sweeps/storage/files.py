"""Files on disk, replaced whole or not at all: a reader sees the old file or the new one, never a part.

A file is written under a temporary name in its own folder, forced to the disk, and renamed over the old one; then the
folder is forced to the disk too, so that the rename outlives a power cut.
"""

from __future__ import annotations

import errno
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweeps.errors import DiskError, ResultsError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What a system says where there is no space left, or no more of it for this user."""
NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
"""A flag for `os.open`: refuse a file that is a symbolic link. Windows has none."""


def refused(path: Path, error: OSError, needed_bytes: int | None = None) -> ResultsError:
    """The error to raise, from `error`, where `path` cannot be written. `needed_bytes` is for how much, if known.

    >>> refused(Path("trials.csv"), OSError(errno.ENOSPC, "ignored"), 1200)
    DiskError('trials.csv cannot be written: No space left on device (1,200 bytes are needed)')
    """
    # Libraries put words of their own beside the number.
    reason = os.strerror(error.errno) if error.errno else str(error)
    needed = "" if needed_bytes is None else f" ({needed_bytes:,} bytes are needed)"
    kind = DiskError if error.errno in FULL else ResultsError
    return kind(f"{path} cannot be written: {reason}{needed}")


@contextmanager
def replacing(path: Path, needed_bytes: int | None = None) -> Iterator[Path]:
    """Yields a temporary path to write to; it takes the place of `path` when the block ends without an error.

    The temporary name is hidden, is in the same folder and has the same suffix (`numpy.savez` adds one otherwise). The
    folder is made where it is missing. After an error the old file stands and the temporary one is gone. `needed_bytes`
    is about how much will be written, for the message where the disk refuses it.

    Raises: ResultsError where the disk refuses (read-only, not permitted), DiskError where it is full.
    """
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.partial{path.suffix}")
    try:
        make_folder(path.parent)
        yield temporary
        sync_file(temporary)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise refused(path, error, needed_bytes) from error
    finally:
        _remove_quietly(temporary)


def replace_bytes(path: Path, content: bytes | memoryview) -> None:
    """Makes `content` the whole content of `path`. Raises: as `replacing` does."""
    with replacing(path, len(content)) as temporary:
        temporary.write_bytes(content)


def replace_text(path: Path, text: str) -> None:
    r"""Makes `text` the whole content of `path`, in UTF-8, with `\n` as line ends. Raises: as `replacing` does."""
    replace_bytes(path, text.encode("utf-8"))


def make_folder(folder: Path) -> None:
    """Makes a folder, and those above it, where they are missing, in such a way that they outlive a power cut."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def leftovers(folder: Path) -> list[Path]:
    """The temporary files of writers that were killed, and of one that is writing."""
    return sorted(folder.rglob(".*.partial*"))


def remove_leftovers(folder: Path) -> None:
    """Removes them. No other process may be writing to the folder."""
    for path in leftovers(folder):
        _remove_quietly(path)


def sync_file(path: Path) -> None:
    """Forces a file's content to the disk."""
    _sync(path, os.O_RDWR)


def sync_folder(folder: Path) -> None:
    """Forces a folder's list of names to the disk. Windows has no such call, and needs none."""
    if sys.platform != "win32":
        _sync(folder, os.O_RDONLY)


def displaced(descriptor: int, path: Path, folder: Path) -> str:
    """What became of a folder, by an open file that was at `path` below it, such as "was deleted"; "" for nothing.

    Raises: OSError where the system does not say.
    """
    opened = os.fstat(descriptor)
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        place = _place(descriptor)
        is_moved = opened.st_nlink and place is not None and place.name == path.name
        depth = len(path.relative_to(folder).parts) - 1
        return f"was moved to {place.parents[depth]}" if is_moved and place is not None else "was deleted"
    return "" if os.path.samestat(opened, found) else "was replaced by another"


def _place(descriptor: int) -> Path | None:
    """Where an open file is now, where the system knows: a server of files renames one that was deleted."""
    try:
        return Path(f"/proc/self/fd/{descriptor}").readlink()
    except OSError:
        return None


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_quietly(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        # The error that matters is the one on its way out; a leftover is hidden and harmless.
        return


def lock(descriptor: int) -> bool | None:
    """Takes the exclusive advisory lock of an open file, and says whether it was free.

    The lock goes with the descriptor: closing it, or the death of the process, gives it back. None where the system or
    the file system knows no locks.
    """
    if sys.platform == "win32":
        return None
    import fcntl  # does not exist on Windows

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
