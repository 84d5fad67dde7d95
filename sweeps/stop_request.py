"""A request to stop a run before the sweep's end.

A request is a value that the run looks at between epochs, so a signal handler may make one at any moment. After it no
epoch begins, those under way are waited for until the grace is over, and trials that have not ended go on from their
checkpoints when the sweep continues.
"""

from __future__ import annotations

import math
import time
from typing import NamedTuple

GRACE_S = 8.0
"""So long an epoch that is under way is waited for; with what comes after it, a run stops within 15 seconds."""


class _Made(NamedTuple):
    reason: str
    moment: float  # time.monotonic()


class StopRequest:
    """Not made yet, unless `after_minutes` have passed since it was created.

    >>> request = StopRequest()
    >>> request.make("SIGTERM")
    >>> request.make("SIGUSR1")
    >>> request.reason
    'SIGTERM'
    """

    def __init__(self, after_minutes: float | None = None) -> None:
        self._minutes = math.inf if after_minutes is None else after_minutes
        self._ends = time.monotonic() + 60 * self._minutes
        self._made: _Made | None = None
        self._is_hurried = False

    def make(self, reason: str) -> None:
        """Ask for it; the first reason stands."""
        if self._made is None:
            self._made = _Made(reason, time.monotonic())

    def hurry(self) -> None:
        """Ask that nothing be waited for any more, once a stop has been asked for.

        >>> request = StopRequest()
        >>> request.make("SIGINT")
        >>> request.hurry()
        >>> request.is_overdue
        True
        """
        self._is_hurried = self._is_hurried or bool(self.reason)

    @property
    def reason(self) -> str:
        """Why the run is to stop; "" while it is not."""
        first = self._first()
        return "" if first is None else first.reason

    @property
    def is_overdue(self) -> bool:
        """Whether epochs under way have been waited for long enough."""
        first = self._first()
        return first is not None and (self._is_hurried or time.monotonic() >= first.moment + GRACE_S)

    def _first(self) -> _Made | None:
        """The earliest of what was asked for and the end of the minutes."""
        requests = [] if self._made is None else [self._made]
        if time.monotonic() >= self._ends:
            requests.append(_Made(f"its {self._minutes:g} minutes are over", self._ends))
        return min(requests, key=lambda each: each.moment, default=None)
