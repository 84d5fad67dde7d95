"""The folder of one sweep: every file name in it. The rule: refuse before anything runs."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sweeps.errors import ResultsError


@dataclass(frozen=True)
class RunFolder:
    """`path` is `<results>/<name>`; the properties name what lies in it."""

    path: Path

    @property
    def log(self) -> Path:
        return self.path / "log"

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
    def parameters(self) -> Path:
        return self.path / "best" / "parameters.npz"

    @property
    def best(self) -> Path:
        return self.path / "best" / "best.json"

    def prepare(self) -> None:
        """Write to the folder once; where it is not there yet, to the folder that it will be made in. Nothing is left.

        Raises:
            ResultsError: it cannot be made or written, or leads out of the results folder.
        """
        if self.path.is_symlink() and not self.path.resolve().is_relative_to(self.path.parent.resolve()):
            raise ResultsError(
                f"{self.path} is a link to {self.path.resolve()}; a sweep's folder must lie in the results"
            )
        try:
            nearest = next(folder for folder in (self.path, *self.path.absolute().parents) if folder.exists())
            with tempfile.TemporaryFile(dir=nearest) as probe:
                probe.write(b"sweep")
                os.fsync(probe.fileno())
        except OSError as error:
            reason = error.strerror or str(error)
            raise ResultsError(
                f"the results folder {self.path} cannot be written: {reason}. Choose another with --results DIR"
            ) from error
