"""Where study, scheduler and journal meet: the life of a sweep, as a generator of its progress.

Proposals go to lanes, epochs come back, each is recorded, and the trial it belongs to goes on, ends, or makes room.
Everything is called from here and calls nothing back; whoever runs the sweep pulls at it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NoReturn, TypeAlias

from sweeps.config import SweepConfig, space
from sweeps.engine.checkpoints import Checkpoints, Snapshot
from sweeps.engine.lane_group import LaneGroup
from sweeps.engine.memory import is_out_of_memory
from sweeps.engine.orders import LaneEpoch
from sweeps.engine.paused import PausedTrials
from sweeps.engine.programs import LaneTrial, Programs
from sweeps.engine.restore import past_of
from sweeps.engine.scheduler import Scheduler, ShortageError
from sweeps.errors import FolderGoneError, SweepError
from sweeps.log.early_stopping import kept_epoch
from sweeps.log.placement import Placement
from sweeps.log.trials import LoggedTrial
from sweeps.results.earlier_sweep import Lessons
from sweeps.runner.best_trial import BestTrial, finish_best, keeping
from sweeps.runner.budget import Timer, exhaustion, reaches_target, total_trials
from sweeps.runner.earlier_runs import EarlierRuns
from sweeps.runner.journal import Journal
from sweeps.runner.outcomes import Tally, TrialEnd, ending_of, not_finite
from sweeps.runner.progress import Progress
from sweeps.runner.ready import ReadyTrials
from sweeps.runner.recorder import Recorder
from sweeps.runner.reporter import Reporter
from sweeps.runner.resume import lacks_parameters
from sweeps.stop_request import StopRequest
from sweeps.storage.paths import RunFolder
from sweeps.study import Study
from sweeps.user_code import reason_with_place

REFRESH_S = 0.1
LaneParams: TypeAlias = Callable[[int], Any]
"""Answers a trial's parameters after an epoch; None where its lane holds those of another, or it has none."""


def _no_params(epoch: int) -> None:
    del epoch


class Sweep:
    """One run of a sweep in its folder, over an open journal, until its end or until a `request` is made."""

    def __init__(
        self,
        config: SweepConfig,
        folder: RunFolder,
        journal: Journal,
        earlier: EarlierRuns,
        programs: Programs,
        request: StopRequest | None = None,
    ) -> None:
        self._config, self._folder, self._journal = config, folder, journal
        self._programs, self._policy = programs, programs.policy
        self._request = request or StopRequest()
        self._study = Study.from_events(config, earlier.study_events(journal.config, config.objective.metric))
        self._placement = Placement(earlier.records)
        self._placement.enter(journal.config)
        self._retries = self._placement.retries
        self._recorder = Recorder(config.metrics, journal, self._placement.attempts)
        self._total = total_trials(config, journal.trials.values())
        self._asked = len(journal.trials)
        self._ready = ReadyTrials()
        self._checkpoints = Checkpoints(folder.checkpoints, journal.config, config.checkpoints.seconds)
        self._paused = PausedTrials(self._checkpoints, self._recorder.attempts.__getitem__)
        self._best_trial = BestTrial(config.objective, journal.best())
        self._tally = Tally(Counter(entry.outcome for entry in journal.trials.values() if entry.ending))
        self._timer = Timer(config.budget.minutes, earlier.seconds_used(), self._tally.counts.total())
        self._reporter = Reporter(
            journal, programs, self._checkpoints, self._tally, self._best_trial, self._timer,
            config.objective.metric, self._placement.under_way,
        )  # fmt: skip

    def tell(self, news: Iterable[str]) -> None:
        """Have lines shown to the user with the first progress."""
        self._tally.warn(list(news))

    def learn(self, lessons: Iterable[Lessons]) -> None:
        """Have the sampler learn from earlier sweeps; what it has learnt is in the log, and not read again."""
        for each in lessons:
            self._journal.record("warm_start", source=each.source, trials=each.trials)
            for trial in each.trials:
                self._study.learn(trial["params"], trial["outcome"], trial["value"], trial["epoch"])
            self.tell([each.said])

    # ---- a run's life ------------------------------------------------------------------------------------------------

    def run(self) -> Iterator[Progress]:
        """Train until the budget is used up, or until a stop is requested and the epochs under way have ended.

        After a request no epoch begins, and what is dealt with is what would have come next in any case: the next run
        goes on from there as if there had been no stop.
        """
        with self._checkpoints:
            scheduler = Scheduler(self._policy, self._programs, self._checkpoints)
            try:
                yield from self._run(scheduler)
            except FolderGoneError as gone:
                self._recover(scheduler, gone)

    def _run(self, scheduler: Scheduler) -> Iterator[Progress]:
        with scheduler:
            self._resume(scheduler)
            yield from self._train(scheduler)
            if self._is_complete(scheduler):
                self._end_paused(self._paused)
            while not self._is_over() and not scheduler.is_still(REFRESH_S):
                yield self._progress(scheduler)
        self._tally.warn(scheduler.left)
        closing = self._closing()
        is_stopped = bool(self._request.reason) and not closing and not self._is_complete(scheduler)
        if closing:
            self._give_up_the_rest(scheduler, closing)
        is_stopped = is_stopped or not finish_best(
            self._config, self._folder, self._journal, self._programs, self._checkpoints, self._request
        )
        if is_stopped:
            self._journal.record("stop", reason=self._request.reason)
            self._journal.sync()
            self._keep_all(scheduler)
            yield self._progress(scheduler, is_stopped=True)
            return
        if not closing and (exhausted := exhaustion(self._config, self._journal.trials.values())):
            self._tally.warn([exhausted])
        compilations = self._programs.compilations
        self._journal.record("finish", reason=closing or "complete", compilations=compilations)
        self._journal.sync()
        self._checkpoints.drop_all()
        yield self._progress(scheduler)

    def _recover(self, scheduler: Scheduler, gone: FolderGoneError) -> NoReturn:
        """The folder is gone: what was recorded, and where the trials stand, go to a fresh one, and the run ends."""
        fresh = self._journal.recover()
        self._journal.record("stop", reason=str(gone))
        self._journal.sync()
        self._checkpoints.move_to(fresh.checkpoints)
        self._keep_all(scheduler)
        raise FolderGoneError(
            f"{gone}. What was trained is in {fresh.path}: rename it to {self._folder.path}, and the same command "
            f"continues"
        ) from gone

    def _keep_all(self, scheduler: Scheduler) -> None:
        """Write down where the trials stand; what did not answer is said."""
        said = len(scheduler.left)
        snapshots = self._recorder.with_attempts([*scheduler.snapshots(), *self._ready.snapshots()])
        self._checkpoints.keep_now(snapshots + self._paused.unwritten())
        self._tally.warn(scheduler.left[said:])

    def _train(self, scheduler: Scheduler) -> Iterator[Progress]:
        """Deal with one lane group's epoch after the other, while there are any in the order of virtual times.

        Each round first fills lanes, sets groups out and asks ahead, each as far as that goes. So a run that goes on
        from a log that was cut off in the middle of that begins with a round like any other, and does what was left.
        """
        while not self._is_over():
            is_stopping = bool(self._request.reason)
            if is_stopping and scheduler.earliest() is None:
                return  # nothing is under way that could come next, so nothing need be asked for
            self._end_paused(self._study.losers())
            self._fill(scheduler)
            self._recorder.set_out(scheduler.start(is_held=is_stopping))
            self._ask_ahead()
            group = scheduler.earliest()
            if group is None:
                return
            while not scheduler.is_ready(group, REFRESH_S) and not self._is_over():
                yield self._progress(scheduler)
            if not self._is_over():
                self._settle(scheduler, group)
                yield self._progress(scheduler)

    def _closing(self) -> str:
        """Why the sweep is over before its trials are; "" while it is not."""
        best, budget = self._best_trial.standing, self._config.budget
        if best is not None and self._has_reached_target():
            return f"trial {best.number} reached the target {budget.target:g}"
        return f"the budget of {budget.minutes:g} minutes is used up" if self._timer.is_over else ""

    def _has_reached_target(self) -> bool:
        best = self._best_trial.standing
        return best is not None and reaches_target(self._config, best.value)

    def _is_over(self) -> bool:
        return self._request.is_overdue or bool(self._closing())

    def _is_complete(self, scheduler: Scheduler) -> bool:
        """Whether all trials have ended, but for those that are paused and will not be promoted."""
        return self._total is not None and self._asked >= self._total and not self._ready and not scheduler.busy

    def _give_up_the_rest(self, scheduler: Scheduler, closing: str) -> None:
        """End what still trains or waits when the sweep is over before its trials are."""
        outcome = "interrupted" if self._has_reached_target() else "timed_out"
        running = [lane_trial.number for group in scheduler.groups for lane_trial in group.occupied]
        for number in sorted([*running, *self._paused, *self._ready]):
            self._end(number, TrialEnd(outcome, closing))
        self._ready.clear()

    def _progress(self, scheduler: Scheduler, *, is_stopped: bool = False) -> Progress:
        return self._reporter.look(scheduler, self._total, is_stopped=is_stopped)

    # ---- trials find lanes -------------------------------------------------------------------------------------------

    def _resume(self, scheduler: Scheduler) -> None:
        """Put every trial that has not ended back where it was; those whose lane is gone come before any other.

        The placement says which groups had set out. What they lack to the log's state, the device side trains once
        more before it answers: see `Past`.
        """
        placement, trials = self._placement, self._journal.trials
        for number in self._journal.lost():
            placement.places.pop(number, None)
            self._end(number, TrialEnd("failed", "damage to the log has lost its proposal"))
        best = self._best_trial.standing
        to_train_again = [best.number] if best is not None and lacks_parameters(self._folder, self._journal) else []
        self._checkpoints.retain([*placement.places, *placement.paused, *placement.promoted, *to_train_again])
        for number, place in sorted(placement.places.items()):
            lane_trial, entry = self._lane_trial(number), trials[number]
            if lane_trial is None:
                continue
            if entry.last and self._is_ended_by(scheduler, lane_trial, entry.epochs_run):
                continue  # the log was cut off before it said so
            if entry.last and self._study.waits(number):
                self._pause(lane_trial, entry.epochs_run)
                continue
            past = past_of(entry, self._checkpoints.find(lane_trial, entry.attempt, entry.epochs_run))
            if not self._is_over() and scheduler.put_back(lane_trial, place, past):
                self._recorder.resume(lane_trial, past, None)
            else:
                self._ready.add(lane_trial, past)
        self._resume_waiting()
        scheduler.resume(placement, is_held=bool(self._request.reason))
        self._tally.warn(self._checkpoints.notes)

    def _resume_waiting(self) -> None:
        """Put back the trials that were in no lane: paused ones, and those that wait for a lane."""
        placement, trials = self._placement, self._journal.trials
        for number in sorted(placement.paused):
            if (paused := self._lane_trial(number)) is not None:
                self._paused.add(paused)
        for number in placement.ready:
            entry = trials[number]
            self._recorder.attempts.setdefault(number, entry.attempt)
            if (lane_trial := self._lane_trial(number)) is None:
                continue
            if number in placement.promoted:
                found = self._checkpoints.find(lane_trial, entry.attempt, entry.epochs_run)
                self._ready.add(lane_trial, past_of(entry, found))
            else:
                self._ready.add(lane_trial)

    def _fill(self, scheduler: Scheduler) -> None:
        """Ready trials to free lanes, asking for more while lanes stay free."""
        while True:
            for lane_trial, past, group in self._ready.place(scheduler):
                if past is None:
                    self._recorder.start(lane_trial, group)
                else:
                    self._recorder.resume(lane_trial, past, group)
            if self._ready or not self._ask(is_ahead=False):
                return

    def _ask_ahead(self) -> None:
        """Have the next trials at hand before a lane is free, so that no lane waits for the sampler."""
        while len(self._ready) < max(1, self._policy.lanes // 4) and self._ask(is_ahead=True):
            pass

    def _ask(self, *, is_ahead: bool) -> bool:
        """Have one more trial ready: one that is promoted, or a new one; whether there was one."""
        if self._closing():
            return False
        promoted = self._study.promote()
        if promoted is not None:
            self._recorder.promote(promoted)
            entry = self._journal.trials[promoted]
            going_on, snapshot = self._paused.take(promoted, entry.epochs_run)
            self._ready.add(going_on, past_of(entry, snapshot))
            return True
        if (self._total is not None and self._asked >= self._total) or not self._study.may_ask:
            return False
        proposal = self._study.ask()
        if proposal is None:
            self._total = self._asked
            return False
        self._asked += 1
        self._recorder.ask(proposal, is_ahead=is_ahead)
        if (lane_trial := self._lane_trial(proposal.number)) is not None:
            self._ready.add(lane_trial)
        return True

    def _lane_trial(self, number: int) -> LaneTrial | None:
        """A proposed trial as a lane sees it; one whose own choices cannot be trained has failed."""
        try:
            trial = space.resolve(self._config, dict(self._journal.trials[number].params))
            return self._programs.lane_trial(number, trial)
        except SweepError as error:
            self._end(number, TrialEnd("failed", str(error)))
            return None

    # ---- epochs come back --------------------------------------------------------------------------------------------

    def _settle(self, scheduler: Scheduler, group: LaneGroup) -> None:
        """Deal with what a lane group's epoch came to."""
        lane_trials = list(group.occupied)
        try:
            answer = scheduler.collect(group)
        except ShortageError as shortage:
            self._try_again(lane_trials, TrialEnd("shortage", str(shortage)), group.virtual_time, began=shortage.began)
        except (Exception, SystemExit) as error:  # noqa: BLE001  (user code; the other programs go on)
            outcome = "out_of_memory" if is_out_of_memory(error) else "failed"
            self._fail(lane_trials, TrialEnd(outcome, reason_with_place(error)), group.virtual_time)
        else:
            self._tally.warn(answer.notes)
            self._timer.count(answer.rows_again, 0.0)
            for epoch in answer.epochs:
                self._settle_epoch(scheduler, group, epoch)
            self._keep(group, answer.snapshots)
            if self._paused.is_due:
                self._journal.sync()
                self._paused.keep()

    def _settle_epoch(self, scheduler: Scheduler, group: LaneGroup, epoch: LaneEpoch) -> None:
        lane_trial = group.lanes[epoch.lane]
        assert lane_trial is not None
        self._recorder.epoch(lane_trial, epoch, group.virtual_time)
        self._timer.count(lane_trial.examples, epoch.seconds)
        if self._is_ended_by(scheduler, lane_trial, epoch.epoch):
            scheduler.retire(group, epoch.lane)
        elif self._study.waits(lane_trial.number):
            copied = scheduler.pause(group, epoch.lane)
            self._tally.warn(copied.notes)
            self._pause(lane_trial, epoch.epoch, *copied.snapshots)

    def _pause(self, lane_trial: LaneTrial, epoch: int, snapshot: Snapshot | None = None) -> None:
        """A trial waits outside of lanes until it is promoted."""
        self._recorder.pause(lane_trial.number, epoch)
        self._paused.add(lane_trial, snapshot)

    def _fail(self, lane_trials: list[LaneTrial], ending: TrialEnd, virtual_time: float) -> None:
        """End trials whose epoch raised, but for those that may be tried again."""
        allowed = getattr(self._config.retries, ending.outcome)
        if self._programs.is_broken(lane_trials[0].program_key):
            allowed = 0
        again = {each.number for each in lane_trials if self._retries[each.number, ending.outcome] < allowed}
        for lane_trial in lane_trials:
            if lane_trial.number not in again:
                self._end(lane_trial.number, ending, virtual_time)
        self._try_again([each for each in lane_trials if each.number in again], ending, virtual_time, began=True)

    def _try_again(self, lane_trials: list[LaneTrial], ending: TrialEnd, virtual_time: float, *, began: bool) -> None:
        """Trials start over, before any other; the results of those that only wanted memory will be the same."""
        self._ready.add_first(lane_trials)
        for lane_trial in reversed(lane_trials):  # each goes before those that are ready
            self._retries[lane_trial.number, ending.outcome] += 1
            self._best_trial.forget(lane_trial.number)
            self._recorder.retry(lane_trial.number, ending.outcome, ending.reason, virtual_time, began=began)

    def _keep(self, group: LaneGroup, snapshots: Sequence[Snapshot]) -> None:
        """Have snapshots written, but for trials that have ended; what led to them is in the log before they are."""
        numbers = {lane_trial.number for lane_trial in group.occupied}
        if snapshots:
            self._journal.sync()
            due = [snapshot for snapshot in snapshots if snapshot.number in numbers]
            self._checkpoints.keep(group.index, self._recorder.with_attempts(due))

    # ---- trials end --------------------------------------------------------------------------------------------------

    def _is_ended_by(self, scheduler: Scheduler, lane_trial: LaneTrial, epoch: int) -> bool:
        """End a trial after an epoch, which is in the log, if that was its last; whether it was."""
        number, metric = lane_trial.number, self._config.objective.metric
        entry = self._journal.trials[number]
        row = entry.epochs[0, epoch]
        value = row.figure(metric)
        # The study answers an epoch that was reported before a crash as it did then.
        is_pruned = not not_finite(row, metric) and self._study.report(number, epoch, value)
        ending = ending_of(self._config, entry, epoch, lane_trial.epochs, is_pruned=is_pruned)
        if ending is not None:
            self._end(number, ending, lane_params=lambda kept: scheduler.params(number) if kept == epoch else None)
        elif self._config.keep == "best_epoch" and self._best_trial.would_be(number, value):
            self._remember(scheduler, entry, epoch)
        return ending is not None

    def _end_paused(self, numbers: Iterable[int]) -> None:
        """End trials that will not be promoted."""
        pruner, metric = self._config.pruner.use, self._config.objective.metric
        for number in list(numbers):
            entry = self._journal.trials[number]
            value = None if entry.last is None else entry.last.figure(metric)
            self._end(number, TrialEnd("pruned", f"by {pruner} at epoch {entry.epochs_run}", value))

    def _remember(self, scheduler: Scheduler, entry: LoggedTrial, epoch: int) -> None:
        """Copy the parameters of a trial that goes on, if they may become the best trial's."""
        if kept_epoch(self._config, entry.epochs_of(0)) == epoch:
            self._best_trial.remember(entry.number, epoch, scheduler.params(entry.number))

    def _end(
        self, number: int, ending: TrialEnd, virtual_time: float | None = None, *, lane_params: LaneParams = _no_params
    ) -> None:
        """Tell of a trial's end: the study, then the log, then people, then the best trial.

        It ends at a `virtual_time` if an epoch without a result did it.
        """
        self._paused.drop(number)
        self._study.tell(number, ending.outcome, ending.value)
        self._recorder.outcome(number, ending, virtual_time)
        self._tally.add(number, ending, self._config.objective.metric)
        value = ending.value if ending.outcome == "completed" else None
        if value is not None and self._best_trial.would_be(number, value):
            self._replace_best(self._journal.trials[number], lane_params)
        self._best_trial.forget(number)

    def _replace_best(self, entry: LoggedTrial, lane_params: LaneParams) -> None:
        """A trial is the best so far: its parameters go to `best/`, where they are at hand."""
        self._best_trial.replace(entry)
        epoch = kept_epoch(self._config, entry.epochs_of(0))
        params = lane_params(epoch)
        if params is None:
            params = self._best_trial.remembered(entry.number, epoch)
        if params is not None:
            trial = space.resolve(self._config, dict(entry.params))
            program_key = self._programs.lane_trial(entry.number, trial).program_key
            dataset = self._programs.dataset(program_key)
            keep = keeping(self._config, self._folder, entry, program_key, dataset, params)
            if self._journal.attempt("the best trial's parameters", keep):
                self._journal.record("best", number=entry.number, value=entry.value)
