"""The state of a log and of its trials: each line that cannot be read, and what each trial has lost by it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

from sweeps.amounts import count
from sweeps.doctor.finding import MOST_LISTED, Finding, listed
from sweeps.log.jsonl import Damage, LogContents
from sweeps.log.line import Record
from sweeps.log.trials import LoggedTrial
from sweeps.storage.paths import RunFolder, torn_files

MOST_DIGITS = 20
"""Of a number in a damaged line, which may have any."""
_NUMBER, _KIND = re.compile(rb'"number":(\d+)'), re.compile(rb'"kind":"([a-z_]+)"')


def log_findings(folder: RunFolder, log: LogContents, lost: Sequence[Damage], *, is_live: bool) -> Iterator[Finding]:
    """What can be said of the log's files. `lost` are the places where some of it is missing."""
    files = folder.log_files
    ends = {path: path.read_bytes().count(b"\n") + 1 for path in files}
    torn = [damage for damage in log.damaged if damage.line >= ends.get(damage.file, 0)]
    damaged = [damage for damage in log.damaged if damage not in torn]
    if not (torn or damaged or lost):
        text = f"whole: {count(len(files), 'file')}, {count(len(log.records), 'line')}"
        yield Finding("log", text)
    for damage in torn:
        yield _torn(damage, is_live=is_live)
    for damage in damaged[:MOST_LISTED]:
        yield Finding("log", f"{_place(damage)} is skipped: {damage.reason}{_said(damage)}", is_wrong=True)
    if len(damaged) > MOST_LISTED:
        yield Finding("log", f"{count(len(damaged) - MOST_LISTED, 'more damaged line')}", is_wrong=True)
    for damage in lost:
        text = f"{_place(damage)}: {damage.reason}. The next `sweep run` trains again what is not in the log"
        yield Finding("log", text, is_wrong=True)
    for path in torn_files(folder.log):
        size = count(path.stat().st_size, "byte")
        yield Finding("log", f"log/{path.name} has {size} that a crash cut short; set aside, and not needed any more")


def trial_findings(trials: Mapping[int, LoggedTrial], *, is_live: bool) -> Iterator[Finding]:
    """What can be said of the trials: which have not ended, and of which the log has lost something."""
    in_order = [trials[number] for number in sorted(trials)]
    waiting = [entry.number for entry in in_order if not entry.ending]
    gaps = [(entry, gap) for entry in in_order if (gap := _gap(entry))]
    unasked = [number for number in range(max(trials, default=-1) + 1) if number not in trials]
    ended = len(in_order) - len(waiting)
    yield Finding("trials", f"{count(len(in_order), 'trial')}, {ended:,} with an outcome")
    if waiting:
        then = "the run that goes on has them" if is_live else "the next `sweep run` continues them"
        yield Finding("trials", f"without an outcome: {listed(waiting)}; {then}")
    for entry, gap in gaps[:MOST_LISTED]:
        yield Finding("trials", f"trial {entry.number}: the log has lost {gap}", is_wrong=True)
    if len(gaps) > MOST_LISTED:
        yield Finding("trials", f"{count(len(gaps) - MOST_LISTED, 'more trial')} with gaps", is_wrong=True)
    if unasked:
        yield Finding("trials", f"the log has lost all of trial {listed(unasked)}", is_wrong=True)


def run_findings(records: Sequence[Record]) -> Iterator[Finding]:
    """Code and data that changed between two runs: trials before and after it are not of one experiment."""
    known: dict[str, str] = {}
    for run in (record for record in records if record.get("kind") == "run"):
        now = {f"{what} {name}": each for what in ("code", "data") for name, each in (run.get(what) or {}).items()}
        if changed := [name for name, each in now.items() if known.get(name, each) != each]:
            then = f"changed before the run of {str(run.get('time'))[:19]} UTC"
            yield Finding("runs", f"{listed(changed)}: {then}; the column `config` tells the trials apart")
        known |= now


def _torn(damage: Damage, *, is_live: bool) -> Finding:
    size = count(len(_bytes(damage)), "byte")
    if is_live:
        return Finding("log", f"{_place(damage)} is being written ({size} so far)")
    text = f"{_place(damage)} has no end ({size}); the next `sweep run` sets it aside{_said(damage)}"
    return Finding("log", text, is_wrong=True)


def _place(damage: Damage) -> str:
    return f"log/{damage.file.name}:{damage.line}"


def _said(damage: Damage) -> str:
    """What the line was about, as far as it can be guessed."""
    content = _bytes(damage)
    number, kind = _NUMBER.search(content), _KIND.search(content)
    what = f"{kind[1].decode()} " if kind else ""
    if number is None:
        return f" (it seems to be: {what.strip()})" if what else ""
    return f" (it seems to be: {what}of trial {number[1].decode()[:MOST_DIGITS]})"


def _bytes(damage: Damage) -> bytes:
    lines = damage.file.read_bytes().split(b"\n")
    return lines[damage.line - 1] if damage.line <= len(lines) else b""


def _gap(entry: LoggedTrial) -> str:
    """What of a trial is missing, in words."""
    missing = [] if entry.is_known else ["its parameters"]
    if entry.epochs and not entry.start:
        missing.append("its start")
    epochs = entry.epochs_of(entry.repeat)
    count = entry.epochs_run - sum(1 <= epoch <= entry.epochs_run for epoch in epochs)
    if count:
        # The number of epochs is what the log says, which may be any.
        absent = (epoch for epoch in range(1, entry.epochs_run + 1) if epoch not in epochs)
        first = ", ".join(map(str, itertools.islice(absent, MOST_LISTED)))
        more = f" and {count - MOST_LISTED:,} more" if count > MOST_LISTED else ""
        missing.append(f"{'epoch' if count == 1 else 'epochs'} {first}{more}")
    return " and ".join(missing)
