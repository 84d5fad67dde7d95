"""`sweep report`: the page of figures and tables, and the same at the end of `sweep run`."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

import sweeps
from sweeps.command import display
from sweeps.results.folder import reason
from sweeps.storage.paths import RunFolder


def command(console: Console, folder: Path, output: Path | None) -> None:
    """Write the report of a sweep, also while it runs.

    Raises:
        ResultsError: there are no results in `folder`, or the report cannot be written.
    """
    results = sweeps.load(folder)
    path = results.report(output)
    trials = display.count(len(results.logged.trials), "trial")
    display.line(console, f"{path}: {trials}, {path.stat().st_size / 1e6:.1f} MB; any browser opens it")


def after_a_run(console: Console, folder: Path) -> None:
    """Write the report of a run that has ended. What goes wrong is a line, for the sweep itself is done."""
    try:
        path = sweeps.load(folder).report()
    except Exception as error:  # noqa: BLE001  (a page that cannot be made takes nothing from the results)
        display.line(console, f"report    not written: {reason(error)}")
    else:
        display.line(console, f"\nreport    {path}: figures and all trials, for any browser")


def is_current(folder: RunFolder) -> bool:
    """Whether there is a report that was written after all that the log says."""
    if not folder.report.exists():
        return False
    written = folder.report.stat().st_mtime
    return all(path.stat().st_mtime <= written for path in folder.log_files)
