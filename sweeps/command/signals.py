"""Signals that stop `sweep run`. A handler only makes a request; the run stops when the epochs under way have ended.

SIGTERM and SIGUSR1 are what batch systems send before they kill, SIGINT is Ctrl-C, SIGHUP comes when a terminal is
closed or a connection breaks. Before anything trains there is no epoch to wait for, so each of them ends the process at
once: an exception that falls into the import of JAX may be swallowed by Python, or crash what is being imported. A
SIGINT after any of them asks not to wait for epochs either, and the one after that ends the process. A signal that was
ignored when the command began stays ignored, as under `nohup` or in the background of a shell script.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn, Self

from sweeps.stop_request import StopRequest

STOPPED, INTERRUPTED = 75, 130
LAST_WORD = (
    "stopping at once: where the epochs stand is being written down; one more Ctrl-C ends the process now, and these "
    "epochs are trained again"
)
HANDLED = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP") if hasattr(signal, name))


class Signals:
    """Handlers, from here to the end of the `with` block, which turn signals into a `request` to stop.

    `exit_code` is what the command ends with if it was stopped. Until the run `is_patient`, which is when it looks at
    the request, `leave` is called with it, and does not return. `say` prints a line. Use in the main thread alone.
    """

    def __init__(self, request: StopRequest, leave: Callable[[int], NoReturn]) -> None:
        self.request, self._leave = request, leave
        self.exit_code = STOPPED
        self.is_patient = False
        self.say: Callable[[str], object] = lambda _: None
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
        is_last = is_interrupt and bool(self.request.reason)
        if is_last or not self.request.reason:
            self.exit_code = INTERRUPTED if is_interrupt else STOPPED
        if not self.is_patient:
            self._leave(self.exit_code)
        self.request.make(signal.Signals(number).name)
        if is_last:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # the next one does not even wait for the tables
            self.request.hurry()
            with suppress(RuntimeError):  # Python was in the middle of printing something else
                self.say(LAST_WORD)
