"""How often each promise of docs/reliability.md was put to the test. `scripts/reliability` prints what was counted."""

from __future__ import annotations

import os
from pathlib import Path

FILE = "SWEEP_COUNTS"
"""The environment variable that names a file to which rows of a Markdown table are added."""


def counted(test: str, count: str) -> None:
    """Say how much a test has done; to a person who looks (`pytest -s`), and to the file."""
    print(f"\n{test}: {count}")
    if FILE in os.environ:
        with Path(os.environ[FILE]).open("a", encoding="utf-8") as file:
            file.write(f"| {test} | {count} |\n")


def listed(counts: dict[str, int]) -> str:
    """Counts in words.

    >>> listed({"killed": 1200, "torn": 31})
    '1,200 killed, 31 torn'
    """
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())
