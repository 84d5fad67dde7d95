"""What a run does when the disk refuses: it waits, and tries again.

A full disk, a lost permission, a file server that is away: often it passes, and what a run holds in memory took hours.
So what must be on the disk before the run may go on is tried again for a minute; what can be made later is left for
later. Each refusal is one warning of the logger `sweeps`.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from sweeps.errors import DiskError, ResultsError
from sweeps.stop_request import StopRequest
from sweeps.storage.files import FULL

GIVE_UP_S = 60.0
RETRY_S = 1.0
PASSING = FULL | {errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENODEV}
"""Errors that may pass while a run waits: no space, no permission, a disk or a file server that does not answer."""
LOGGER = logging.getLogger("sweeps")
_LOOK_S = 0.1

Written = TypeVar("Written")


class Retry:
    """How one run waits for a disk: it tries for `GIVE_UP_S`, and not at all once its `request` to stop is made."""

    def __init__(self, request: StopRequest | None = None) -> None:
        self._request = request or StopRequest()
        self._is_spent = False
        self._behind: set[str] = set()

    def insist(self, write: Callable[[], Written]) -> Written:
        """What `write` returns, once the disk lets it; it must leave nothing behind when the disk does not.

        Raises:
            DiskError: the disk has refused for `GIVE_UP_S`, or has refused and the run is to stop.
            ResultsError: it refuses for a reason that does not pass.
        """
        try:
            return write()
        except ResultsError as error:
            if not is_passing(error):
                raise
            refusal = error
        if not self._is_over():
            LOGGER.warning("paused: %s. Results are kept in memory; trying for %g s", refusal, GIVE_UP_S)
            until = time.monotonic() + GIVE_UP_S
            while self._waits(until):
                try:
                    written = write()
                except ResultsError as error:
                    refusal = error
                else:
                    LOGGER.warning("the disk takes writes again: going on")
                    return written
        self._is_spent = True
        raise DiskError(f"{refusal}. The same command continues once it can be written") from refusal

    def attempt(self, what: str, write: Callable[[], object]) -> bool:
        """Try to write what can be written later as well; whether it was. `what` is several, such as `the tables`.

        Raises:
            ResultsError: the disk refuses for a reason that does not pass.
        """
        try:
            write()
        except ResultsError as error:
            if not is_passing(error):
                raise
            if what not in self._behind:
                LOGGER.warning("%s. The sweep goes on; %s follow when they can be written", error, what)
            self._behind.add(what)
            return False
        self._behind.discard(what)
        return True

    def _is_over(self) -> bool:
        return self._is_spent or bool(self._request.reason)

    def _waits(self, until: float) -> bool:
        """Whether to try once more, after `RETRY_S`; a request to stop cuts that short."""
        retry = time.monotonic() + RETRY_S
        while (now := time.monotonic()) < min(retry, until) and not self._is_over():
            time.sleep(_LOOK_S)
        return now < until and not self._is_over()


def is_passing(error: ResultsError) -> bool:
    """Whether an error is a disk's refusal that may pass by itself."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in PASSING
