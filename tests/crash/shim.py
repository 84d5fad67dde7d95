"""The shim from Python: built with the machine's C compiler, switched on in the process that is to die, then read.

An operation is something done to a file or a folder below the watched folder, in the order it was done.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_name("shim.c")
LIBRARY = "SWEEP_CRASH_SHIM"
"""The environment variable that names the built library in a process that has it preloaded."""


class Operation(NamedTuple):
    """What was done: `kind` is write, fsync, rename, create, truncate, unlink, mkdir, rmdir; or note, or killed.

    `offset` is where a write begins, or how long a truncated file is; of `killed`, how many operations there were, and
    `second` says which one was not done any more.
    """

    kind: str
    offset: int
    content: bytes
    path: str
    second: str


def build(folder: Path) -> Path:
    """The shim as a library in a folder. Raises: OSError where there is no compiler."""
    library = folder / "shim.so"
    command = ["gcc", "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl", "-lpthread"]
    subprocess.run(command, check=True)
    return library


def environment(library: Path) -> dict[str, str]:
    """For a process that is to have the shim."""
    return {"LD_PRELOAD": str(library), LIBRARY: str(library)}


def arm(folder: Path, trace: Path, kill_at: int = 0, *, is_torn: bool = False) -> None:
    """From here on this process leaves a trace, and dies before its `kill_at`-th operation (0: never).

    Where that is a write and `is_torn`, half of its bytes are still written.
    """
    descriptor = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    _library().crash_arm(str(folder).encode(), ctypes.c_long(kill_at), int(is_torn), descriptor)


def note(text: str) -> None:
    """Put a word of the program itself between the operations of its trace."""
    _library().crash_note(text.encode())


def read(trace: Path) -> list[Operation]:
    """Every operation of a trace, and every note."""
    return list(_operations(trace.read_bytes()))


def _operations(content: bytes) -> Iterator[Operation]:
    place = 0
    while place < len(content):
        end = content.index(b"\n", place)
        kind, offset, length, path, second = content[place:end].decode().split("\t")
        place = end + 1 + int(length)
        yield Operation(kind, int(offset), content[end + 1 : place], path, second)


def _library() -> ctypes.CDLL:
    return ctypes.CDLL(os.environ[LIBRARY])
