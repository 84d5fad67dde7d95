"""`sweep show`: the best trials as a table that fits the terminal."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from sweeps.amounts import count
from sweeps.command import display
from sweeps.command.display import line
from sweeps.command.terminal import clean
from sweeps.log.trials import FAILURES, SIGNS, LoggedTrial, LoggedTrials, general_reason
from sweeps.results.columns import text as cell_text
from sweeps.results.folder import read_config
from sweeps.results.summary import Summary, read_summary
from sweeps.storage.paths import RunFolder

MOST_DAMAGED, MOST_REASONS, MOST_NAMED = 8, 8, 5
LEAST_COMPLETED, MOST_WEIGHED = 20, 5000
"""Between so many completed trials and so many trials, `show` says which parameters matter."""


def show(console: Console, folder: Path, rows: int) -> None:
    """Print the `rows` best trials, and how many there are of each outcome.

    Raises:
        ResultsError: there are no results in `folder`.
    """
    summary = read_summary(folder)
    trials = best_first(summary)
    searched = list(dict.fromkeys(name for trial in sorted(trials, key=_number) for name in trial.params))
    if trials:
        table = columns(summary.metric, searched, trials[:rows])
        width = Measurement.get(console, console.options.update(max_width=10**6), table).maximum
        if not console.is_terminal:
            console.width = max(console.width, width)
        elif width > console.width:
            table = compact(summary.metric, searched, trials[:rows], console.width)
        console.print(table, markup=False)
        line(console, "")
    _totals(console, summary)
    _importances(console, folder, summary)


def best_first(summary: Summary) -> list[LoggedTrial]:
    """All trials, the best value first, of equals the earliest; at the end those without a value."""
    sign = SIGNS[summary.direction]

    def place(trial: LoggedTrial) -> tuple[bool, float, int]:
        is_missing = math.isnan(trial.value)
        return is_missing, 0.0 if is_missing else sign * trial.value, trial.number

    return sorted(summary.logged.trials.values(), key=place)


def columns(metric: str, searched: Sequence[str], trials: Sequence[LoggedTrial]) -> Table:
    """A column for every searched parameter; long names go on two lines."""
    has_epochs = _tells_epochs(searched, trials)
    more = ["epochs_run"] if has_epochs else []
    table = _table([_in_two(name) for name in ("trial", metric, "outcome", *more, *searched)])
    for trial in trials:
        run = [_epochs_run(trial)] if has_epochs else []
        table.add_row(*_outline(trial), *run, *(_cell(trial.params.get(name)) for name in searched))
    return table


def _tells_epochs(searched: Sequence[str], trials: Sequence[LoggedTrial]) -> bool:
    """Whether trials have trained for different numbers of epochs, which no parameter says."""
    return "epochs" not in searched and len({_epochs_run(trial) for trial in trials if trial.ending}) > 1


def _epochs_run(trial: LoggedTrial) -> str:
    """Of a trial that has ended; what the tables say of others may be old."""
    return str(trial.epochs_run) if trial.ending else ""


def compact(metric: str, searched: Sequence[str], trials: Sequence[LoggedTrial], width: int) -> Table:
    """All parameters in one column of several lines, where they do not fit side by side.

    They go below their trial, where the longest of them does not fit beside it.
    """
    cells = [{name: _cell(trial.params.get(name)) for name in searched} for trial in trials]
    # A space within a value would let it be broken there.
    given = [[f"{clean(name)}={cell.replace(', ', ',')}" for name, cell in each.items() if cell] for each in cells]
    if _tells_epochs(searched, trials):
        run = [[f"epochs_run={_epochs_run(trial)}"] if trial.ending else [] for trial in trials]
        given = [[*first, *words] for first, words in zip(run, given, strict=True)]
    heading, outlines = ["trial", clean(metric), "outcome"], [_outline(trial) for trial in trials]
    taken = sum(max(map(len, column)) + 2 for column in zip(heading, *outlines, strict=True))
    longest = max((len(word) for words in given for word in words), default=0)
    table = _table(heading)
    if taken + longest <= width:
        table.add_column("parameters", overflow="fold")
        for outline, words in zip(outlines, given, strict=True):
            table.add_row(*outline, "  ".join(words))
        return table
    lines = Table.grid()
    for (number, value, outcome), words in zip(outlines, given, strict=True):
        lines.add_row(f"trial {number}, {outcome}{value and f', {clean(metric)} {value}'}")
        for each in display.wrapped(words, width, "    "):
            lines.add_row(each)
    return lines


def _table(names: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    tallest = max(name.count("\n") for name in names)
    for name in names:
        heading = "\n" * (tallest - name.count("\n")) + name
        table.add_column(heading, overflow="fold", justify="left" if name == "outcome" else "right")
    return table


def _outline(trial: LoggedTrial) -> list[str]:
    return [str(trial.number), "" if math.isnan(trial.value) else display.short(trial.value), clean(trial.outcome)]


def _in_two(name: str) -> str:
    """`learning_rate` and `optimizer.b1` on two lines each."""
    return clean(name).replace("." if "." in name else "_", "\n", 1)


def _totals(console: Console, summary: Summary) -> None:
    trials = summary.logged.trials
    counted = Counter(trial.outcome for trial in trials.values()).most_common()
    counts = ", ".join(f"{count} {outcome}" for outcome, count in counted)
    line(console, f"{count(len(trials), 'trial')}{f': {counts}' if counts else ' yet'}")
    best = summary.logged.best(summary.direction)
    if best is not None and best.test:
        line(console, f"trial {best.number} on the test split: {display.scores(best.test)}")
    for text in failures(summary.logged):
        line(console, text)
    for damage in summary.damaged[:MOST_DAMAGED]:
        line(console, f"skipped: {damage.file}:{damage.line}: {damage.reason}")
    if len(summary.damaged) > MOST_DAMAGED:
        line(console, f"and {len(summary.damaged) - MOST_DAMAGED:,} more, which `sweep doctor` counts")
    for warning in summary.warnings:
        line(console, f"warning: {warning}")


def _importances(console: Console, folder: Path, summary: Summary) -> None:
    """What the parameters matter, where enough trials have completed to say it, and not so many that it takes long."""
    completed = sum(trial.outcome == "completed" for trial in summary.logged.trials.values())
    if completed < LEAST_COMPLETED or len(summary.logged.trials) > MOST_WEIGHED:
        return
    console.file.flush()  # the table is read while Optuna is imported
    from sweeps.results.as_optuna import importances, study_of

    config = read_config(RunFolder(folder)).config
    shares = list(importances(study_of(summary.logged, config)).items())
    named = [f"{clean(name)} {share:.0%}" for name, share in shares[:MOST_NAMED]]
    if named:
        line(console, f"what matters most: {', '.join(named)}")


def failures(logged: LoggedTrials) -> list[str]:
    """The trials that failed or diverged, counted by reason, the most frequent first."""
    counted = Counter(
        (trial.outcome, general_reason(trial.outcome, str(trial.ending.get("reason") or "for an unknown reason")))
        for trial in logged.trials.values()
        if trial.outcome in FAILURES
    ).most_common()
    lines = [f"{outcome:9} {count:,}: {reason}" for (outcome, reason), count in counted[:MOST_REASONS]]
    rest = sum(count for _, count in counted[MOST_REASONS:])
    return [*lines, f"{'':9} {rest:,} more, for other reasons: see the column `reason`"] if rest else lines


def _cell(value: Any) -> str:
    """A parameter as the tables have it: a list as JSON, and nothing for what is missing."""
    if value is None:
        return ""
    return clean(cell_text(value) if isinstance(value, tuple) else display.short(value))


def _number(trial: LoggedTrial) -> int:
    return trial.number
