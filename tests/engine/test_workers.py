"""Calls are carried out in order by a few threads, which hold up neither a run that ends nor the interpreter."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from sweeps.engine.workers import Workers


def test_calls_are_carried_out_in_order_and_errors_reach_who_asks() -> None:
    workers, seen = Workers(1, "one"), list[int]()
    futures = [workers.submit(seen.append, number) for number in range(5)]
    failed = workers.submit(int, "no number")
    with pytest.raises(ValueError, match="no number"):
        failed.result(10)
    assert seen == list(range(5))
    assert [future.result() for future in futures] == [None] * 5
    workers.close()


def test_as_many_calls_as_threads_go_on_at_once_and_no_more() -> None:
    workers, open_, at_once, most = Workers(2, "two"), threading.Event(), list[int](), list[int]()

    def call() -> None:
        at_once.append(1)
        most.append(len(at_once))
        open_.wait(10)
        at_once.pop()

    futures = [workers.submit(call) for _ in range(4)]
    while max(most, default=0) < 2:
        time.sleep(0.01)
    open_.set()
    for future in futures:
        future.result(10)
    assert max(most) == 2
    workers.close()


def test_closing_cancels_what_has_not_begun_and_waits_for_nothing() -> None:
    workers, open_, begun = Workers(1, "left"), threading.Event(), threading.Event()

    def call() -> bool:
        begun.set()
        return open_.wait(10)

    first, second = workers.submit(call), workers.submit(call)
    assert begun.wait(10)
    workers.close()
    assert second.cancelled()
    assert not first.done()
    open_.set()
    assert first.result(10)


def test_the_interpreter_ends_though_a_thread_does_not_answer() -> None:
    script = "import time; from sweeps.engine.workers import Workers; Workers(1, 'x').submit(time.sleep, 1000)"
    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 0
