"""`sweep report`: the page of figures and tables, and the same at the end of `sweep run`."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.console import Console

import sweeps
from sweeps.amounts import count
from sweeps.command import display
from sweeps.command.terminal import clean
from sweeps.results.folder import reason
from sweeps.storage.paths import RunFolder

LEAST_SECONDS = 20.0
"""A report takes a second or two, which a shorter run does not spend on one that nobody has asked for."""


def command(console: Console, folder: Path, output: Path | None) -> None:
    """Write the report of a sweep, also while it runs.

    Raises:
        ResultsError: there are no results in `folder`, or the report cannot be written.
    """
    results = sweeps.load(folder)
    path = results.report(output)
    trials = count(len(results.logged.trials), "trial")
    display.line(console, f"{path}: {trials}, {path.stat().st_size / 1e6:.1f} MB; any browser opens it")


def after_a_run(console: Console, folder: Path, seconds: float) -> None:
    """Write the report of a run that has ended, and say where it is, or how to get it.

    What goes wrong is a line, for the sweep itself is done.
    """
    if not _is_due(RunFolder(folder), seconds):
        display.line(console, f"\nreport    `{clean(shlex.join(['sweep', 'report', str(folder)]))}` writes one")
        return
    try:
        path = sweeps.load(folder).report()
    except Exception as error:  # noqa: BLE001  (a page that cannot be made takes nothing from the results)
        display.line(console, f"\nreport    not written: {reason(error)}")
    else:
        display.line(console, f"\nreport    {path}, for any browser")


def _is_due(folder: RunFolder, seconds: float) -> bool:
    """Whether a run took so long that a report does not count, or there is one that does not know of it yet."""
    if seconds >= LEAST_SECONDS:
        return True
    if not folder.report.exists():
        return False
    written = folder.report.stat().st_mtime
    return any(path.stat().st_mtime > written for path in folder.log_files)
