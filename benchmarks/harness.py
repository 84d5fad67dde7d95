"""Runs the measurements, interleaved, each in a fresh and cold process, and writes the table.

The rule: a measurement is a program that prints one JSON line at its end; its wall time is taken from outside, so that
starting Python, imports, loading data and compiling all count.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.table import Run, markdown
from benchmarks.workloads import REPOSITORY

INSTALL = 'pip install -e ".[benchmark]"'


class Measurement(NamedTuple):
    """One program to run; `once` keeps it out of the repeats, `package` is what it needs beyond the project."""

    name: str
    command: tuple[str, ...]
    once: bool = False
    package: str = "sweeps"


MEASUREMENTS = (
    Measurement("ours", ("benchmarks.peers.ours", "fixed_list")),
    Measurement("strong", ("benchmarks.peers.strong",)),
    Measurement("strong_ahead", ("benchmarks.peers.strong", "--compile-ahead")),
    Measurement("ordinary", ("benchmarks.peers.ordinary",)),
    Measurement("keras_fit", ("benchmarks.peers.keras_fit",), package="keras"),
    Measurement("rate", ("benchmarks.peers.ours", "rate")),
    Measurement("matmul", ("benchmarks.matmul",)),
    Measurement("mnist", ("benchmarks.peers.ours", "mnist"), once=True),
)


def main() -> int:
    options = parse_arguments()
    chosen = [measurement for measurement in MEASUREMENTS if measurement.name in options.only]
    present = [measurement for measurement in chosen if is_installed(measurement)]
    load_before = os.getloadavg()
    runs = [
        run(measurement)
        for repeat in range(options.repeats)
        for measurement in present
        if repeat == 0 or not measurement.once
    ]
    text = markdown(runs, loads=(load_before, os.getloadavg()))
    if options.out:
        options.out.write_text(text)
    print(text)
    return int(any(run.result is None for run in runs))


def parse_arguments() -> argparse.Namespace:
    names = [measurement.name for measurement in MEASUREMENTS]
    parser = argparse.ArgumentParser(prog="benchmarks/run", description="Measure `sweep run` against its peers.")
    parser.add_argument("--repeats", type=int, default=5, help="how often each program runs; medians are shown")
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="the programs to run")
    parser.add_argument("--out", type=Path, help="write the Markdown table to this file too")
    return parser.parse_args()


def is_installed(measurement: Measurement) -> bool:
    found = importlib.util.find_spec(measurement.package) is not None
    if not found:
        say(f"{measurement.name} is left out: the package {measurement.package!r} is missing. Install it: {INSTALL}")
    return found


def run(measurement: Measurement) -> Run:
    """One cold run; a program that fails is reported and does not stop the others."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as home:
        start, cpu_start = time.perf_counter(), cpu_seconds_of_children()
        process = subprocess.run(
            [sys.executable, "-m", *measurement.command],
            cwd=REPOSITORY,
            env=cold_environment(home),
            capture_output=True,
            text=True,
            check=False,
        )
        wall, cpu = time.perf_counter() - start, cpu_seconds_of_children() - cpu_start
    say(f"{measurement.name}: {wall:.2f} s (load average before: {load:.2f})")
    if process.returncode != 0:
        say(f"{measurement.name} failed with exit code {process.returncode}:\n{process.stderr[-2000:]}")
    return Run(measurement.name, wall, cpu, last_line(process.stdout) if process.returncode == 0 else None)


def cpu_seconds_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def cold_environment(home: str) -> dict[str, str]:
    """The environment without settings of JAX, XLA and Keras, and without their caches: an empty home folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_", "KERAS_"))}
    return kept | {"HOME": home, "XDG_CACHE_HOME": home, "KERAS_HOME": home, "JAX_PLATFORMS": "cpu"}


def last_line(output: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return result


def say(*lines: str) -> None:
    print(*lines, sep="\n", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
