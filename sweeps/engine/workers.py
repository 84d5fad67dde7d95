"""Threads that are left where they do not answer: the interpreter does not wait for them when it ends.

It does for those of `concurrent.futures`, so that a script whose device hangs would never end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple


class _Call(NamedTuple):
    future: Future[Any]
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


class Workers:
    """At most `count` threads, which carry out calls in their order.

    >>> workers = Workers(1, "adding")
    >>> workers.submit(sum, [1, 2]).result()
    3
    >>> workers.close()
    """

    def __init__(self, count: int, name: str) -> None:
        self._count, self._name = count, name
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Have `function(*arguments)` called by a thread."""
        call = _Call(Future(), function, arguments)
        self._calls.put(call)
        if len(self._threads) < self._count:
            name = f"{self._name}-{len(self._threads)}"
            self._threads.append(threading.Thread(target=self._work, name=name, daemon=True))
            self._threads[-1].start()
        return call.future

    def close(self) -> None:
        """Cancel what no thread has begun, and let each thread end after what it is at. Waits for nothing."""
        while (call := self._next()) is not None:
            call.future.cancel()
        for _ in self._threads:
            self._calls.put(None)

    def _next(self) -> _Call | None:
        try:
            return self._calls.get_nowait()
        except Empty:
            return None

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            if not call.future.set_running_or_notify_cancel():
                continue
            try:
                result = call.function(*call.arguments)
            except BaseException as error:  # noqa: BLE001  (whoever asks for the result gets it)
                call.future.set_exception(error)
            else:
                call.future.set_result(result)
            del call
