"""Disturbs a running sweep with signals at random moments, lets it end, and says what came of it.

    python -m crash.schedules FOLDER --seeds 0 50

Each seed is a schedule: runs of one sweep, each of which is killed, stopped for a while and continued, killed while it
is stopped, or asked to end; then one that nobody disturbs. Prints a line of JSON for every schedule: its `seed`, the
`signals` that came to a live process, the exit `codes` of its runs, how many trials were `told` before the last run,
and the `problems` found after it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from crash import warm
from crash.verdict import Reference

SWEEP = """\
name: small
dataset: {use: "sweeping:plane", rows: 20000}
model: {use: "sweeping:flat"}
loss: mean_squared_error
optimizer: {use: sgd}
search_space:
  epochs: {type: int, low: 2, high: 9}
  batch_size: {type: categorical, choices: [8, 20, 53]}
  learning_rate: {type: float, low: 1e-3, high: 0.02, log: true}
objective: {metric: valid_loss, direction: minimize}
sampler: {use: tpe, n_startup_trials: 3}
pruner: {use: median, n_startup_trials: 2}
budget: {trials: 16}
checkpoints: {seconds: 0.05}
lanes: 2
"""
MOST_DISTURBED_RUNS = 6
STOP_SECONDS = 15
"""So long a run may take from being asked to end until it has."""


class Lived(NamedTuple):
    """One run: the signals that it got while it lived, and its exit code."""

    signals: list[str]
    code: int


class Slow(Exception):
    """A run took longer to end than it may."""


class Schedule:
    """One sweep and those who disturb it."""

    def __init__(self, folder: Path, config: Path, seed: int, usual_seconds: float) -> None:
        self._chance = random.Random(seed)
        self._config, self.results, self.output = config, folder / f"results-{seed}", folder / f"output-{seed}"
        self._usual_seconds = usual_seconds
        self.output.touch()

    def runs(self) -> Iterator[Lived]:
        """Disturbed runs, until one ends by itself or there were enough of them; the last one is not disturbed."""
        for _ in range(self._chance.randint(2, MOST_DISTURBED_RUNS)):
            lived = self._disturbed()
            yield lived
            if lived.code == 0:
                return
        yield self._ended(self._start(), [])

    def _start(self) -> int:
        return warm.fork(lambda: warm.command(self._config, self.results), self.output)

    def _disturbed(self) -> Lived:
        process, sent = self._start(), list[str]()
        while True:
            time.sleep(self._chance.uniform(0, 0.7 * self._usual_seconds))
            name = self._chance.choice(["SIGKILL", "SIGTERM", "SIGSTOP"])
            sent += _send(process, name)
            if name != "SIGSTOP":
                return self._ended(process, sent)
            time.sleep(self._chance.uniform(0, self._usual_seconds / 4))
            if sent[-1:] == ["SIGSTOP"] and self._chance.random() < 0.2:
                sent += _send(process, "SIGKILL")
                return self._ended(process, sent)
            sent += _send(process, "SIGCONT")

    def _ended(self, process: int, sent: list[str]) -> Lived:
        asked = time.monotonic()
        ended = warm.wait(process, self.output)
        if sent and time.monotonic() - asked > STOP_SECONDS:
            raise Slow(f"{time.monotonic() - asked:.1f} s after {sent[-1]}")
        return Lived(sent, ended.code)


def _send(process: int, name: str) -> list[str]:
    """The signal, if the process lived to get it."""
    if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
        return []
    os.kill(process, signal.Signals[name])
    return [name]


def disturb(folder: Path, config: Path, seed: int, usual_seconds: float, reference: Reference) -> dict[str, object]:
    """One schedule from its first run to what is said of it."""
    schedule, signals, codes, early = Schedule(folder, config, seed, usual_seconds), list[str](), list[int](), 0
    for lived in schedule.runs():
        signals += lived.signals
        codes.append(lived.code)
        early = len(warm.told(schedule.output.read_text())) if lived.code else early
    told = warm.told(schedule.output.read_text())
    problems = reference.problems(schedule.results / "small", told)
    if codes[-1] or not set(codes[:-1]) <= {75, 137, 143}:
        problems.append(f"exit {codes}: {schedule.output.read_text()}")
    shutil.rmtree(schedule.results)
    return {"seed": seed, "signals": signals, "codes": codes, "told": early, "problems": problems}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs=2, metavar=("FIRST", "END"), default=(0, 50))
    options = parser.parse_args()
    folder = options.folder.resolve()
    config = folder / "small.yaml"
    config.write_text(SWEEP)
    warm.keep_programs()
    warm.command(config, folder / "warm-up")
    started = time.monotonic()
    warm.wait(warm.fork(lambda: warm.command(config, folder / "reference"), folder / "output"), folder / "output")
    usual_seconds, reference = time.monotonic() - started, Reference(folder / "reference" / "small")
    for seed in range(*options.seeds):
        print(json.dumps(disturb(folder, config, seed, usual_seconds, reference)), flush=True)


if __name__ == "__main__":
    main()
