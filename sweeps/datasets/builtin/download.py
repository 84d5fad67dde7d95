"""A file from the network, kept only if its checksum is right.

Standard error shows how far it is, where that is a terminal; elsewhere it says nothing.
"""

from __future__ import annotations

import hashlib
import http.client
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sweeps.errors import DataError, SweepError
from sweeps.storage.files import replace_bytes

TIMEOUT_S = 30.0
PIECE = 2**18
WIDTH = 30


class RemoteFile(NamedTuple):
    """A file: its name, its MD5 as those who publish it say, and about how many bytes it has."""

    name: str
    md5: str
    size: int


def download(sources: Sequence[str], wanted: RemoteFile, folder: Path) -> None:
    """Put a file into `folder`, from the first of the sources (URLs that end in `/`) that has it as it should be.

    Raises:
        DataError: none has, or the folder cannot be written; the message gives each reason.
    """
    reasons = []
    for source in sources:
        try:
            content = _fetched(f"{source}{wanted.name}", wanted)
            replace_bytes(folder / wanted.name, content)
        except (OSError, http.client.HTTPException, SweepError) as error:
            reasons.append(f"{source}{wanted.name}: {' '.join(str(error).split()) or type(error).__name__}")
        else:
            return
    raise DataError("; ".join(reasons))


def _fetched(url: str, wanted: RemoteFile) -> bytes:
    pieces, read = [], 0
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310  (an address of our own)
        while piece := answer.read(PIECE):
            pieces.append(piece)
            read += len(piece)
            _show(wanted, read)
    _show(wanted, read, is_over=True)
    content = b"".join(pieces)
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != wanted.md5:
        raise DataError("what came has another checksum")
    return content


def _show(wanted: RemoteFile, read: int, *, is_over: bool = False) -> None:
    if not sys.stderr.isatty():
        return
    done = WIDTH * min(read, wanted.size) // wanted.size
    bar = f"{'━' * done}{' ' * (WIDTH - done)}"
    line = f"{wanted.name} {bar} {read / 1e6:.1f} of {wanted.size / 1e6:.1f} MB"
    sys.stderr.write(f"\r{' ' * len(line)}\r" if is_over else f"\r{line}")
    sys.stderr.flush()
