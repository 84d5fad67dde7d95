"""`sweep export`: a sweep's trials in a database of Optuna's."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from sweeps.amounts import count
from sweeps.command import display
from sweeps.results.results import load


def command(console: Console, folder: Path, storage: str, name: str | None) -> None:
    """Write the trials to the database at a URL, and say so.

    Raises:
        ResultsError: there are no results in `folder`, or the database takes no study of this name.
    """
    results = load(folder)
    from sweeps.results.export import to_optuna  # Optuna, once there is something to export

    study = name or results.config.name
    trials = to_optuna(results.logged, results.config, storage, study)
    display.line(console, f"{count(trials, 'trial')} in the study {study} of {storage}")
