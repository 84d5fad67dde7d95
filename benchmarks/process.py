"""One run of one program: a fresh process, its wall time taken from outside, its JSON line.

Starting Python, imports, loading data and compiling all count. A *cold* run has an empty home folder; a
*warm* one is the same command again in the home that a cold run left.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from typing import Any, NamedTuple

from benchmarks.measurements import CPU
from benchmarks.workloads import REPOSITORY

SETTINGS = ("JAX_", "XLA_", "KERAS_", "RAY_", "TUNE_", "OMP_", "MKL_")
LONGEST_S = 1_800


class Run(NamedTuple):
    """One run: wall seconds, CPU seconds, its JSON line (None where it failed)."""

    name: str
    wall: float
    cpu: float
    result: dict[str, Any] | None
    is_warm: bool = False


class Program(NamedTuple):
    """What a run starts: a name for reports, a module with its arguments, and the kind of device that it may use."""

    name: str
    command: tuple[str, ...]
    device: str


def run(program: Program, home: str, *, is_warm: bool = False) -> Run:
    """Run a program in a home; one that fails is reported and does not stop the others."""
    load, start, cpu_start = os.getloadavg()[0], time.perf_counter(), _cpu_seconds_of_children()
    try:
        process = subprocess.run(
            [sys.executable, "-m", *program.command],
            cwd=REPOSITORY,
            env=environment(home, program.device),
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_S,
        )
    except subprocess.TimeoutExpired:
        say(f"{program.name} was stopped after {LONGEST_S} s")
        return Run(program.name, LONGEST_S, 0.0, None, is_warm)
    wall, cpu = time.perf_counter() - start, _cpu_seconds_of_children() - cpu_start
    say(f"{program.name}{' (warm)' if is_warm else ''}: {wall:.2f} s (load average before: {load:.2f})")
    result = last_line(process.stdout) if process.returncode == 0 else None
    if result is None:
        say(f"{program.name} failed with exit code {process.returncode}:\n{process.stderr[-2000:]}")
    return Run(program.name, wall, cpu, result, is_warm)


def environment(home: str, device: str) -> dict[str, str]:
    """The environment without settings of the libraries that are measured, and with `home` for all their caches."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    homes = {"HOME": home, "XDG_CACHE_HOME": f"{home}/.cache", "KERAS_HOME": f"{home}/.keras"}
    only_cpu = {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""} if device == CPU else {}
    return kept | homes | only_cpu


def last_line(output: str) -> dict[str, Any] | None:
    """The JSON object on the last line of a program's output; None where there is none.

    >>> last_line('words\\n{"accuracies": []}\\n'), last_line("words")
    ({'accuracies': []}, None)
    """
    try:
        result = json.loads(output.strip().splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        return None
    return result if isinstance(result, dict) else None


def say(*lines: str) -> None:
    print(*lines, sep="\n", file=sys.stderr, flush=True)


def _cpu_seconds_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
