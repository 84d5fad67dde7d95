"""Where study, crew and journal meet: the life of a sweep, as a generator of its progress.

The rule: one direction and no callbacks. Proposals go to lanes, epochs come back, each is recorded, and the trial it
belongs to goes on, ends, or makes room. Whoever runs the sweep pulls at it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from sweeps.config import SweepConfig, space
from sweeps.engine.checkpoints import Checkpoints
from sweeps.engine.lane_group import LaneEpoch, Population
from sweeps.engine.memory import is_out_of_memory
from sweeps.engine.programs import Occupant, Programs
from sweeps.engine.restore import Past, past_of
from sweeps.engine.scheduler import Crew, ShortageError
from sweeps.errors import SweepError
from sweeps.log.placement import Formation
from sweeps.runner.best_trial import Champion
from sweeps.runner.budget import total_trials
from sweeps.runner.journal import Journal
from sweeps.runner.outcomes import Verdicts
from sweeps.runner.progress import Progress
from sweeps.runner.recorder import Chronicle, Ending
from sweeps.runner.timer import Stopwatch
from sweeps.stop_request import StopRequest
from sweeps.storage.paths import RunFolder
from sweeps.study import Study
from sweeps.user_code import origin

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
        self._formation = Formation(journal.past)
        self._formation.enter(journal.config)
        self._lost = journal.lost()
        self._chronicle = Chronicle(config, journal, self._formation.attempts)
        self._retries = self._formation.retries
        self._total = total_trials(config, self._study)
        self._asked = len(journal.trials)
        self._programs, self._policy = programs, programs.policy
        self._ready: list[Occupant] = []
        self._pasts: dict[int, Past] = {}  # of ready trials that go on
        self._checkpoints = Checkpoints(folder.checkpoints, journal.config, config.checkpoints.seconds)
        self._champion = Champion(config, folder, journal, programs)
        self._clock = Stopwatch(config, journal)
        outcomes = Counter(entry.outcome for entry in journal.trials.values() if entry.ending)
        self._verdicts = Verdicts(config, self._study, self._chronicle, self._champion, outcomes)

    def run(self) -> Iterator[Progress]:
        """Train until the budget is used up, or until a stop is requested and the epochs under way have ended.

        After a request no epoch begins, and what is dealt with is what would have come next in any case: the next run
        goes on from there as if there had been no stop.
        """
        with self._checkpoints:
            with Crew(self._policy, self._programs, self._checkpoints) as crew:
                self._resume(crew)
                yield from self._train(crew)
                while not self._is_over() and not crew.is_still(REFRESH_S):
                    yield self._progress(crew)
            if self._is_stopped(crew):
                self._journal.record("stop", reason=self._request.reason)
                self._journal.sync()
                self._checkpoints.keep_now(self._chronicle.with_attempts(crew.snapshots()))
                yield self._progress(crew, is_stopped=True)
                return
            self._close(crew)
            self._champion.test(self._policy.devices[0])
            reason = self._verdicts.closing or "complete"
            self._journal.record("finish", reason=reason, compilations=self._programs.compilations)
            self._journal.sync()
            yield self._progress(crew)

    def _train(self, crew: Crew) -> Iterator[Progress]:
        """Deal with one population's epoch after the other, while there are any in the order of clocks."""
        while not self._is_over():
            is_stopping = bool(self._request.reason)
            if is_stopping and crew.earliest() is None:
                return  # nothing is under way that could come next, so nothing need be asked for
            self._fill(crew)
            crew.start(is_held=is_stopping)
            self._ask_ahead()
            population = crew.earliest()
            if population is None:
                return
            while not crew.is_ready(population, REFRESH_S) and not self._is_over():
                yield self._progress(crew)
            if not self._is_over():
                self._settle(crew, population)
                yield self._progress(crew)

    def _resume(self, crew: Crew) -> None:
        """Put every trial that has not ended back where it was; those whose lane is gone come before any other."""
        formation, trials = self._formation, self._journal.trials
        for number in self._lost:
            formation.places.pop(number, None)
            self._verdicts.end(number, Ending("failed", "damage to the log has lost its proposal"))
        self._checkpoints.retain(formation.places)
        for number, place in sorted(formation.places.items()):
            occupant, entry = self._occupant(number), trials[number]
            if occupant is None:
                continue
            if entry.last and self._verdicts.is_ended_by(occupant, entry.epochs_run, entry, None):
                continue  # the log was cut off before it said so
            past = past_of(entry, self._checkpoints.find(occupant, entry.attempt, entry.epochs_run))
            if not self._is_over() and crew.put_back(occupant, place, past):
                self._chronicle.resume(occupant, past, None)
            else:
                self._ready.append(occupant)
                self._pasts[number] = past
        for number in formation.ready:
            self._chronicle.attempts.setdefault(number, trials[number].attempt)
            self._make_ready(number)
        crew.resume(formation, is_held=bool(self._request.reason))
        self._verdicts.news += self._checkpoints.notes

    def _fill(self, crew: Crew) -> None:
        """Ready trials to free lanes, asking for more while lanes stay free."""
        while True:
            for occupant in list(self._ready):
                population = crew.place(occupant, self._pasts.get(occupant.number))
                if population is not None:
                    self._ready.remove(occupant)
                    self._begin(occupant, population)
            if self._ready or not self._ask(is_ahead=False):
                return

    def _ask_ahead(self) -> None:
        """Have the next trials at hand before a lane is free, so that no lane waits for the sampler."""
        while len(self._ready) < max(1, self._policy.lanes // 4) and self._ask(is_ahead=True):
            pass

    def _ask(self, *, is_ahead: bool) -> bool:
        """Ask for one more trial; whether there was one."""
        if self._verdicts.closing or (self._total is not None and self._asked >= self._total):
            return False
        proposal = self._study.ask()
        if proposal is None:
            self._total = self._asked
            return False
        self._asked += 1
        self._chronicle.ask(proposal, is_ahead=is_ahead)
        self._make_ready(proposal.number)
        return True

    def _make_ready(self, number: int) -> None:
        occupant = self._occupant(number)
        if occupant is not None:
            self._ready.append(occupant)

    def _occupant(self, number: int) -> Occupant | None:
        """A proposed trial as a lane sees it; one whose own choices cannot be trained has failed."""
        try:
            trial = space.resolve(self._config, dict(self._journal.trials[number].params))
            return self._programs.occupant(number, trial)
        except SweepError as error:
            self._verdicts.end(number, Ending("failed", str(error)))
            return None

    def _begin(self, occupant: Occupant, population: Population) -> None:
        past = self._pasts.pop(occupant.number, None)
        if past is None:
            self._chronicle.start(occupant, population)
        else:
            self._chronicle.resume(occupant, past, population)

    def _settle(self, crew: Crew, population: Population) -> None:
        """Deal with what a population's epoch came to."""
        riding = list(population.occupied)
        try:
            epochs = crew.collect(population)
        except ShortageError as shortage:
            self._try_again(riding, Ending("shortage", str(shortage)), population.clock, began=shortage.began)
        except Exception as error:  # noqa: BLE001  (a user's model may raise anything; the other programs go on)
            outcome = "out_of_memory" if is_out_of_memory(error) else "failed"
            reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''} ({origin(error)})"
            self._fail(riding, Ending(outcome, reason), population.clock)
        else:
            self._verdicts.news += population.notes
            population.notes.clear()
            for epoch in epochs:
                self._settle_epoch(population, epoch)
            self._keep(population)

    def _fail(self, riding: list[Occupant], ending: Ending, clock: float) -> None:
        """End trials whose epoch raised, but for those that may be tried again."""
        allowed = 0 if self._programs.is_broken(riding[0].signature) else getattr(self._config.retries, ending.outcome)
        again = {each.number for each in riding if self._retries[each.number, ending.outcome] < allowed}
        for occupant in riding:
            if occupant.number not in again:
                self._verdicts.end(occupant.number, ending, clock)
        self._try_again([each for each in riding if each.number in again], ending, clock, began=True)

    def _try_again(self, riding: list[Occupant], ending: Ending, clock: float, *, began: bool) -> None:
        """Trials start over, before any other; the results of those that only wanted memory will be the same."""
        self._ready[:0] = riding
        for occupant in reversed(riding):  # each goes before those that are ready
            self._retries[occupant.number, ending.outcome] += 1
            self._chronicle.retry(occupant.number, ending.outcome, ending.reason, clock, began=began)

    def _settle_epoch(self, population: Population, epoch: LaneEpoch) -> None:
        occupant = epoch.occupant
        self._chronicle.epoch(epoch, population.clock)
        self._clock.count(occupant.examples, epoch.seconds)
        if self._verdicts.is_ended_by(occupant, epoch.epoch, self._journal.trials[occupant.number], population):
            population.retire(epoch.lane)

    def _keep(self, population: Population) -> None:
        """Have a population's lanes written, if it is time; what led to them is in the log before they are."""
        if not population.snapshots:
            return
        riding = {occupant.number for occupant in population.occupied}
        due = [snapshot for snapshot in population.snapshots if snapshot.number in riding]
        population.snapshots = []
        self._journal.sync()
        self._checkpoints.keep(population.index, self._chronicle.with_attempts(due))

    def _is_over(self) -> bool:
        minutes = self._config.budget.minutes
        if not self._verdicts.closing and minutes is not None and self._clock.minutes_used() >= minutes:
            self._verdicts.closing = f"the budget of {minutes:g} minutes is used up"
        return bool(self._verdicts.closing) or self._request.is_overdue

    def _is_stopped(self, crew: Crew) -> bool:
        """Whether the run ends at a request, with something left for the next one."""
        is_complete = self._total is not None and self._asked >= self._total and not self._ready and not crew.busy
        return bool(self._request.reason) and not self._verdicts.closing and not is_complete

    def _close(self, crew: Crew) -> None:
        """End what still runs when the sweep is over before its trials are."""
        if not self._verdicts.closing:
            return
        outcome = "interrupted" if "target" in self._verdicts.closing else "timed_out"
        running = [occupant.number for population in crew.populations for occupant in population.occupied]
        for number in sorted(running + [occupant.number for occupant in self._ready]):
            self._verdicts.end(number, Ending(outcome, self._verdicts.closing))
        self._ready.clear()

    def _progress(self, crew: Crew, *, is_stopped: bool = False) -> Progress:
        done = sum(self._verdicts.outcomes.values())
        news: tuple[str, ...] = ()
        if self._journal.flush():  # what is told is on the disk
            news = tuple(self._verdicts.news)
            self._verdicts.news.clear()
            self._checkpoints.drop(self._verdicts.ended)  # which are not needed once that is on the disk
            self._verdicts.ended.clear()
        return Progress(
            done=done,
            total=self._total,
            busy=crew.busy,
            lanes=crew.lanes,
            best=self._champion.standing,
            examples_per_second=self._clock.examples_per_second(),
            seconds_left=self._clock.seconds_left(done, self._total),
            outcomes=dict(self._verdicts.outcomes),
            compilations=self._programs.compilations,
            news=news,
            is_stopped=is_stopped,
        )
