"""The state of the files of arrays, in `best/` and `checkpoints/`, which only the next run can make again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sweeps.amounts import count
from sweeps.doctor.finding import Finding
from sweeps.engine.checkpoints import kept
from sweeps.errors import ResultsError
from sweeps.log.trials import LoggedTrial
from sweeps.results.best import describe
from sweeps.storage import npz
from sweeps.storage.paths import RunFolder

AGAIN = "the next `sweep run` puts it right"


def best_findings(folder: RunFolder, best: LoggedTrial | None, *, is_live: bool) -> Iterator[Finding]:
    """Whether `best/` has the parameters of the best trial of the log, as they were written."""
    if best is None:
        yield Finding("best", "no trial has completed yet")
        return
    if not folder.best.parent.exists():
        yield Finding("best", f"missing, though trial {best.number} has completed; {AGAIN}", is_wrong=not is_live)
        return
    try:
        description, digest = describe(folder.best), npz.digest(folder.parameters)
    except ResultsError as error:
        yield Finding("best", f"{error}; {AGAIN}", is_wrong=True)
        return
    number = description["number"]
    if description["parameters_sha256"] != digest:
        text = f"{folder.best.name} describes other parameters than {folder.parameters.name} holds; {AGAIN}"
        yield Finding("best", text, is_wrong=not is_live)
    elif number != best.number:
        text = f"the parameters of trial {number}, but trial {best.number} is the best; {AGAIN}"
        yield Finding("best", text, is_wrong=not is_live)
    else:
        yield Finding("best", f"the parameters of trial {number}, whole")


def checkpoint_findings(folder: RunFolder, trials: Mapping[int, LoggedTrial], *, is_live: bool) -> Iterator[Finding]:
    """Whether the checkpoints are whole, and of trials that have not ended."""
    found = kept(folder.checkpoints)
    for each in found:
        try:
            npz.checked(each.path)
        except ResultsError as error:
            if each.path.exists() or not is_live:  # a run removes what it needs no more
                then = "the next `sweep run` takes the one before it, or trains these epochs again"
                yield Finding("checkpoints", f"{error}; {then}", is_wrong=True)
    useless = sum(each.number not in trials or bool(trials[each.number].ending) for each in found)
    if useless and not is_live:
        text = f"{useless} of trials that have ended; the next `sweep run` that trains removes them"
        yield Finding("checkpoints", text)
    yield Finding("checkpoints", count(len(found), "file"))
