"""`sweep doctor`: the state of a results folder, a line for each part, what is wrong marked with `!`."""

from __future__ import annotations

import textwrap
from pathlib import Path

from rich.console import Console

from sweeps.command.display import line
from sweeps.doctor import Finding, examine, rebuild

WIDTH = 80
_INDENT = " " * 19


def command(console: Console, folder: Path, *, rebuild_first: bool = False) -> bool:
    """Print what is to be said of a results folder; whether nothing is wrong with it.

    Raises:
        ResultsError: it is not a results folder, cannot be read, or is to be rebuilt while a run goes on.
    """
    if rebuild_first:
        rebuild(folder)
        line(console, f"{folder}: made the tables, config.yaml and environment.json anew from the log")
    findings = examine(folder)
    for finding in findings:
        line(console, text(finding, min(WIDTH, console.width) if console.is_terminal else WIDTH))
    wrong = sum(finding.is_wrong for finding in findings)
    line(console, f"{folder}: {f'{wrong} wrong' if wrong else 'nothing is wrong'}")
    return wrong == 0


def text(finding: Finding, width: int = WIDTH) -> str:
    """A finding in lines of at most `width` characters, unless a word is longer.

    >>> print(text(Finding("tables", "trials.csv is damaged", is_wrong=True)))
    ! tables           trials.csv is damaged
    """
    first = f"{'!' if finding.is_wrong else ' '} {finding.part:<17}"
    return textwrap.fill(
        finding.text, width, initial_indent=first, subsequent_indent=_INDENT, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
