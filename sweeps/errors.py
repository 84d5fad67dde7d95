"""Every error that a user can cause, as one tree. A message says where, what must hold, what was got, and what to do.

    SweepError
    ├── ConfigError     the YAML file or an override: all complaints at once
    ├── DataError       a dataset that cannot be loaded or does not fit
    ├── ModelError      a model, loss, metric or optimizer that cannot be built
    └── ResultsError    a results folder that cannot be used
        ├── LogError    a log that contradicts itself
        └── DiskError   a disk that is full, or takes no writes any more
            └── FolderGoneError   a results folder that is not there any more

The command line prints `str(error)` and exits with 2, for a `DiskError` with 74; no traceback reaches a user for any of
these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class SweepError(Exception):
    """The root: everything that a user can put right."""


@dataclass(frozen=True)
class Complaint:
    """One mistake in a config, in one line.

    `where` is `file:line` (or `--set`), `path` the YAML path (`search_space.epochs.low`), `rule` what must hold,
    `got` what was found instead ("" where there is nothing to show) and `advice` what to do next ("" where the rule
    says it).
    """

    where: str
    path: str
    rule: str
    got: str = ""
    advice: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: {self.path}" if self.path else self.where
        evidence = f", but got {self.got}" if self.got else ""
        advice = f". {self.advice}" if self.advice else ""
        return f"{place}: {self.rule}{evidence}{advice}"


class ConfigError(SweepError):
    """One or more mistakes in a config; `complaints` holds them in the order of the file."""

    def __init__(self, complaints: Sequence[Complaint]) -> None:
        self.complaints = tuple(complaints)
        super().__init__("\n".join(str(complaint) for complaint in self.complaints))


class DataError(SweepError):
    """A dataset that cannot be loaded or does not fit the model, the loss or the batch size."""


class ModelError(SweepError):
    """A model, loss, metric or optimizer that cannot be found, built or traced."""


class ResultsError(SweepError):
    """A results folder that cannot be written, read or continued."""


class LogError(ResultsError):
    """A log whose records contradict each other."""


class DiskError(ResultsError):
    """A disk that has no space, or takes no writes any more. The same command continues later."""


class FolderGoneError(DiskError):
    """A results folder that was deleted, moved, replaced or taken by another process while its sweep ran."""
