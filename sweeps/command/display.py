"""What a person sees while a sweep runs and when it is done.

On a terminal a few lines are redrawn in place; anywhere else (a file, a batch job's output) plain lines are added, one
for each new best trial and one every ten seconds. No line is wider than the terminal, and no text from a file or a
model reaches it with control characters.
"""

from __future__ import annotations

import re
import textwrap
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweeps.amounts import clock
from sweeps.command.terminal import clean, clean_lines
from sweeps.masking import masked
from sweeps.runner.progress import Progress, Running

PLAIN_LINE_SECONDS = 10.0
REDRAWS_PER_SECOND = 8
MOST_BEST_LINES = 6
MOST_RUNNING = 3
MOST_FAILURES = 3
INDENT = " " * 10


def watch(console: Console, metric: str, updates: Iterable[Progress]) -> Progress | None:
    """Show a sweep's progress to its end; the last of it, or None if there was nothing to do."""
    is_live = console.is_terminal and not console.is_dumb_terminal
    return _watch_live(console, metric, updates) if is_live else _watch_plain(console, metric, updates)


def _watch_live(console: Console, metric: str, updates: Iterable[Progress]) -> Progress | None:
    latest: Progress | None = None
    drawn = 0.0
    with Live(_row("", "getting ready", "dim"), console=console, auto_refresh=False) as live:
        console.show_cursor()  # Rich has hidden it, and a process that is killed could not show it again
        for latest in updates:
            now = time.monotonic()
            if now - drawn >= 1 / REDRAWS_PER_SECOND:
                live.update(picture(latest, metric, console.width), refresh=True)
                drawn = now
        # A summary follows a sweep that ends by itself; one that is stopped leaves its last picture.
        live.transient = True
    return latest


def _watch_plain(console: Console, metric: str, updates: Iterable[Progress]) -> Progress | None:
    latest: Progress | None = None
    best, which, printed = None, "best so far", time.monotonic()
    for latest in updates:
        if latest.best is not None and latest.best != best:
            which = which if any(latest.continued) else "new best"
            best = latest.best
            text = f"{_done(latest)} trials, {which} {_best(latest, metric)}: {parameters(best.params)}"
            line(console, f"{time_of_day()} {text}")
        which = "new best"
        if time.monotonic() - printed >= PLAIN_LINE_SECONDS:
            printed = time.monotonic()
            under_way = [_under_way(each, metric) for each in latest.running[:MOST_RUNNING]]
            line(console, f"{time_of_day()} {', '.join([f'{_done(latest)} trials', *_figures(latest), *under_way])}")
    return latest


def picture(progress: Progress, metric: str, width: int) -> Group:
    """Progress as a few lines of at most `width` characters."""
    left = f"{clock(progress.seconds_left)} left" if progress.seconds_left and progress.done != progress.total else ""
    # Of unknown length, a bar that moves by the clock would flicker at our pace of drawing.
    bar = Table.grid(padding=(0, 2))
    bar.add_row(
        Text("  trials"),
        *(
            []
            if progress.total is None
            else [ProgressBar(total=progress.total, completed=progress.done, width=min(30, width // 3))]
        ),
        Text(_done(progress), style="bold"),
        Text(left, style="dim"),
    )
    took = [clock(progress.elapsed_s)] if progress.elapsed_s >= 1 and progress.examples_per_second else []
    figures = [*_figures(progress, with_time=False), *took, _outcomes(progress)]
    lines: list[Any] = [bar, _row("", "   ".join(figures).rstrip(), "dim")]
    for place, each in enumerate(progress.running[:MOST_RUNNING]):
        lines.append(_row("" if place else "running", _under_way(each, metric), "dim"))
    for outcome, reason, count in progress.failures[:MOST_FAILURES]:
        lines.append(_row("", f"{count:,} {outcome}: {reason}", ""))
    if progress.best is None:
        lines.append(_row("best", "none yet", "dim"))
    else:
        lines.append(_row("best", _best(progress, metric), "bold"))
        shown = wrapped(_words(progress.best.params), width)
        cut = [*shown[: MOST_BEST_LINES - 1], f"{INDENT}…"] if len(shown) > MOST_BEST_LINES else shown
        lines += [Text(each, no_wrap=True, overflow="ellipsis") for each in cut]
    return Group(*lines)


def _row(name: str, text: str, style: str) -> Text:
    return Text.assemble(f"  {name:8}", (clean(text), style), no_wrap=True, overflow="ellipsis")


def _done(progress: Progress) -> str:
    return f"{progress.done}" if progress.total is None else f"{progress.done}/{progress.total}"


def _figures(progress: Progress, *, with_time: bool = True) -> list[str]:
    left = [f"{clock(progress.seconds_left)} left"] if with_time and progress.seconds_left is not None else []
    compiling = f"compiling {clock(progress.elapsed_s)}" if progress.elapsed_s >= 1 else "compiling"
    speed = f"{progress.examples_per_second:,.0f} examples/s" if progress.examples_per_second else compiling
    return [f"lanes {progress.busy}/{progress.lanes}", speed, *left]


def _under_way(each: Running, metric: str) -> str:
    return f"trial {each.number}: epoch {each.epoch} of {each.epochs}, {metric} {each.value:.5g}"


def time_of_day() -> str:
    """Now, by the machine's clock, as a line of a long run begins."""
    return time.strftime("%H:%M:%S")


def _outcomes(progress: Progress) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in progress.outcomes.items())


def _best(progress: Progress, metric: str) -> str:
    assert progress.best is not None
    return f"{metric} {progress.best.value:.5g}, trial {progress.best.number}"


def line(console: Console, text: str, *, is_code: bool = False) -> None:
    """Print a line, nothing in it taken for markup, secrets masked; on a terminal it is wrapped between words.

    Code is not wrapped, so that it can be copied.
    """
    text = clean_lines(masked(text))
    if console.is_terminal and not is_code:
        text = "\n".join(_fitted(each, console.width) for each in text.split("\n"))
    console.print(text, soft_wrap=True, markup=False, highlight=False)


def _fitted(text: str, width: int) -> str:
    """A line on several of at most `width` characters, those after the first one indented as it is and by two more."""
    indent = re.match(" *", text)[0]  # type: ignore[index]  # it always matches
    options: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False, "replace_whitespace": False}
    return text if len(text) <= width else textwrap.fill(text, width, subsequent_indent=f"{indent}  ", **options)


def facts(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    """Print names and texts in two columns; on a terminal, long texts go on below their beginning."""
    indent = 4 + max(len(name) for name, _ in rows)
    for name, text in rows:
        room = max(console.width - indent, 20) if console.is_terminal else 10**6
        first, *more = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
        line(console, f"  {name:{indent - 2}}{first}")
        for each in more:
            line(console, f"{'':{indent}}{each}")


def parameters(params: Mapping[str, Any]) -> str:
    """`epochs=3 batch_size=64 learning_rate=0.00123`, short enough to read."""
    return " ".join(_words(params))


def parameter_lines(console: Console, params: Mapping[str, Any]) -> list[str]:
    """Parameters as indented lines that fit the terminal; elsewhere all on one."""
    return wrapped(_words(params), console.width if console.is_terminal else 10**6)


def wrapped(words: Iterable[str], width: int, indent: str = INDENT) -> list[str]:
    """Words two spaces apart on indented lines of at most `width` characters, no word broken unless it is longer.

    >>> wrapped(["epochs=3", "batch_size=64"], 24)
    ['          epochs=3', '          batch_size=64']
    """
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + 2 + len(word) <= width:
            lines[-1] += f"  {word}"
        else:
            lines.append(f"{indent}{word}")
    return lines


def _words(params: Mapping[str, Any]) -> list[str]:
    return [f"{clean(name)}={short(value)}" for name, value in params.items()]


def scores(figures: Mapping[str, float]) -> str:
    """Figures by name, such as those of the test split.

    >>> scores({"test_loss": 0.08123, "test_accuracy": 0.9764})
    'test_loss 0.08123, test_accuracy 0.9764'
    """
    return ", ".join(f"{name} {value:.5g}" for name, value in figures.items())


def short(value: Any) -> str:
    """A value of a hyperparameter for a person: four significant figures, lists and words as in YAML.

    >>> short(0.00123456), short((64, None, True))
    ('0.001235', '[64, null, true]')
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(short, value))}]"
    return clean(str(value))
