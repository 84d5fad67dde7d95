"""Configurations that have been tried, so that none is trained twice where `duplicates: skip` holds.

A configuration is the parameters that a trial has. It counts as tried once a trial has it that is under way or has
ended in any way but for want of time: a failed one would fail again, and `retries` says how often it is tried. One that
was cut off (`timed_out`, `interrupted`) may come again.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping

from sweeps.config.schema import SweepConfig
from sweeps.config.values import Value
from sweeps.study.arguments import seed_of
from sweeps.study.grid import Combination, configurations, walk

CUT_OFF = ("timed_out", "interrupted")
"""Outcomes that say nothing of a configuration."""


class Tried:
    """What the trials of a sweep have had. Where nothing is searched, trials repeat one another and are all wanted."""

    def __init__(self, config: SweepConfig) -> None:
        self._config = config
        searched = config.parameters().values()
        self._is_skipping = config.duplicates == "skip" and any(each.count != 1 for each in searched)
        self._size = configurations(config) if self._is_skipping else None
        self._keys: dict[int, int] = {}  # of each trial that is under way
        self._counts: Counter[int] = Counter()
        self._left: dict[int, Combination] | None = None  # what is untried, in order, once that was asked for

    @property
    def are_all(self) -> bool:
        """Whether there is no configuration left to try."""
        return self._size is not None and len(self._counts) >= self._size

    def has(self, params: Mapping[str, Value]) -> bool:
        """Whether a trial with these parameters is one too many."""
        return self._is_skipping and _key(params) in self._counts

    def begin(self, number: int, params: Mapping[str, Value]) -> None:
        """A trial has these parameters."""
        if self._is_skipping:
            key = self._keys[number] = _key(params)
            self._counts[key] += 1
            if self._left is not None:
                self._left.pop(key, None)

    def end(self, number: int, outcome: str) -> None:
        """A trial has ended."""
        key = self._keys.pop(number, None)
        if key is not None and outcome in CUT_OFF:
            self._counts[key] -= 1
            self._counts += Counter()  # without zeros
            self._left = None

    def another(self, number: int, known: Mapping[str, Value]) -> Combination | None:
        """An untried configuration for a trial, drawn at random of all that have the values `known`.

        None where there is none, or they cannot be listed.
        """
        if self._size is None:
            return None
        if self._left is None:
            every = ((_key(each), each) for each in walk(self._config, {}))
            self._left = {key: each for key, each in every if key not in self._counts}
        fitting = [each for each in self._left.values() if known.items() <= each.items()]
        draw = random.Random(seed_of(self._config.seed, number, "another"))  # noqa: S311  (it keeps no secret)
        return draw.choice(fitting) if fitting else None


def _key(params: Mapping[str, Value]) -> int:
    """64 bits for a configuration, in this process: the parameters would take as much as the rest of a trial.

    The hashes of texts alone are as good as random: that of -1 is that of -2.
    """
    return hash(frozenset((name, repr(value)) for name, value in params.items()))
