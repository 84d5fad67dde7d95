"""A request to stop a run before the sweep's end. The rule: it can be made at any moment, also by a signal handler.

Making one only sets a value. The run looks at it between epochs: from then on no epoch begins, those under way are
waited for until the grace is over, and what has not ended goes on from its checkpoint when the sweep continues.
"""

from __future__ import annotations

import math
import time

GRACE_S = 8.0
"""So long an epoch that is under way is waited for; with what comes after it, a run stops within 15 seconds."""


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
        self._created = time.monotonic()
        self._made: tuple[str, float] | None = None

    def make(self, reason: str) -> None:
        """Ask for it; the first reason stands."""
        if self._made is None:
            self._made = (reason, time.monotonic())

    def hurry(self) -> None:
        """Ask that nothing be waited for any more, once a stop has been asked for.

        >>> request = StopRequest()
        >>> request.make("SIGINT")
        >>> request.hurry()
        >>> request.is_overdue
        True
        """
        if self._made is not None:
            self._made = (self._made[0], -math.inf)

    @property
    def reason(self) -> str:
        """Why the run is to stop; "" while it is not."""
        if time.monotonic() >= self._created + 60 * self._minutes:
            self.make(f"its {self._minutes:g} minutes are over")
        return self._made[0] if self._made else ""

    @property
    def is_overdue(self) -> bool:
        """Whether epochs under way have been waited for long enough."""
        return bool(self.reason) and self._made is not None and time.monotonic() >= self._made[1] + GRACE_S
