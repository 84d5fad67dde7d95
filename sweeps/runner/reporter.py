"""What is told of a running sweep: a look at it, with news of what is on the disk only."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sweeps.engine.checkpoints import Checkpoints
from sweeps.engine.programs import Programs
from sweeps.engine.scheduler import Scheduler
from sweeps.runner.best_trial import BestTrial
from sweeps.runner.budget import Timer
from sweeps.runner.journal import Journal
from sweeps.runner.outcomes import Tally
from sweeps.runner.progress import Progress, Running

LONG_S = 5.0
"""Where no trial has ended for so long, the display is told of those that are under way."""


@dataclass
class Reporter:
    """Makes the looks of one run, which found `found_under_way` trials that had begun and not ended.

    Once an outcome is on the disk, its trial's checkpoints go.
    """

    journal: Journal
    programs: Programs
    checkpoints: Checkpoints
    tally: Tally
    best_trial: BestTrial
    timer: Timer
    metric: str
    found_under_way: int

    def __post_init__(self) -> None:
        self._continued = self.tally.counts.total(), self.found_under_way
        self._done, self._done_at = -1, 0.0

    def look(self, scheduler: Scheduler, total: int | None, *, is_stopped: bool = False) -> Progress:
        """How the sweep stands."""
        done, tally = self.tally.counts.total(), self.tally
        if done != self._done:
            self._done, self._done_at = done, time.monotonic()
        news: tuple[str, ...] = ()
        warnings: tuple[str, ...] = ()
        if self.journal.flush():  # what the user reads of is on the disk
            news, warnings = tuple(tally.news), tuple(tally.warnings)
            tally.news.clear()
            tally.warnings.clear()
            self.checkpoints.drop(tally.ended)  # which are not needed once that is on the disk
            tally.ended.clear()
        return Progress(
            done=done,
            total=total,
            busy=scheduler.busy,
            lanes=scheduler.lanes,
            best=self.best_trial.standing,
            examples_per_second=self.timer.examples_per_second(),
            seconds_left=self.timer.seconds_left(done, total),
            outcomes=dict(tally.counts),
            failures=tuple((*what, count) for what, count in tally.failures.most_common()),
            compilations=self.programs.compilations,
            news=news,
            is_stopped=is_stopped,
            warnings=warnings,
            continued=self._continued,
            under_way=self._under_way() if is_stopped else (0, 0),
            elapsed_s=self.timer.elapsed_s(),
            running=self._running(scheduler) if time.monotonic() - self._done_at > LONG_S else (),
        )

    def _running(self, scheduler: Scheduler) -> tuple[Running, ...]:
        """The trials in lanes that have an epoch, by number."""
        in_lanes = sorted((each.number, each.epochs) for group in scheduler.groups for each in group.occupied)
        entries = ((self.journal.trials[number], epochs) for number, epochs in in_lanes)
        return tuple(
            Running(entry.number, entry.epochs_run, epochs, entry.last.figure(self.metric))
            for entry, epochs in entries
            if entry.last is not None
        )

    def _under_way(self) -> tuple[int, int]:
        """How many trials have begun and not ended, and how many epochs they have."""
        begun = [entry for entry in self.journal.unfinished() if entry.attempt]
        return len(begun), sum(entry.epochs_run for entry in begun)
