"""The recorder: what a run writes down of its trials, a method for each kind of record.

Besides what the tables need, records say in which lane each trial trained (`group`, `lane`) and when by the virtual
time of its lane group (`virtual_time`), so that an interrupted sweep goes on as it was: see `Placement`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from sweeps.config import metric_column
from sweeps.engine.checkpoints import Snapshot
from sweeps.engine.lane_group import LaneGroup
from sweeps.engine.orders import LaneEpoch
from sweeps.engine.programs import LaneTrial
from sweeps.engine.restore import Past
from sweeps.runner.journal import Journal
from sweeps.runner.outcomes import TrialEnd
from sweeps.study import Proposal


class Recorder:
    """Writes to a journal. `attempts` counts how often each trial that has not ended was begun, in all runs."""

    def __init__(self, metrics: Sequence[str], journal: Journal, attempts: Counter[int]) -> None:
        self._journal, self.attempts = journal, attempts
        self._metrics = [metric_column(metric) for metric in metrics]

    def ask(self, proposal: Proposal, *, is_ahead: bool) -> None:
        """A trial was proposed, maybe ahead of need."""
        ahead = {"ahead": True} if is_ahead else {}
        self._journal.record("ask", number=proposal.number, params=proposal.params, **ahead)

    def start(self, lane_trial: LaneTrial, group: LaneGroup) -> None:
        """A trial begins another attempt, in a lane that it was just given."""
        number = lane_trial.number
        self.attempts[number] += 1
        self._journal.record(
            "start",
            number=number,
            attempt=self.attempts[number],
            seed=int(lane_trial.ints[1]),
            device=f"{group.device.platform}:{group.device.id}",
            group=group.index,
            lane=group.lane_of(number),
            virtual_time=group.virtual_time,
        )

    def resume(self, lane_trial: LaneTrial, past: Past, group: LaneGroup | None) -> None:
        """A trial's attempt goes on from after `epoch`, in the lane that it had, or in one of `group`."""
        number, place = lane_trial.number, {}
        if group is not None:
            place = {"group": group.index, "lane": group.lane_of(number), "virtual_time": group.virtual_time}
        self._journal.record("resume", number=number, attempt=self.attempts[number], epoch=past.taken_up_at, **place)

    def pause(self, number: int, epoch: int) -> None:
        """A trial has given up its lane after `epoch`, until it is promoted."""
        self._journal.record("pause", number=number, attempt=self.attempts[number], epoch=epoch)

    def promote(self, number: int) -> None:
        """A paused trial goes on as soon as there is a lane for it."""
        self._journal.record("promote", number=number, attempt=self.attempts[number])

    def set_out(self, groups: Sequence[tuple[int, float]]) -> None:
        """Lane groups have begun an epoch, each with the virtual time of its end: one record for all of them."""
        if groups:
            self._journal.record("set_out", groups=groups)

    def epoch(self, lane_trial: LaneTrial, epoch: LaneEpoch, virtual_time: float) -> None:
        """A trial's epoch has ended, at its lane group's `virtual_time`."""
        scores = [float(score) for score in epoch.scores]
        self._journal.record(
            "epoch",
            number=lane_trial.number,
            repeat=0,
            attempt=self.attempts[lane_trial.number],
            epoch=epoch.epoch,
            iterations=epoch.epoch * -(-lane_trial.examples // lane_trial.batch_size),
            examples=epoch.epoch * lane_trial.examples,
            train_loss=scores[0],
            valid_loss=scores[1],
            metrics=dict(zip(self._metrics, scores[2:], strict=True)),
            seconds=epoch.seconds,
            virtual_time=virtual_time,
        )

    def outcome(self, number: int, ending: TrialEnd, virtual_time: float | None) -> None:
        """A trial has ended; at a `virtual_time` if an epoch without a result did it."""
        when = {} if virtual_time is None else {"virtual_time": virtual_time}
        self._journal.record(
            "outcome",
            number=number,
            attempt=self.attempts[number],
            **ending._asdict(),
            epochs=self._journal.trials[number].epochs_run,
            **when,
        )
        self.attempts.pop(number, None)

    def retry(self, number: int, outcome: str, reason: str, virtual_time: float, *, began: bool) -> None:
        """A trial's attempt is over and another one follows, counted as one more only if this one `began`."""
        attempt = self.attempts[number]
        self._journal.record(
            "retry",
            number=number,
            attempt=attempt,
            outcome=outcome,
            reason=reason,
            virtual_time=virtual_time,
            began=began,
        )
        self.attempts[number] -= not began

    def with_attempts(self, snapshots: Iterable[Snapshot]) -> list[tuple[int, Snapshot]]:
        """Snapshots, each after the attempt that its trial is in."""
        return [(self.attempts[snapshot.number], snapshot) for snapshot in snapshots]
