"""How often each promise of docs/reliability.md is put to the test, and with which random choices.

`scripts/test` takes a part of the published counts, with other random choices in every run; `scripts/test --long` takes
all of them, from seed 0. `SWEEP_SEED` repeats a run's choices. `scripts/reliability` prints what was counted.
"""

from __future__ import annotations

import os
from pathlib import Path

FILE = "SWEEP_COUNTS"
"""The environment variable that names a file to which rows of a Markdown table are added."""

IS_LONG = os.environ.get("SWEEP_LONG") == "1"
"""Whether the full published counts are taken."""

SEED = int(os.environ.get("SWEEP_SEED", "0"))
"""What all random choices of a run begin with; `conftest.py` draws it where nobody gave one."""


def seeds(published: int, usual: int) -> range:
    """The seeds of a test's random inputs: `published` of them in a long run, else `usual`, from the run's seed on."""
    return range(SEED, SEED + (published if IS_LONG else usual))


def part(published: int, usual: int) -> range:
    """Every one of `published` cases in a long run; else about `usual` of them, spread evenly, others in every run."""
    step = 1 if IS_LONG else max(published // usual, 1)
    return range(SEED % step, published, step)


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
