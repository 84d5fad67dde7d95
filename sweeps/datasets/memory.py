"""What would not fit into memory is refused before it is read."""

from __future__ import annotations

import io
import math
from typing import Any

from sweeps import machine
from sweeps.errors import DataError

SHARE = 0.5
"""Of the machine's memory, which data may take: beside them there is a copy in floats, and a model."""


def memory_bytes() -> float:
    """The memory that this process may use; infinite where it is not known."""
    return float(machine.memory_bytes() or math.inf)


def check_fits(what: str, needed: float, advice: str = "") -> None:
    """`what` would take `needed` bytes.

    Raises:
        DataError: that is more than the share of the memory that data may take.
    """
    memory = memory_bytes()
    if needed > SHARE * memory:
        more = f". {advice}" if advice else ""
        raise DataError(f"{what} would take {needed / 1e9:,.1f} GB of {memory / 1e9:,.1f} GB of memory{more}")


class Unpacked(io.RawIOBase):
    """What a compressed file holds, which is refused as soon as more has come of it than fits into memory."""

    def __init__(self, path: str, content: Any) -> None:
        self._path, self._content, self._come = path, content, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = self._content.read(len(buffer))
        buffer[: len(found)] = found
        self._come += len(found)
        check_fits(f"{self._path}, unpacked,", self._come)
        return len(found)
