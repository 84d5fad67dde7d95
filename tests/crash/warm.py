"""A process in which a sweep is imported, traced and compiled, and which forks processes that run it at once.

The forked process is the whole of `sweep run`, from its arguments to its exit code; only the compiled
programs are there already. A fork keeps no threads, so what needs XLA's own (compiling, and waiting for a result) is
done before, or without them.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from rich.console import Console

import sweeps.engine.programs
from crash import shim
from sweeps import cli
from sweeps.command import display
from sweeps.engine.program import Program
from sweeps.engine.programs import Programs
from sweeps.runner.progress import Progress

MOST_SECONDS = 60


class Ended(NamedTuple):
    """How a forked process ended: `code` as a shell gives it (137 for one that was killed), and what it printed."""

    code: int
    printed: str


def keep_programs() -> None:
    """From here on every sweep in this process, and in those that it forks, has the programs of the first one."""
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    made: list[Programs] = []
    tests: dict[Any, Callable[..., Any]] = {}

    def kept(config: Any, datasets: Any, policy: Any) -> Programs:
        if not made:
            made.append(Programs(config, datasets, policy))
        return made[0]

    def test(program: Program, values: Any, tree: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        evaluate = tests.setdefault(program, jax.jit(program.lane.evaluate))
        return np.asarray(evaluate(*jax.device_put((values, tree, x, y), program.device), program.feed.affine))

    sweeps.engine.programs.Programs = kept  # type: ignore[assignment,misc]
    Program.test = test  # type: ignore[method-assign]
    display.watch = _told


def command(config: Path, results: Path) -> int:
    """`sweep run`, which prints what it is told of each trial that has ended; its exit code."""
    sys.argv = ["sweep", "run", str(config), "--results", str(results)]
    try:
        cli.main()
    except SystemExit as ending:
        return int(ending.code or 0)
    return 0


def fork(work: Callable[[], int], output: Path) -> int:
    """Begin some work in a process of its own, which prints to a file and ends with the code that it returns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX warns of forks; see above
        process = os.fork()
    if process:
        return process
    code = 1
    try:
        printed = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        faulthandler.enable()
        faulthandler.dump_traceback_later(MOST_SECONDS, exit=True)
        code = work()
    except BaseException:  # noqa: BLE001  (told below; nothing of the parent's may run in this process)
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def wait(process: int, output: Path) -> Ended:
    """Wait for a forked process."""
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return Ended(128 - code if code < 0 else code, output.read_text() if output.exists() else "")


def told(printed: str) -> list[str]:
    """The trials of which a run told that they have ended."""
    return [line.removeprefix("told: ") for line in printed.splitlines() if line.startswith("told: ")]


def _told(console: Console, metric: str, looks: Iterable[Progress]) -> Progress | None:
    """In the place of the display: every piece of news at once, as a line."""
    latest = None
    for latest in looks:
        for line in latest.news:
            os.write(1, f"told: {line}\n".encode())
            if shim.LIBRARY in os.environ:
                shim.note(line)
    return latest
