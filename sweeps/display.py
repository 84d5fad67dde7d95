"""What a person sees while a sweep runs and when it is done. The rule: it only looks; a sweep without it is the same.

On a terminal a few lines are redrawn in place; anywhere else (a file, a batch job's output) plain lines are added, one
for each new best trial and one every ten seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweeps.progress import Progress

PLAIN_LINE_SECONDS = 10.0
REDRAWS_PER_SECOND = 8


def watch(console: Console, metric: str, looks: Iterable[Progress]) -> Progress | None:
    """Follow a sweep to its end, showing each look at it; the last one, or None if there was nothing to do."""
    return _watch_live(console, metric, looks) if console.is_terminal else _watch_plain(console, metric, looks)


def _watch_live(console: Console, metric: str, looks: Iterable[Progress]) -> Progress | None:
    latest: Progress | None = None
    drawn = 0.0
    with Live(
        Text("  getting ready: data, model, compilation", style="dim"), console=console, auto_refresh=False
    ) as live:
        for latest in looks:
            now = time.monotonic()
            if now - drawn >= 1 / REDRAWS_PER_SECOND:
                live.update(_picture(latest, metric), refresh=True)
                drawn = now
        if latest is not None:
            live.update(_picture(latest, metric), refresh=True)
    return latest


def _watch_plain(console: Console, metric: str, looks: Iterable[Progress]) -> Progress | None:
    latest: Progress | None = None
    best, told = None, time.monotonic()
    for latest in looks:
        if latest.best != best:
            best = latest.best
            console.print(
                f"{_done(latest)} trials, new best {_best_line(latest, metric)}", soft_wrap=True, highlight=False
            )
        if time.monotonic() - told >= PLAIN_LINE_SECONDS:
            told = time.monotonic()
            console.print(", ".join([f"{_done(latest)} trials", *_figures(latest)]), soft_wrap=True, highlight=False)
    return latest


def _picture(look: Progress, metric: str) -> Group:
    bar = ProgressBar(total=look.total, completed=look.done, width=28, pulse=look.total is None)
    line = Table.grid(padding=(0, 2))
    line.add_row(Text("  trials"), bar, Text(_done(look)), Text("  ".join(_figures(look)), style="dim"))
    lines: list[Any] = [line, Text(f"  best    {_best_line(look, metric)}", style="bold" if look.best else "dim")]
    counts = ", ".join(f"{count} {outcome}" for outcome, count in look.outcomes.items())
    if counts:
        lines.append(Text(f"          {counts}", style="dim"))
    return Group(*lines)


def _done(look: Progress) -> str:
    return f"{look.done}" if look.total is None else f"{look.done}/{look.total}"


def _figures(look: Progress) -> list[str]:
    left = [] if look.seconds_left is None else [f"{clock(look.seconds_left)} left"]
    return [f"lanes {look.busy}/{look.lanes}", f"{look.examples_per_second:,.0f} examples/s", *left]


def _best_line(look: Progress, metric: str) -> str:
    if look.best is None:
        return "none yet"
    return f"{metric} {look.best.value:.5g}  trial {look.best.number}  {parameters(look.best.params)}"


def parameters(params: Mapping[str, Any]) -> str:
    """`epochs=3 batch_size=64 learning_rate=0.00123`, short enough to read."""
    return " ".join(f"{name}={short(value)}" for name, value in params.items())


def short(value: Any) -> str:
    """A value of a hyperparameter for a person: four significant figures, lists as in YAML."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(short, value))}]"
    return str(value)


def clock(seconds: float) -> str:
    """`0:07`, `12:34` or `3:25:00`.

    >>> clock(754.4)
    '12:34'
    """
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole:02}" if hours else f"{minutes}:{whole:02}"
