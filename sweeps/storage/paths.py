"""The folder of one sweep: the names of all files in it, and whether it can be written."""

from __future__ import annotations

import itertools
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sweeps.errors import ResultsError
from sweeps.storage.files import refused

LEAST_BYTES = 2**15
"""A disk with less space than this cannot take even a small sweep."""
TABLES = ("trials.parquet", "trials.csv", "history.parquet", "history.csv")
CHECKPOINT = re.compile(r"trial-(\d+)\.attempt-(\d+)\.epoch-(\d+)\.npz")


@dataclass(frozen=True)
class RunFolder:
    """`path` is `<results>/<name>`; the properties name what lies in it."""

    path: Path

    @property
    def log(self) -> Path:
        return self.path / "log"

    @property
    def log_files(self) -> list[Path]:
        """The files of the log that are there, by name."""
        return log_files(self.log)

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def owner(self) -> Path:
        return self.path / ".owner"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def parameters(self) -> Path:
        return self.path / "best" / "parameters.npz"

    @property
    def best(self) -> Path:
        return self.path / "best" / "best.json"

    @property
    def manifest(self) -> Path:
        return self.path / "tables.jsonl"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    def table(self, name: str, form: str) -> Path:
        """`trials` or `history`, as `parquet` or `csv`."""
        return self.path / f"{name}.{form}"

    def prepare(self) -> None:
        """Write to the folder once; where it is not there yet, to the folder that it will be made in. Nothing is left.

        Raises:
            ResultsError: it cannot be made or written, leads out of the results folder, or holds links, or results
                without their log.
        """
        if self.path.is_symlink() and not self.path.resolve().is_relative_to(self.path.parent.resolve()):
            raise ResultsError(
                f"{self.path} is a link to {self.path.resolve()}; a sweep's folder must lie in the results"
            )
        try:
            self._refuse_links()
            nearest = next(folder for folder in (self.path, *self.path.absolute().parents) if folder.exists())
            for folder in (nearest, *(each for each in self._folders() if each.exists())):
                _try(folder)
        except OSError as error:
            refusal = refused(self.path, error)
            raise type(refusal)(f"the results folder {refusal}. Choose another with --results DIR") from error
        self._refuse_tables_without_a_log()

    def beside(self) -> RunFolder:
        """A fresh folder beside this one, or where none can be made there, among the system's temporary files.

        Raises: ResultsError where none can be made at all.
        """
        prefix = f"{self.path.name}-recovered-"
        for number in itertools.count(1):
            fresh = self.path.with_name(f"{prefix}{number}")
            try:
                fresh.mkdir(parents=True)
            except FileExistsError:
                continue
            except OSError:
                break
            return RunFolder(fresh)
        try:
            return RunFolder(Path(tempfile.mkdtemp(prefix=prefix)))
        except OSError as error:
            raise refused(fresh, error) from error

    def _refuse_tables_without_a_log(self) -> None:
        """A run would begin from nothing and replace them, and they may be all that is left of a sweep."""
        known = (*TABLES, self.manifest.name, self.best.parent.name)
        found = [name for name in known if (self.path / name).exists()]
        if found and not self.log_files:
            raise ResultsError(
                f"{self.path} holds results ({', '.join(found)}) but no log (log/*.jsonl), and a run would replace "
                f"them. Put its log back, or move the folder away, or choose another with --results DIR"
            )

    def _folders(self) -> tuple[Path, ...]:
        return (self.log, self.best.parent, self.checkpoints)

    def _refuse_links(self) -> None:
        """A link in the folder could lead a run to append to, cut or replace a file anywhere else."""
        for folder in (self.path, *self._folders()):
            for found in sorted(folder.iterdir()) if folder.is_dir() else []:
                if found.is_symlink():
                    raise ResultsError(
                        f"{found} is a link; a sweep writes to files of its own. Remove it, or link the whole results "
                        f"folder instead, as with --results DIR"
                    )


def log_files(log: Path) -> list[Path]:
    """The files of a log folder, one for each worker, by name; none where the folder is missing."""
    return sorted(path for path in log.glob("*.jsonl") if path.is_file())


def log_file(log: Path, worker: str) -> Path:
    """The file of one worker in a log folder."""
    return log / f"{worker}.jsonl"


def torn_files(log: Path) -> list[Path]:
    """Where lines that a crash cut short were set aside, by name."""
    return sorted(log.glob("*.torn-*"))


def free_torn_file(log_file: Path) -> Path:
    """Where the next such line of a log file goes."""
    number = 1
    while (path := log_file.with_suffix(f".torn-{number}")).exists():
        number += 1
    return path


def checkpoint_file(checkpoints: Path, number: int, attempt: int, epoch: int) -> Path:
    """The state of trial `number` after `epoch`; `CHECKPOINT` matches its name."""
    return checkpoints / f"trial-{number}.attempt-{attempt}.epoch-{epoch}.npz"


def _try(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder) as probe:
        probe.write(bytes(LEAST_BYTES))
        os.fsync(probe.fileno())
