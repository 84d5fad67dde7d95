"""What a run has to say besides its progress: that the disk refuses, that it goes on. The rule: one line each.

Such things are warnings of the logger `sweeps`, so that whoever runs a sweep from Python hears them too, or sends them
where they like. The command prints them among its other lines.
"""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Self

from rich.console import Console

from sweeps.command import display
from sweeps.storage.retry import LOGGER


class Notices(logging.Handler):
    """Prints the warnings of `sweeps` on a console, until the end of the `with` block, and nowhere else."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        display.line(self._console, record.getMessage())

    def __enter__(self) -> Self:
        self._propagated, LOGGER.propagate = LOGGER.propagate, False
        LOGGER.addHandler(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        LOGGER.removeHandler(self)
        LOGGER.propagate = self._propagated
