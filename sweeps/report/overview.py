"""All that is drawn of a sweep's trials, as columns: a row per trial, by number.

A column is as narrow as its numbers allow, for ten thousand trials must fit into a page.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from sweeps.config import SweepConfig
from sweeps.log.placement import LanePlace
from sweeps.log.trials import SIGNS, LoggedTrial, LoggedTrials
from sweeps.report.scales import ObjectiveScale, ParameterScale, objective_scale, parameter_scale
from sweeps.report.timeline import Timeline

MOST_CURVES = 300
MOST_POINTS = 64
"""Of a curve of more epochs, so many are drawn, the first and the last among them."""
LONGEST_REASON = 200
NOT_ENDED = ("waiting", "running")
OFF_SCALE = ("diverged", "failed", "out_of_memory")
"""Outcomes whose values must not stretch a scale."""


class Overview:
    """A sweep's trials as they are drawn. `trials` are in the order of their numbers."""

    def __init__(self, logged: LoggedTrials, timeline: Timeline, config: SweepConfig) -> None:
        self.timeline, self.config = timeline, config
        self.metric, self.direction = config.objective.metric, config.objective.direction
        self.trials: Sequence[LoggedTrial] = [logged.trials[number] for number in sorted(logged.trials)]
        self.all_metrics: Sequence[str] = list(
            dict.fromkeys(("train_loss", "valid_loss", *logged.metrics, self.metric))
        )
        self.best = logged.best(self.direction)

    @cached_property
    def parameters(self) -> Sequence[ParameterScale]:
        """The axes of the searched parameters, in the order of the config."""
        searched = self.config.parameters()
        names = dict.fromkeys([*searched, *(name for trial in self.trials for name in trial.params)])
        return [
            parameter_scale(name, f"p{place}", searched.get(name), (trial.params.get(name) for trial in self.trials))
            for place, name in enumerate(names)
        ]

    @cached_property
    def values(self) -> np.ndarray:
        """f64 `[trials]`, the objective; NaN where there is none."""
        return np.array([trial.value for trial in self.trials], np.float64)

    @cached_property
    def scale(self) -> ObjectiveScale:
        """The axis of the objective."""
        is_on_scale = np.array([trial.outcome not in OFF_SCALE for trial in self.trials], bool)
        return objective_scale(self.values[is_on_scale], self.direction)

    @cached_property
    def shown(self) -> np.ndarray:
        """f64 `[trials]`, where the objective is drawn; NaN for trials that have not ended."""
        has_ended = np.array([trial.outcome not in NOT_ENDED for trial in self.trials], bool)
        return np.where(has_ended, self.scale.shown(self.values), np.nan)

    @cached_property
    def ended(self) -> np.ndarray:
        """f64 `[trials]`, for how many seconds the sweep had run when each trial ended; NaN where it has not."""
        return self._clock(trial.ending.get("time") for trial in self.trials)

    @cached_property
    def epochs_by_then(self) -> np.ndarray:
        """f64 `[trials]`, the epochs of all trials that had ended when each one ended, its own included."""
        epochs = np.array([trial.epochs_run for trial in self.trials], np.float64)
        order = np.argsort(self.ended, kind="stable")
        by_then = np.empty_like(epochs)
        by_then[order] = np.cumsum(epochs[order])
        return np.where(np.isnan(self.ended), np.nan, by_then)

    @cached_property
    def lanes(self) -> Sequence[LanePlace]:
        """Every lane that trained, in order."""
        return sorted(set(self.timeline.lanes.values()))

    @cached_property
    def other_figures(self) -> dict[str, str]:
        """The losses and metrics of the last epoch that are not the objective: the column of each, and its name."""
        return {f"m{place}": name for place, name in enumerate(self.all_metrics) if name != self.metric}

    @cached_property
    def reasons(self) -> list[str]:
        """Every reason why a trial ended, once."""
        return list(dict.fromkeys(map(reason_of, self.trials)))

    def columns(self) -> dict[str, Any]:
        """A column each, `[trials]`. What `field` of a parameter names, and `position`, are among them."""
        params = [dict(trial.params) for trial in self.trials]
        reasons = {reason: place for place, reason in enumerate(self.reasons)}
        found = {
            "number": _narrow([trial.number for trial in self.trials]),
            "value": self.values,
            "shown": _narrow(self.shown),
            "outcome": [trial.outcome for trial in self.trials],
            "epochs": _narrow([trial.epochs_run for trial in self.trials]),
            "seconds": _narrow([_seconds(trial) for trial in self.trials]),
            "began": _narrow(self._clock(trial.start.get("time") for trial in self.trials)),
            "ended": _narrow(self.ended),
            "epochs_by_then": _narrow(self.epochs_by_then),
            "lane": _narrow(self._lane_places()),
            "reason": _narrow([reasons[reason_of(trial)] for trial in self.trials]),
        }
        for each in self.parameters:
            found[each.field] = _narrow(each.values(params))
            found[each.position] = _narrow(each.places(params))
        last = [trial.last for trial in self.trials]
        for field, name in self.other_figures.items():
            found[field] = _narrow([row.figure(name) if row else math.nan for row in last])
        return found

    def best_so_far(self, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The best objective of completed trials as steps: where along an axis it gets better, and to what.

        `along` is `[trials]`, where each trial stands on that axis; the last step reaches to its end.
        """
        sign = SIGNS[self.direction]
        found: list[tuple[float, float]] = []
        for place in np.argsort(along, kind="stable"):
            trial, value = self.trials[place], self.values[place]
            counts = trial.state == "COMPLETE" and not math.isnan(value) and not math.isnan(along[place])
            if counts and (not found or sign * value < sign * found[-1][1]):
                found.append((float(along[place]), float(value)))
        if found:
            found.append((float(np.nanmax(along)), found[-1][1]))
        steps = np.array(found, np.float64).reshape(-1, 2)
        return steps[:, 0], steps[:, 1]

    def drawn(self) -> Sequence[int]:
        """Places in `trials` of those with epochs that are drawn as lines: at most `MOST_CURVES`, the best as last."""
        begun = [place for place, trial in enumerate(self.trials) if trial.epochs and trial is not self.best]
        kept = [begun[place] for place in _spread(len(begun), MOST_CURVES - 1)]
        best = [place for place, trial in enumerate(self.trials) if trial is self.best]
        return [*kept, *best]

    def curve(self, trial: LoggedTrial, name: str) -> tuple[list[int], list[float]]:
        """Epochs of a trial and what a loss or metric was after each of them, thinned to `MOST_POINTS`."""
        epochs = sorted(trial.epochs_of(trial.repeat).items())
        kept = [epochs[place] for place in _spread(len(epochs), MOST_POINTS)]
        return [epoch for epoch, _ in kept], [_rounded(row.figure(name)) for _, row in kept]

    def curve_scale(self, names: Sequence[str]) -> ObjectiveScale:
        """The axis for these losses or metrics over all epochs that are drawn."""
        trials = [self.trials[place] for place in self.drawn() if self.trials[place].outcome not in OFF_SCALE]
        values = [value for trial in trials for name in names for value in self.curve(trial, name)[1]]
        is_loss = all(name.endswith("loss") for name in names)
        known = "minimize" if is_loss else self.direction if list(names) == [self.metric] else None
        return objective_scale(np.array(values, np.float64), known)

    @property
    def beyond(self) -> int:
        """How many trials that have ended lie at the edge of the objective's scale, because it does not hold them."""
        is_held = (self.values >= self.scale.low) & (self.values <= self.scale.high)
        return int(np.sum(~np.isnan(self.shown) & ~is_held))

    def is_sound(self, place: int) -> bool:
        """Whether the trial at a place in `trials` came to a value, and did not diverge or fail."""
        return math.isfinite(self.values[place]) and self.trials[place].outcome not in OFF_SCALE

    def _clock(self, times: Iterator[Any]) -> np.ndarray:
        seconds = (self.timeline.clock(time) for time in times)
        return np.array([math.nan if each is None else each for each in seconds], np.float64)

    def _lane_places(self) -> list[float]:
        places: Mapping[LanePlace, int] = {lane: place for place, lane in enumerate(self.lanes)}
        lanes = self.timeline.lanes
        return [places[lanes[trial.number]] if trial.number in lanes else math.nan for trial in self.trials]


def reason_of(trial: LoggedTrial) -> str:
    """Why a trial ended, in a few words; "" where the outcome says it all."""
    reason = " ".join(str(trial.ending.get("reason") or "").split())
    return reason if len(reason) <= LONGEST_REASON else f"{reason[: LONGEST_REASON - 1]}…"


def _seconds(trial: LoggedTrial) -> float:
    """What the tables call `train_seconds`."""
    return math.fsum(row.seconds for row in trial.epochs_of(trial.repeat).values()) if trial.is_whole else math.nan


def _spread(count: int, most: int) -> list[int]:
    """At most so many of `count` places, evenly spread, both ends included."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, most))})


def _rounded(value: float) -> float:
    """Five figures, which no screen can tell from more; NaN for what cannot be drawn."""
    return float(f"{value:.5g}") if math.isfinite(value) else math.nan


def _narrow(values: Any) -> np.ndarray:
    """The same numbers in fewer bytes: whole ones exactly, others to the seven figures of f32."""
    array = np.asarray(values)
    if array.dtype.kind in "iu":
        fits = [kind for kind in (np.int8, np.int16, np.int32) if _holds(kind, array)]
        return array.astype(fits[0] if fits else np.float64)
    with np.errstate(over="ignore", under="ignore"):
        narrow = array.astype(np.float32)
    is_whole = bool(np.all((array == np.round(array)) | np.isnan(array)))
    tolerance = 0.0 if is_whole else 1e-6
    is_kept = np.allclose(narrow.astype(np.float64), array, rtol=tolerance, atol=0.0, equal_nan=True)
    return narrow if is_kept else array


def _holds(kind: type[np.signedinteger], array: np.ndarray) -> bool:
    return not array.size or (array.min() >= np.iinfo(kind).min and array.max() <= np.iinfo(kind).max)
