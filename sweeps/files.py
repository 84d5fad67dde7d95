"""Files on disk, replaced whole or not at all. The rule: a reader sees the old file or the new one, never a part.

A file is written under a temporary name in its own folder, forced to the disk, and renamed over the old one; then the
folder is forced to the disk too, so that the rename outlives a power cut.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweeps.errors import ResultsError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path to write to; it takes the place of `path` when the block ends without an error.

    The temporary name is hidden, is in the same folder and has the same suffix (`numpy.savez` adds one otherwise). The
    folder is made where it is missing. After an error the old file stands and the temporary one is gone.

    Raises: ResultsError where the disk refuses (full, read-only, not permitted).
    """
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        sync_file(temporary)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise ResultsError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        _remove_quietly(temporary)


def replace_bytes(path: Path, content: bytes) -> None:
    """Makes `content` the whole content of `path`. Raises: as `replacing` does."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def replace_text(path: Path, text: str) -> None:
    r"""Makes `text` the whole content of `path`, in UTF-8, with `\n` as line ends. Raises: as `replacing` does."""
    replace_bytes(path, text.encode("utf-8"))


def sync_file(path: Path) -> None:
    """Forces a file's content to the disk."""
    _sync(path, os.O_RDWR)


def sync_folder(folder: Path) -> None:
    """Forces a folder's list of names to the disk. Windows has no such call, and needs none."""
    if sys.platform != "win32":
        _sync(folder, os.O_RDONLY)


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
    the file system knows no locks, so that nobody can tell.
    """
    if sys.platform == "win32":
        return None
    import fcntl  # noqa: PLC0415  does not exist on Windows

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
