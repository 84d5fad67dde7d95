"""Where study, scheduler and journal meet: the life of a sweep, as a generator of its progress.

The rule: one direction and no callbacks. Proposals go to lanes, epochs come back, each is recorded, and the trial it
belongs to goes on, ends, or makes room. Whoever runs the sweep pulls at it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from sweeps.config import SweepConfig, space
from sweeps.engine.checkpoints import Checkpoints
from sweeps.engine.lane_group import LaneEpoch, LaneGroup
from sweeps.engine.memory import is_out_of_memory
from sweeps.engine.programs import LaneTrial, Programs
from sweeps.engine.restore import Past, past_of
from sweeps.engine.scheduler import Scheduler, ShortageError
from sweeps.errors import SweepError
from sweeps.log.placement import Placement
from sweeps.runner.best_trial import BestTrial
from sweeps.runner.budget import total_trials
from sweeps.runner.journal import Journal
from sweeps.runner.outcomes import Outcomes
from sweeps.runner.progress import Progress
from sweeps.runner.recorder import Recorder, TrialEnd
from sweeps.runner.timer import Timer
from sweeps.stop_request import StopRequest
from sweeps.storage.paths import RunFolder
from sweeps.study import Study
from sweeps.user_code import reason_with_place

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
        self._study = Study.from_events(config, journal.study_events())
        self._placement = Placement(journal.past)
        self._placement.enter(journal.config)
        self._lost = journal.lost()
        self._recorder = Recorder(config, journal, self._placement.attempts)
        self._retries = self._placement.retries
        self._total = total_trials(config, self._study)
        self._asked = len(journal.trials)
        self._programs, self._policy = programs, programs.policy
        self._ready: list[LaneTrial] = []
        self._pasts: dict[int, Past] = {}  # of ready trials that go on
        self._checkpoints = Checkpoints(folder.checkpoints, journal.config, config.checkpoints.seconds)
        self._best_trial = BestTrial(config, folder, journal, programs)
        self._timer = Timer(config, journal)
        outcomes = Counter(entry.outcome for entry in journal.trials.values() if entry.ending)
        self._outcomes = Outcomes(config, self._study, self._recorder, self._best_trial, outcomes)
        self._continued = sum(outcomes.values()), len(self._placement.places)

    def run(self) -> Iterator[Progress]:
        """Train until the budget is used up, or until a stop is requested and the epochs under way have ended.

        After a request no epoch begins, and what is dealt with is what would have come next in any case: the next run
        goes on from there as if there had been no stop.
        """
        with self._checkpoints:
            with Scheduler(self._policy, self._programs, self._checkpoints) as scheduler:
                self._resume(scheduler)
                yield from self._train(scheduler)
                while not self._is_over() and not scheduler.is_still(REFRESH_S):
                    yield self._progress(scheduler)
            if self._is_stopped(scheduler):
                self._journal.record("stop", reason=self._request.reason)
                self._journal.sync()
                self._checkpoints.keep_now(self._recorder.with_attempts(scheduler.snapshots()))
                yield self._progress(scheduler, is_stopped=True)
                return
            self._close(scheduler)
            self._best_trial.test(self._policy.devices[0])
            reason = self._outcomes.closing or "complete"
            self._journal.record("finish", reason=reason, compilations=self._programs.compilations)
            self._journal.sync()
            yield self._progress(scheduler)

    def _train(self, scheduler: Scheduler) -> Iterator[Progress]:
        """Deal with one lane group's epoch after the other, while there are any in the order of virtual times."""
        while not self._is_over():
            is_stopping = bool(self._request.reason)
            if is_stopping and scheduler.earliest() is None:
                return  # nothing is under way that could come next, so nothing need be asked for
            self._fill(scheduler)
            scheduler.start(is_held=is_stopping)
            self._ask_ahead()
            group = scheduler.earliest()
            if group is None:
                return
            while not scheduler.is_ready(group, REFRESH_S) and not self._is_over():
                yield self._progress(scheduler)
            if not self._is_over():
                self._settle(scheduler, group)
                yield self._progress(scheduler)

    def _resume(self, scheduler: Scheduler) -> None:
        """Put every trial that has not ended back where it was; those whose lane is gone come before any other."""
        placement, trials = self._placement, self._journal.trials
        for number in self._lost:
            placement.places.pop(number, None)
            self._outcomes.end(number, TrialEnd("failed", "damage to the log has lost its proposal"))
        self._checkpoints.retain(placement.places)
        for number, place in sorted(placement.places.items()):
            lane_trial, entry = self._lane_trial(number), trials[number]
            if lane_trial is None:
                continue
            if entry.last and self._outcomes.is_ended_by(lane_trial, entry.epochs_run, entry, None):
                continue  # the log was cut off before it said so
            past = past_of(entry, self._checkpoints.find(lane_trial, entry.attempt, entry.epochs_run))
            if not self._is_over() and scheduler.put_back(lane_trial, place, past):
                self._recorder.resume(lane_trial, past, None)
            else:
                self._ready.append(lane_trial)
                self._pasts[number] = past
        for number in placement.ready:
            self._recorder.attempts.setdefault(number, trials[number].attempt)
            self._make_ready(number)
        scheduler.resume(placement, is_held=bool(self._request.reason))
        self._outcomes.warn(self._checkpoints.notes)

    def _fill(self, scheduler: Scheduler) -> None:
        """Ready trials to free lanes, asking for more while lanes stay free."""
        while True:
            for lane_trial in list(self._ready):
                group = scheduler.place(lane_trial, self._pasts.get(lane_trial.number))
                if group is not None:
                    self._ready.remove(lane_trial)
                    self._begin(lane_trial, group)
            if self._ready or not self._ask(is_ahead=False):
                return

    def _ask_ahead(self) -> None:
        """Have the next trials at hand before a lane is free, so that no lane waits for the sampler."""
        while len(self._ready) < max(1, self._policy.lanes // 4) and self._ask(is_ahead=True):
            pass

    def _ask(self, *, is_ahead: bool) -> bool:
        """Ask for one more trial; whether there was one."""
        if self._outcomes.closing or (self._total is not None and self._asked >= self._total):
            return False
        proposal = self._study.ask()
        if proposal is None:
            self._total = self._asked
            return False
        self._asked += 1
        self._recorder.ask(proposal, is_ahead=is_ahead)
        self._make_ready(proposal.number)
        return True

    def _make_ready(self, number: int) -> None:
        lane_trial = self._lane_trial(number)
        if lane_trial is not None:
            self._ready.append(lane_trial)

    def _lane_trial(self, number: int) -> LaneTrial | None:
        """A proposed trial as a lane sees it; one whose own choices cannot be trained has failed."""
        try:
            trial = space.resolve(self._config, dict(self._journal.trials[number].params))
            return self._programs.lane_trial(number, trial)
        except SweepError as error:
            self._outcomes.end(number, TrialEnd("failed", str(error)))
            return None

    def _begin(self, lane_trial: LaneTrial, group: LaneGroup) -> None:
        past = self._pasts.pop(lane_trial.number, None)
        if past is None:
            self._recorder.start(lane_trial, group)
        else:
            self._recorder.resume(lane_trial, past, group)

    def _settle(self, scheduler: Scheduler, group: LaneGroup) -> None:
        """Deal with what a lane group's epoch came to."""
        lane_trials = list(group.occupied)
        try:
            epochs = scheduler.collect(group)
        except ShortageError as shortage:
            self._try_again(lane_trials, TrialEnd("shortage", str(shortage)), group.virtual_time, began=shortage.began)
        except (Exception, SystemExit) as error:  # noqa: BLE001  (user code; the other programs go on)
            outcome = "out_of_memory" if is_out_of_memory(error) else "failed"
            self._fail(lane_trials, TrialEnd(outcome, reason_with_place(error)), group.virtual_time)
        else:
            self._outcomes.warn(group.notes)
            group.notes.clear()
            for epoch in epochs:
                self._settle_epoch(group, epoch)
            self._keep(group)

    def _fail(self, lane_trials: list[LaneTrial], ending: TrialEnd, virtual_time: float) -> None:
        """End trials whose epoch raised, but for those that may be tried again."""
        allowed = (
            0 if self._programs.is_broken(lane_trials[0].program_key) else getattr(self._config.retries, ending.outcome)
        )
        again = {each.number for each in lane_trials if self._retries[each.number, ending.outcome] < allowed}
        for lane_trial in lane_trials:
            if lane_trial.number not in again:
                self._outcomes.end(lane_trial.number, ending, virtual_time)
        self._try_again([each for each in lane_trials if each.number in again], ending, virtual_time, began=True)

    def _try_again(self, lane_trials: list[LaneTrial], ending: TrialEnd, virtual_time: float, *, began: bool) -> None:
        """Trials start over, before any other; the results of those that only wanted memory will be the same."""
        self._ready[:0] = lane_trials
        for lane_trial in reversed(lane_trials):  # each goes before those that are ready
            self._retries[lane_trial.number, ending.outcome] += 1
            self._recorder.retry(lane_trial.number, ending.outcome, ending.reason, virtual_time, began=began)

    def _settle_epoch(self, group: LaneGroup, epoch: LaneEpoch) -> None:
        lane_trial = epoch.lane_trial
        self._recorder.epoch(epoch, group.virtual_time)
        self._timer.count(lane_trial.examples, epoch.seconds)
        if self._outcomes.is_ended_by(lane_trial, epoch.epoch, self._journal.trials[lane_trial.number], group):
            group.retire(epoch.lane)

    def _keep(self, group: LaneGroup) -> None:
        """Have a lane group's lanes written, if it is time; what led to them is in the log before they are."""
        if not group.snapshots:
            return
        lane_trials = {lane_trial.number for lane_trial in group.occupied}
        due = [snapshot for snapshot in group.snapshots if snapshot.number in lane_trials]
        group.snapshots = []
        self._journal.sync()
        self._checkpoints.keep(group.index, self._recorder.with_attempts(due))

    def _is_over(self) -> bool:
        minutes = self._config.budget.minutes
        if not self._outcomes.closing and minutes is not None and self._timer.minutes_used() >= minutes:
            self._outcomes.closing = f"the budget of {minutes:g} minutes is used up"
        return bool(self._outcomes.closing) or self._request.is_overdue

    def _is_stopped(self, scheduler: Scheduler) -> bool:
        """Whether the run ends at a request, with something left for the next one."""
        is_complete = self._total is not None and self._asked >= self._total and not self._ready and not scheduler.busy
        return bool(self._request.reason) and not self._outcomes.closing and not is_complete

    def _close(self, scheduler: Scheduler) -> None:
        """End what still runs when the sweep is over before its trials are."""
        if not self._outcomes.closing:
            return
        outcome = "interrupted" if "target" in self._outcomes.closing else "timed_out"
        running = [lane_trial.number for group in scheduler.groups for lane_trial in group.occupied]
        for number in sorted(running + [lane_trial.number for lane_trial in self._ready]):
            self._outcomes.end(number, TrialEnd(outcome, self._outcomes.closing))
        self._ready.clear()

    def _progress(self, scheduler: Scheduler, *, is_stopped: bool = False) -> Progress:
        done = sum(self._outcomes.counts.values())
        news: tuple[str, ...] = ()
        warnings: tuple[str, ...] = ()
        if self._journal.flush():  # what is told is on the disk
            news, warnings = tuple(self._outcomes.news), tuple(self._outcomes.warnings)
            self._outcomes.news.clear()
            self._outcomes.warnings.clear()
            self._checkpoints.drop(self._outcomes.ended)  # which are not needed once that is on the disk
            self._outcomes.ended.clear()
        return Progress(
            done=done,
            total=self._total,
            busy=scheduler.busy,
            lanes=scheduler.lanes,
            best=self._best_trial.standing,
            examples_per_second=self._timer.examples_per_second(),
            seconds_left=self._timer.seconds_left(done, self._total),
            outcomes=dict(self._outcomes.counts),
            compilations=self._programs.compilations,
            news=news,
            is_stopped=is_stopped,
            warnings=warnings,
            continued=self._continued,
            under_way=self._under_way() if is_stopped else (0, 0),
        )

    def _under_way(self) -> tuple[int, int]:
        """How many trials have begun and not ended, and how many epochs they have."""
        begun = [entry for entry in self._journal.unfinished() if entry.attempt]
        return len(begun), sum(entry.epochs_run for entry in begun)
