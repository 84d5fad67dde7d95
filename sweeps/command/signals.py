"""Signals that stop `sweep run`. The rule: a handler only asks; whoever trains stops when an epoch has ended.

SIGTERM and SIGUSR1 are what batch systems send before they kill, SIGINT is Ctrl-C. Before anything trains there is no
epoch to wait for, so each of them stops at once. A SIGINT after any of them asks not to wait for epochs either, and the
one after that ends the process. A signal that was ignored when the command began stays ignored, as in the background of
a shell script.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any, Self

from sweeps.stop_request import StopRequest

STOPPED, INTERRUPTED = 75, 130
HANDLED = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name))


class Signals:
    """Handlers, from here to the end of the `with` block, which turn signals into a `request` to stop.

    `exit_code` is what the command ends with if it was stopped. Use in the main thread alone.
    """

    def __init__(self, request: StopRequest) -> None:
        self.request = request
        self.exit_code = STOPPED
        self.is_patient = False
        """Whether somebody looks at the request; until then, a signal raises KeyboardInterrupt."""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in HANDLED:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        del frame
        is_interrupt = number == signal.SIGINT
        is_last = not self.is_patient or (is_interrupt and bool(self.request.reason))
        if is_last or not self.request.reason:
            self.exit_code = INTERRUPTED if is_interrupt else STOPPED
        self.request.make(signal.Signals(number).name)
        if is_last:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # the next one does not even wait for the tables
            self.request.hurry()
        if not self.is_patient:
            raise KeyboardInterrupt
