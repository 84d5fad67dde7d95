"""Where study, crew and journal meet: the life of a sweep, as a generator of its progress.

The rule: one direction and no callbacks. Proposals go to lanes, epochs come back, each is recorded, and the trial it
belongs to goes on, ends, or makes room. Whoever runs the sweep pulls at it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np

from sweeps.budget import reaches_target, total_trials
from sweeps.champion import Champion
from sweeps.config import SweepConfig, metric_column, space
from sweeps.crew import Crew, ShortageError
from sweeps.errors import SweepError
from sweeps.journal import Journal
from sweeps.locate import origin
from sweeps.population import LaneEpoch, Population
from sweeps.programs import Occupant, Programs
from sweeps.progress import Progress
from sweeps.run_folder import RunFolder
from sweeps.stop_request import StopRequest
from sweeps.stopwatch import Stopwatch
from sweeps.study import Proposal, Study
from sweeps.training.memory import is_out_of_memory

REFRESH_S = 0.1


class Sweep:
    """One run of a sweep in its folder, over an open journal, until its end or until a `request` is made."""

    def __init__(
        self,
        config: SweepConfig,
        folder: RunFolder,
        journal: Journal,
        programs: Programs,
        request: StopRequest | None = None,
    ) -> None:
        self._config, self._journal = config, journal
        self._request = request or StopRequest()
        self._study = Study.replay(config, journal.study_events())
        self._total = total_trials(config, self._study)
        self._asked = len(journal.trials)
        self._programs, self._policy = programs, programs.policy
        self._ready: list[Occupant] = []
        self._attempts: Counter[int] = Counter()
        self._closing = ""
        self._news: list[str] = []
        self._outcomes = Counter(entry.outcome for entry in journal.trials.values() if entry.ending)
        self._champion = Champion(config, folder, journal, programs)
        self._clock = Stopwatch(config, journal)
        if self._champion.standing is not None:
            self._close_if_reached(self._champion.standing.number, self._champion.standing.value)

    def run(self) -> Iterator[Progress]:
        """Train until the budget is used up, or until a stop is requested and the epochs under way have ended."""
        with Crew(self._policy, self._programs) as crew:
            self._resume()
            while not self._is_over():
                if not self._request.reason:
                    self._fill(crew)
                    crew.start()
                    self._ask_ahead()
                population = crew.earliest()
                if population is None:
                    break
                while not crew.is_ready(population, REFRESH_S) and not self._is_over():
                    yield self._progress(crew)
                if not self._is_over():
                    self._settle(crew, population)
                    yield self._progress(crew)
        if self._is_stopped(crew):
            self._journal.record("stop", reason=self._request.reason)
            self._journal.sync()
            yield self._progress(crew, is_stopped=True)
            return
        self._close(crew)
        self._champion.test(self._policy.devices[0])
        reason = self._closing or "complete"
        self._journal.record("finish", reason=reason, compilations=self._programs.compilations)
        self._journal.sync()
        yield self._progress(crew)

    def _resume(self) -> None:
        for entry in self._journal.unfinished():
            self._attempts[entry.number] = entry.attempt
            self._admissible(Proposal(entry.number, dict(entry.params)))

    def _fill(self, crew: Crew) -> None:
        """Ready trials to free lanes, asking for more while lanes stay free."""
        while True:
            for occupant in list(self._ready):
                population = crew.place(occupant)
                if population is not None:
                    self._ready.remove(occupant)
                    self._begin(occupant, population)
            if self._ready or not self._ask():
                return

    def _ask_ahead(self) -> None:
        """Have the next trials at hand before a lane is free, so that no lane waits for the sampler."""
        while len(self._ready) < max(1, self._policy.lanes // 4) and self._ask():
            pass

    def _ask(self) -> bool:
        """Ask for one more trial; whether there was one."""
        if self._closing or (self._total is not None and self._asked >= self._total):
            return False
        proposal = self._study.ask()
        if proposal is None:
            self._total = self._asked
            return False
        self._asked += 1
        self._journal.record("ask", number=proposal.number, params=proposal.params)
        self._admissible(proposal)
        return True

    def _admissible(self, proposal: Proposal) -> None:
        """Make a proposal ready; one whose own choices cannot be trained has failed."""
        try:
            trial = space.resolve(self._config, proposal.params)
            self._ready.append(self._programs.occupant(proposal.number, trial))
        except SweepError as error:
            self._end(proposal.number, "failed", str(error), None)

    def _begin(self, occupant: Occupant, population: Population) -> None:
        self._attempts[occupant.number] += 1
        device = f"{population.device.platform}:{population.device.id}"
        self._journal.record(
            "start",
            number=occupant.number,
            attempt=self._attempts[occupant.number],
            seed=int(occupant.ints[1]),
            device=device,
        )

    def _settle(self, crew: Crew, population: Population) -> None:
        """Deal with what a population's epoch came to."""
        riding = list(population.occupied)
        try:
            epochs = crew.collect(population)
        except ShortageError as shortage:
            self._try_again(riding, shortage)
            return
        except Exception as error:  # noqa: BLE001  (a user's model may raise anything; the other programs go on)
            outcome = "out_of_memory" if is_out_of_memory(error) else "failed"
            reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''} ({origin(error)})"
            for occupant in riding:
                self._end(occupant.number, outcome, reason, None)
            return
        for epoch in epochs:
            self._settle_epoch(population, epoch)

    def _try_again(self, riding: list[Occupant], shortage: ShortageError) -> None:
        """Trials that were in the middle of an epoch start over, before any other; their results will be the same."""
        self._ready[:0] = riding
        if not shortage.began:
            self._attempts.subtract(occupant.number for occupant in riding)

    def _settle_epoch(self, population: Population, epoch: LaneEpoch) -> None:
        occupant, value = epoch.occupant, self._record_epoch(epoch)
        self._clock.count(occupant.examples, epoch.seconds)
        if not np.isfinite(epoch.scores[:2]).all() or not math.isfinite(value):
            outcome, reason = "diverged", f"not finite from epoch {epoch.epoch}"
        elif self._study.report(occupant.number, epoch.epoch, value) and epoch.epoch < occupant.epochs:
            outcome, reason = "pruned", f"by {self._config.pruner.use} at epoch {epoch.epoch}"
        elif epoch.epoch >= occupant.epochs:
            outcome, reason = "completed", ""
        else:
            return
        self._end(occupant.number, outcome, reason, None if outcome == "diverged" else value)
        if outcome == "completed":
            self._champion.challenge(population, epoch.lane, value)
        population.retire(epoch.lane)

    def _record_epoch(self, epoch: LaneEpoch) -> float:
        """Write an epoch down; the objective's value in it."""
        occupant, scores = epoch.occupant, [float(score) for score in epoch.scores]
        metrics = dict(zip(map(metric_column, self._config.metrics), scores[2:], strict=True))
        self._journal.record(
            "epoch",
            number=occupant.number,
            repeat=0,
            attempt=self._attempts[occupant.number],
            epoch=epoch.epoch,
            iterations=epoch.epoch * -(-occupant.examples // occupant.batch_size),
            examples=epoch.epoch * occupant.examples,
            train_loss=scores[0],
            valid_loss=scores[1],
            metrics=metrics,
            seconds=epoch.seconds,
        )
        return {"train_loss": scores[0], "valid_loss": scores[1], **metrics}[self._config.objective.metric]

    def _end(self, number: int, outcome: str, reason: str, value: float | None) -> None:
        self._study.tell(number, outcome, value)
        self._journal.record(
            "outcome", number=number, attempt=self._attempts[number], outcome=outcome, reason=reason, value=value
        )
        self._outcomes[outcome] += 1
        figure = "" if value is None else f", {self._config.objective.metric} {value:.4g}"
        self._news.append(f"trial {number} {outcome}{figure}{f' ({reason})' if reason else ''}")
        if outcome == "completed" and value is not None:
            self._close_if_reached(number, value)

    def _close_if_reached(self, number: int, value: float) -> None:
        if reaches_target(self._config, value):
            self._closing = f"trial {number} reached the target {self._config.budget.target:g}"

    def _is_over(self) -> bool:
        minutes = self._config.budget.minutes
        if not self._closing and minutes is not None and self._clock.minutes_used() >= minutes:
            self._closing = f"the budget of {minutes:g} minutes is used up"
        return bool(self._closing) or self._request.is_overdue

    def _is_stopped(self, crew: Crew) -> bool:
        """Whether the run ends at a request, with something left for the next one."""
        is_complete = self._total is not None and self._asked >= self._total and not self._ready and not crew.busy
        return bool(self._request.reason) and not self._closing and not is_complete

    def _close(self, crew: Crew) -> None:
        """End what still runs when the sweep is over before its trials are."""
        if not self._closing:
            return
        outcome = "interrupted" if "target" in self._closing else "timed_out"
        running = [occupant.number for population in crew.populations for occupant in population.occupied]
        for number in sorted(running + [occupant.number for occupant in self._ready]):
            self._end(number, outcome, self._closing, None)
        self._ready.clear()

    def _progress(self, crew: Crew, *, is_stopped: bool = False) -> Progress:
        done = sum(self._outcomes.values())
        news = tuple(self._news) if self._journal.flush() else ()  # what is told is on the disk
        if news:
            self._news.clear()
        return Progress(
            done=done,
            total=self._total,
            busy=crew.busy,
            lanes=crew.lanes,
            best=self._champion.standing,
            examples_per_second=self._clock.examples_per_second(),
            seconds_left=self._clock.seconds_left(done, self._total),
            outcomes=dict(self._outcomes),
            compilations=self._programs.compilations,
            news=news,
            is_stopped=is_stopped,
        )
