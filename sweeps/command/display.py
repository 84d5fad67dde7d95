"""What a person sees while a sweep runs and when it is done. The rule: it only looks; a sweep without it is the same.

On a terminal a few lines are redrawn in place; anywhere else (a file, a batch job's output) plain lines are added, one
for each new best trial and one every ten seconds. Nothing is wider than the terminal, whatever is searched, and nothing
that is shown is obeyed by the terminal.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweeps.command.terminal import clean, clean_lines
from sweeps.masking import masked
from sweeps.runner.progress import Progress
from sweeps.storage.retry import PASSING

PLAIN_LINE_SECONDS = 10.0
REDRAWS_PER_SECOND = 8
MOST_BEST_LINES = 6
INDENT = " " * 10


def watch(console: Console, metric: str, looks: Iterable[Progress]) -> Progress | None:
    """Follow a sweep to its end, showing each look at it; the last one, or None if there was nothing to do."""
    is_live = console.is_terminal and not console.is_dumb_terminal
    return _watch_live(console, metric, looks) if is_live else _watch_plain(console, metric, looks)


def _watch_live(console: Console, metric: str, looks: Iterable[Progress]) -> Progress | None:
    latest: Progress | None = None
    drawn = 0.0
    with Live(_row("", "getting ready", "dim"), console=console, auto_refresh=False) as live:
        for latest in looks:
            now = time.monotonic()
            if now - drawn >= 1 / REDRAWS_PER_SECOND:
                live.update(picture(latest, metric, console.width), refresh=True)
                drawn = now
        # A summary follows a sweep that ends by itself; one that is stopped leaves its last picture.
        live.transient = True
    return latest


def _watch_plain(console: Console, metric: str, looks: Iterable[Progress]) -> Progress | None:
    latest: Progress | None = None
    best, told = None, time.monotonic()
    for latest in looks:
        if latest.best is not None and latest.best != best:
            best = latest.best
            line(console, f"{_done(latest)} trials, new best {_best(latest, metric)}: {parameters(best.params)}")
        if time.monotonic() - told >= PLAIN_LINE_SECONDS:
            told = time.monotonic()
            line(console, ", ".join([f"{_done(latest)} trials", *_figures(latest)]))
    return latest


def picture(look: Progress, metric: str, width: int) -> Group:
    """One look as a few lines of at most `width` characters."""
    left = f"{clock(look.seconds_left)} left" if look.seconds_left and look.done != look.total else ""
    # Of unknown length, a bar that moves by the clock would flicker at our pace of drawing.
    bar = Table.grid(padding=(0, 2))
    bar.add_row(
        Text("  trials"),
        *(
            []
            if look.total is None
            else [ProgressBar(total=look.total, completed=look.done, width=min(30, width // 3))]
        ),
        Text(_done(look), style="bold"),
        Text(left, style="dim"),
    )
    lines: list[Any] = [bar, _row("", "   ".join([*_figures(look, with_time=False), _outcomes(look)]).rstrip(), "dim")]
    if look.best is None:
        lines.append(_row("best", "none yet", "dim"))
    else:
        lines.append(_row("best", _best(look, metric), "bold"))
        shown = wrapped(_words(look.best.params), width)
        cut = [*shown[: MOST_BEST_LINES - 1], f"{INDENT}…"] if len(shown) > MOST_BEST_LINES else shown
        lines += [Text(each, no_wrap=True, overflow="ellipsis") for each in cut]
    return Group(*lines)


def _row(name: str, text: str, style: str) -> Text:
    return Text.assemble(f"  {name:8}", (clean(text), style), no_wrap=True, overflow="ellipsis")


def _done(look: Progress) -> str:
    return f"{look.done}" if look.total is None else f"{look.done}/{look.total}"


def _figures(look: Progress, *, with_time: bool = True) -> list[str]:
    left = [f"{clock(look.seconds_left)} left"] if with_time and look.seconds_left is not None else []
    speed = f"{look.examples_per_second:,.0f} examples/s" if look.examples_per_second else "compiling"
    return [f"lanes {look.busy}/{look.lanes}", speed, *left]


def _outcomes(look: Progress) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in look.outcomes.items())


def _best(look: Progress, metric: str) -> str:
    assert look.best is not None
    return f"{metric} {look.best.value:.5g}, trial {look.best.number}"


def line(console: Console, text: str) -> None:
    """Print one line as it is: not wrapped, nothing in it taken for markup, secrets masked.

    A disk that refuses it, under a file that the output goes to, does not stop what the line is about.
    """
    try:
        console.print(clean_lines(masked(text)), soft_wrap=True, markup=False, highlight=False)
    except OSError as error:
        if error.errno not in PASSING:
            raise


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


def wrapped(words: Iterable[str], width: int) -> list[str]:
    """Words two spaces apart on indented lines of at most `width` characters, no word broken unless it is longer.

    >>> wrapped(["epochs=3", "batch_size=64"], 24)
    ['          epochs=3', '          batch_size=64']
    """
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + 2 + len(word) <= width:
            lines[-1] += f"  {word}"
        else:
            lines.append(f"{INDENT}{word}")
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


def clock(seconds: float) -> str:
    """`0:07`, `12:34` or `3:25:00`.

    >>> clock(754.4)
    '12:34'
    """
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole:02}" if hours else f"{minutes}:{whole:02}"


def count(number: int, what: str) -> str:
    """A number of things.

    >>> count(1, "trial"), count(1200, "trial")
    ('1 trial', '1,200 trials')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"
