"""Runs the measurements, interleaved, each in a fresh process, and writes the Markdown page.

What cannot run here is left out with one line that says why, and never stops the rest.
"""

from __future__ import annotations

import argparse
import compileall
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from benchmarks.machine import describe, probe
from benchmarks.measurements import CPU, GPU, Measurement, measurements
from benchmarks.process import Program, Run, run, say
from benchmarks.tables import page
from benchmarks.workloads import REPOSITORY

INSTALL = 'pip install -e ".[benchmark]"'


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    device = options.device or probe().kind
    chosen = [each for each in chosen_by(options.only, measurements(device)) if is_installed(each)]
    load_before = os.getloadavg()[0]
    for folder in ("sweeps", "models", "benchmarks"):
        compileall.compile_dir(REPOSITORY / folder, quiet=2)  # as pip has done for all that it has installed
    runs = list(interleaved(chosen, options.repeats, device))
    text = page(runs, device, describe(device, (load_before, os.getloadavg()[0])))
    if options.out:
        options.out.write_text(text)
    print(text)
    return int(any(each.result is None for each in runs))


def chosen_by(patterns: Sequence[str], all_of_them: Sequence[Measurement]) -> list[Measurement]:
    """Those whose name one of the patterns matches.

    Raises:
        SystemExit: a pattern matches nothing.
    """
    for pattern in patterns:
        if not any(fnmatch(each.name, pattern) for each in all_of_them):
            sys.exit(f"--only {pattern!r} matches none of: {', '.join(each.name for each in all_of_them)}")
    return [each for each in all_of_them if any(fnmatch(each.name, pattern) for pattern in patterns)]


def interleaved(chosen: Sequence[Measurement], repeats: int, device: str) -> Iterator[Run]:
    """Every program once, then every program again, so that a slow minute of the machine slows them all."""
    for repeat in range(repeats):
        for measurement in chosen:
            if measurement.at_most is None or repeat < measurement.at_most:
                yield from cold_and_warm(measurement, device)


def cold_and_warm(measurement: Measurement, device: str) -> Iterator[Run]:
    """A run in an empty home, and a second one there of a program that keeps caches."""
    program = Program(measurement.name, measurement.command, device)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        yield run(program, home)
        if measurement.keeps_caches:
            yield run(program, home, is_warm=True)


def is_installed(measurement: Measurement) -> bool:
    """Whether a program and what it needs are there; if not, one line says so."""
    for module in (measurement.package, measurement.command[0]):
        try:
            found = importlib.util.find_spec(module)
        except ModuleNotFoundError:  # of the package that the module is in
            found = None
        if found is None:
            say(f"{measurement.name} is left out: there is no module {module!r}. Install what peers need: {INSTALL}")
            return False
    return True


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/run", description="Measure `sweep run` beside its peers.")
    parser.add_argument("--repeats", type=int, default=5, help="how often each program runs; medians are shown")
    parser.add_argument(
        "--only",
        nargs="+",
        default=["*"],
        metavar="PATTERN",
        help="the programs to run, such as 'mnist_mlp/*' '*/strong' rate",
    )
    parser.add_argument("--device", choices=(CPU, GPU), help="a GPU if JAX finds one, unless given")
    parser.add_argument("--out", type=Path, help="write the Markdown page to this file too")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
