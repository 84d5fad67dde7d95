"""Ends a small sweep before each of its operations on the disk, and says what the next run made of it.

    LD_PRELOAD=shim.so SWEEP_CRASH_SHIM=shim.so python -m crash.every_write FOLDER tpe --from 1 --step 1

With `--step 4` it ends before every fourth operation, from the `--from`-th on. Prints a line of JSON for every crash:
`how` it came, `at` which operation, `what` that was, and the `problems` found after the next run.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from crash import shim, warm
from crash.disk import Disk, Files, lay_out
from crash.verdict import Reference
from sweeps.engine import checkpoints
from sweeps.runner import journal

SWEEP = """\
name: small
dataset: {use: "sweeping:plane"}
model: {use: "sweeping:flat"}
loss: mean_squared_error
optimizer: {use: sgd}
search_space:
  epochs: {type: int, low: 1, high: 4}
  batch_size: {type: categorical, choices: [8, 20, 53]}
  learning_rate: {type: float, low: 1e-3, high: 0.05, log: true}
objective: {metric: valid_loss, direction: minimize}
lanes: 2
"""
METHODS = {
    "random": "sampler: {use: random}\nbudget: {trials: 5}\n",
    "tpe": "sampler: {use: tpe, n_startup_trials: 2}\npruner: {use: median, n_startup_trials: 1}\nbudget: {trials: 5}\n"
    "checkpoints: {seconds: 1e-9}\n",
    "waves": "sampler: {use: tpe, n_startup_trials: 2}\npruner: {use: waves, reduction_factor: 2}\n"
    "budget: {trials: 6}\ncheckpoints: {seconds: 1e-9}\n",
}


class Workshop:
    """A folder with a sweep, its uninterrupted results, and the trace of its operations."""

    def __init__(self, folder: Path, methods: str) -> None:
        self.folder, self.config = folder, folder / "small.yaml"
        self.config.write_text(SWEEP + METHODS[methods])
        self.results, self._output, self._trace = folder / "results", folder / "output", folder / "trace"
        warm.keep_programs()
        warm.command(self.config, folder / "warm-up")
        # The disk is waited for after every event, and not by the clock, so that each crash is met once.
        journal.FLUSH_SECONDS, checkpoints.MOST_TIME = 0.0, 1e9
        ended = self.run()
        if ended.code:
            raise RuntimeError(ended.printed)
        self.trace = shim.read(self._trace)
        self.left = folder / "left"
        shutil.copytree(self.results / "small", self.left)
        self.reference = Reference(self.left)

    def run(self, kill_at: int = 0, *, is_torn: bool = False) -> warm.Ended:
        """Run the sweep, or continue it, in a process of its own, which may be made to die."""
        self._output.unlink(missing_ok=True)
        self._trace.unlink(missing_ok=True)

        def work() -> int:
            shim.arm(self.results, self._trace, kill_at, is_torn=is_torn)
            return warm.command(self.config, self.results)

        return warm.wait(warm.fork(work, self._output), self._output)

    def killed_before(self) -> shim.Operation:
        """The operation that the last run did not come to."""
        return shim.read(self._trace)[-1]

    def begin(self, files: Files | None = None) -> None:
        """Results as a crash left them, or none."""
        shutil.rmtree(self.results, ignore_errors=True)
        self.results.mkdir()
        if files is not None:
            lay_out(files, self.results, self.results)

    def finish(self, told: list[str]) -> list[str]:
        """Run the sweep to its end; the problems that are found then."""
        ended = self.run()
        if ended.code:
            return [f"exit {ended.code}: {ended.printed}"]
        return self.reference.problems(self.results / "small", [*told, *warm.told(ended.printed)])


class Found(NamedTuple):
    """A way to die, and what was wrong after the next run."""

    how: str
    at: int
    what: str
    problems: list[str]


def kills(shop: Workshop, first: int, step: int) -> Iterator[Found]:
    """A kill before each operation; and one in the middle of it, where that is a write."""
    at, is_torn = first, False
    while True:
        shop.begin()
        ended = shop.run(at, is_torn=is_torn)
        if ended.code != 137:
            complaint = [] if ended.code == 0 else [f"exit {ended.code}: {ended.printed}"]
            yield Found("not killed", at, "", complaint)
            return
        last = shop.killed_before()
        problems = shop.finish(warm.told(ended.printed))
        yield Found(
            "killed in the middle of a write" if is_torn else "killed before it",
            at,
            f"{last.second} {last.path}",
            problems,
        )
        is_torn = last.second == "write" and not is_torn
        at += 0 if is_torn else step


def double_kills(shop: Workshop, chance: random.Random, first: int, step: int) -> Iterator[Found]:
    """A kill before each operation, and then one somewhere in the run that continues."""
    count = sum(operation.kind != "note" for operation in shop.trace)
    for at in range(first, count + 1, step):
        shop.begin()
        told = warm.told(shop.run(at).printed)
        then = chance.randint(1, count)
        told += warm.told(shop.run(then, is_torn=chance.random() < 0.5).printed)
        yield Found("killed twice", at, f"then at {then}", shop.finish(told))


def power_cuts(shop: Workshop, first: int, step: int) -> Iterator[Found]:
    """A power cut before each operation, which leaves what was safe on the disk, or that and all names."""
    disk, told, seen = Disk(shop.results), list[str](), set[int]()
    for at, operation in enumerate(shop.trace, start=1):
        if operation.kind == "note":
            told.append(operation.content.decode())
            continue
        disk.do(operation)
        for how, files in (
            ("lost its power", disk.safe_files()),
            ("lost its power with all names safe", disk.hasty_files()),
        ):
            state = hash((tuple(sorted(files.items(), key=str)), len(told)))
            if state not in seen and at >= first and (at - first) % step == 0:
                seen.add(state)
                shop.begin(files)
                yield Found(how, at, f"after {operation.kind} {operation.path}", shop.finish(told))


def missed(shop: Workshop) -> list[str]:
    """What the trace does not explain of the files that the sweep left."""
    disk, sweep = Disk(shop.results), shop.results / "small"
    for operation in shop.trace:
        disk.do(operation)
    traced = {
        Path(path).relative_to(sweep): found for path, found in disk.files().items() if path.startswith(f"{sweep}/")
    }
    left = {path.relative_to(shop.left): None if path.is_dir() else path.read_bytes() for path in shop.left.rglob("*")}
    return sorted(str(name) for name in traced.keys() | left.keys() if traced.get(name, b"") != left.get(name, b""))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("methods", choices=METHODS)
    parser.add_argument("--from", dest="first", type=int, default=1)
    parser.add_argument("--step", type=int, default=1)
    options = parser.parse_args()
    places = (options.first, options.step)
    shop = Workshop(options.folder.resolve(), options.methods)
    whole = Found("trace", len(shop.trace), "", [f"not explained: {name}" for name in missed(shop)])
    for found in chain(
        [whole],
        kills(shop, *places),
        double_kills(shop, random.Random(options.first), *places),
        power_cuts(shop, *places),
    ):
        print(json.dumps(found._asdict()), flush=True)


if __name__ == "__main__":
    main()
