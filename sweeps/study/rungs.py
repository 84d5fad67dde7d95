"""Pruners that pause: a trial stops at a rung, waits, and goes on from there if it is among the best.

`Asha` decides whenever a lane is free (Li et al., 2020, arXiv:1810.05934). `Waves` decides for a whole cohort, once its
last member is at the rung, so that what is decided depends on no order of arrival: not on lanes, threads or machines.

A trial's score at a rung is the objective after that many epochs (with `keep: best_epoch` the best until then), times
the direction's sign, so that less is better. One that completes early, by `early_stopping`, has its value at all later
rungs. One that fails or diverges has none, and is behind all others.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence

from sweeps.config.rungs import factor_of, rungs_of, wave_sizes
from sweeps.config.schema import SweepConfig
from sweeps.study.grid import most_trials


class Rungs:
    """What both have: the scores at each rung, and who waits. `epochs` are the rungs, the longest training last.

    `begin` and `end` come once for each trial, and `report` for rising epochs, between them.
    """

    def __init__(self, sign: int, epochs: Sequence[int], *, keeps_best: bool) -> None:
        self.epochs = tuple(epochs)
        self._sign, self._keeps_best = sign, keeps_best
        self._rung_of = {epoch: rung for rung, epoch in enumerate(self.epochs)}
        self._scores: list[dict[int, float]] = [{} for _ in self.epochs]  # by rung and trial
        self._best: dict[int, float] = {}  # score so far, of each running trial
        self._waiting: dict[int, int] = {}  # the rung at which each paused trial is

    def begin(self, number: int) -> None:
        """A trial was proposed."""

    def report(self, number: int, epoch: int, value: float) -> bool:
        """The finite objective of a running trial; whether it should stop. See `waits` for whether it is paused."""
        score = self._sign * value
        if self._keeps_best:
            score = self._best[number] = min(score, self._best.get(number, score))
        self.follow(number)  # the log has it go on
        rung = self._rung_of.get(epoch)
        if rung is None:
            return False
        self._arrive(number, rung, score)
        if not self._compares(number, rung):
            return False
        self._waiting[number] = rung
        return self._decide(number, rung)

    def end(self, number: int, value: float | None) -> None:
        """A trial has ended; with a value if it is complete."""
        self.follow(number)
        self._best.pop(number, None)
        if value is not None:
            for rung in range(len(self.epochs)):
                if number not in self._scores[rung]:
                    self._arrive(number, rung, self._sign * value)

    def waits(self, number: int) -> bool:
        """Whether a trial is paused, or should be now."""
        return number in self._waiting

    def promote(self) -> int | None:
        """A paused trial that goes on, which is paused no more; None where there is none now."""
        return None

    def follow(self, number: int) -> None:
        """A trial waits no more: it was promoted, as the log says, or has ended."""
        self._waiting.pop(number, None)

    def losers(self) -> list[int]:
        """Paused trials that will never go on."""
        return []

    @property
    def may_ask(self) -> bool:
        """Whether a trial can be proposed before others have come further."""
        return True

    def no_more(self) -> None:
        """No trial will be proposed any more."""

    def ranking(self, number: int) -> list[int]:
        """What trial `number` is proposed from: trials by the highest rung that each has come to, then by their scores.

        So Optuna ranks trials that were pruned, by the last step that they reported.
        """
        known, seen, ranking = self._known_to(number), set[int](), list[int]()
        for scores in reversed(self._scores):
            fresh = ((score, each) for each, score in scores.items() if each in known and each not in seen)
            ranking += [each for _, each in sorted(fresh)]
            seen |= scores.keys()
        return ranking

    def cohort(self, number: int) -> range:
        """The earlier trials of the same wave."""
        return range(number, number)

    def _known_to(self, number: int) -> range:
        return range(number)

    def _arrive(self, number: int, rung: int, score: float) -> None:
        self._scores[rung][number] = score

    def _compares(self, number: int, rung: int) -> bool:
        """Whether a trial waits at a rung for others."""
        del number
        return rung < len(self.epochs) - 1

    def _decide(self, number: int, rung: int) -> bool:
        """What becomes of a trial that has come to a rung; whether it should stop."""
        del number, rung
        return False


class Asha(Rungs):
    """A trial goes on when it is among the best `1 / factor` of all that have come to its rung so far."""

    def __init__(self, sign: int, epochs: Sequence[int], factor: int, *, keeps_best: bool) -> None:
        super().__init__(sign, epochs, keeps_best=keeps_best)
        self._factor = factor
        self._sorted: list[list[tuple[float, int]]] = [[] for _ in self.epochs]
        self._heaps: list[list[tuple[float, int]]] = [[] for _ in self.epochs]

    def promote(self) -> int | None:
        """The best that waits at the highest rung where one can go on."""
        for rung in reversed(range(len(self.epochs) - 1)):
            heap, ranked = self._heaps[rung], self._sorted[rung]
            while heap and self._waiting.get(heap[0][1]) != rung:
                heapq.heappop(heap)
            if heap and bisect_left(ranked, heap[0]) < len(ranked) // self._factor:
                number = heapq.heappop(heap)[1]
                del self._waiting[number]
                return number
        return None

    def _arrive(self, number: int, rung: int, score: float) -> None:
        super()._arrive(number, rung, score)
        insort(self._sorted[rung], (score, number))

    def _decide(self, number: int, rung: int) -> bool:
        heapq.heappush(self._heaps[rung], (self._scores[rung][number], number))
        return False


class _Wave:
    """Trials that are compared with one another: `contenders` are those that have come, or will, to `rung`."""

    def __init__(self, members: range, first_rung: int) -> None:
        self.members, self.rung = members, first_rung
        self.first_rung = first_rung
        self.contenders: list[int] = list(members)
        self.ended: set[int] = set()

    @property
    def is_over(self) -> bool:
        return len(self.ended) == len(self.members)


class Waves(Rungs):
    """Successive halving by cohorts (Jamieson and Talwalkar, 2016, arXiv:1502.07943), two of them under way.

    Waves have these `sizes` in turns, the first of which begins at the first rung, the second at the second and so on.
    The last wave has what is left of the `total` trials.

    A wave is proposed once the one before the last is over, and from what the waves until then have come to.
    """

    def __init__(
        self,
        sign: int,
        epochs: Sequence[int],
        factor: int,
        *,
        keeps_best: bool,
        sizes: Sequence[int],
        total: int | None = None,
    ) -> None:
        super().__init__(sign, epochs, keeps_best=keeps_best)
        self._factor, self._total, self._asked = factor, total, 0
        self._sizes = tuple(sizes)
        self._waves: list[_Wave] = []
        self._starts: list[int] = []  # of each, its first trial
        self._promoted: list[int] = []  # and not yet taken up, in the order in which they are
        self._losers: set[int] = set()

    def begin(self, number: int) -> None:
        """A trial was proposed: the next of its wave."""
        self._asked = number + 1
        self._wave_of(number)

    def end(self, number: int, value: float | None) -> None:
        """A trial has ended, which its wave may have waited for."""
        super().end(number, value)
        self._losers.discard(number)
        wave = self._wave_of(number)
        wave.ended.add(number)
        self._settle(wave)

    def promote(self) -> int | None:
        """Of the earliest wave, the best first."""
        number = next(iter(self._promoted), None)
        if number is not None:
            self.follow(number)
        return number

    def follow(self, number: int) -> None:
        """A trial waits no more."""
        super().follow(number)
        if number in self._promoted:
            self._promoted.remove(number)

    def losers(self) -> list[int]:
        """Of all waves, by number."""
        return sorted(self._losers)

    @property
    def may_ask(self) -> bool:
        """Whether the wave before the last is over."""
        index = self._index_of(self._asked)
        return index < 2 or self._waves[index - 2].is_over

    def no_more(self) -> None:
        """The last wave has no more members."""
        self._total = self._asked
        if self._waves and self._asked < self._waves[-1].members.stop:
            wave = self._waves[-1]
            wave.members = range(wave.members.start, self._asked)
            wave.contenders = [each for each in wave.contenders if each < self._asked]
            self._settle(wave)

    def cohort(self, number: int) -> range:
        """The earlier trials of the same wave."""
        return range(self._wave_of(number).members.start, number)

    def _known_to(self, number: int) -> range:
        index = self._index_of(number)
        return range(self._waves[index - 1].members.start if index else 0)

    def _compares(self, number: int, rung: int) -> bool:
        return super()._compares(number, rung) and rung >= self._wave_of(number).first_rung

    def _decide(self, number: int, rung: int) -> bool:
        wave = self._wave_of(number)
        self._settle(wave)
        if rung == wave.rung:
            return False  # it waits for others
        self._losers.discard(number)
        self.follow(number)
        return number not in wave.contenders

    def _settle(self, wave: _Wave) -> None:
        """Decide a wave's rung, and what follows from it, once all that contend have come to it or have ended."""
        while wave.rung < len(self.epochs) - 1:
            scores = self._scores[wave.rung]
            if wave.members.stop > self._asked or not all(
                number in scores or number in wave.ended for number in wave.contenders
            ):
                return
            places = max(1, len(wave.members) // self._factor ** (wave.rung - wave.first_rung + 1))
            ranked = sorted((scores[number], number) for number in wave.contenders if number in scores)
            best = [number for _, number in ranked[:places]]
            self._promoted += [number for number in best if number in self._waiting]
            self._losers |= {number for number in wave.contenders if number in self._waiting} - set(best)
            wave.contenders = best
            wave.rung += 1

    def _wave_of(self, number: int) -> _Wave:
        return self._waves[self._index_of(number)]

    def _index_of(self, number: int) -> int:
        """Of a trial's wave, which is made where it has none yet."""
        while not self._waves or self._waves[-1].members.stop <= number:
            start = self._waves[-1].members.stop if self._waves else 0
            bracket = len(self._waves) % len(self._sizes)
            stop = start + self._sizes[bracket]
            if self._total is not None and start < self._total:
                stop = min(stop, self._total)
            self._waves.append(_Wave(range(start, stop), bracket))
            self._starts.append(start)
        return bisect_right(self._starts, number) - 1


def new_rungs(config: SweepConfig) -> Rungs:
    """The pruner of a config that pauses trials."""
    sign, epochs, factor = config.objective.sign, rungs_of(config), factor_of(config.pruner)
    keeps_best = config.keep == "best_epoch"
    if config.pruner.use == "asha":
        return Asha(sign, epochs, factor, keeps_best=keeps_best)
    bounds = [bound for bound in (config.budget.trials, most_trials(config)) if bound is not None]
    sizes, total = wave_sizes(config), min(bounds, default=None)
    return Waves(sign, epochs, factor, keeps_best=keeps_best, sizes=sizes, total=total)
